"""An inverted bottleneck as one stage of a stream: its wide rows are made anew for every row that it gives.

Expansion (1 x 1), depthwise convolution, projection (1 x 1): between them tensors are several times as wide as before
and behind. Kept as lines, the depthwise convolution's window of wide rows is what a stream needs most RAM for. Here
only the narrow rows before it are kept. For a row of the result, strip by strip of its pixels and some channels at a
time, the wide rows of its window are expanded, convolved and projected. What two windows share is expanded twice:
more MACs for less RAM, as in patch-based inference (MCUNetV2, msf-CNN), but in the expansion alone, or in it and in
the convolution before it, of which then nothing is kept either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from driftc.codegen.kernels.portable.loops import CALL, MAC
from driftc.codegen.kernels.portable.loops.weighted import SUM
from driftc.codegen.operators.base import Box, Operator, Tiling
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.plan.buffer import Affine, Buffer, Span
from driftc.codegen.plan.call import Call
from driftc.codegen.plan.unit import Places
from driftc.codegen.tensor import Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Block(Operator):
    """Stands for `parts` in a Stream: expansion, depthwise convolution, projection; and the convolution before them.

    Rows are made in `strips` of pixels, and in tiles of `width` wide channels: all, with a convolution before them.
    """

    tiling = Tiling.ROWS

    before: Conv2D | None
    expand: Conv2D
    depthwise: DepthwiseConv2D
    project: Conv2D
    width: int
    strips: int = 1

    @classmethod
    def of(cls, operators: Sequence[Operator], width: int, strips: int = 1) -> Block:
        *before, expand, depthwise, project = operators
        first = before[0] if before else None
        assert first is None or isinstance(first, Conv2D)
        assert isinstance(expand, Conv2D) and isinstance(depthwise, DepthwiseConv2D) and isinstance(project, Conv2D)
        return cls(
            name=f"{operators[0].name}..{project.name}",
            inputs=operators[0].inputs,
            outputs=project.outputs,
            before=first,
            expand=expand,
            depthwise=depthwise,
            project=project,
            width=width,
            strips=strips,
        )

    @property
    def parts(self) -> tuple[Operator, ...]:
        return (*([self.before] if self.before else []), self.expand, self.depthwise, self.project)

    @cached_property
    def windows(self) -> list[tuple[int, int]]:
        """For each row of the result: the wide rows [first, stop) of its window."""
        height, _, channels = self.depthwise.outputs[0].hwc
        boxes = [self.depthwise.needs(Box(row, row + 1, 0, channels))[0] for row in range(height)]
        return [(box.row0, box.row1) for box in boxes]

    @cached_property
    def columns(self) -> list[tuple[range, range]]:
        """For each strip: the pixels of the result, and the wide ones of their windows."""
        width = self.depthwise.outputs[0].hwc[1]
        edges = [width * n // self.strips for n in range(self.strips + 1)]
        pixels = [range(*pair) for pair in pairwise(edges)]
        return [(strip, self.depthwise.input_pixels(strip)[0]) for strip in pixels]

    @property
    def macs(self) -> int:
        """Wide rows and pixels counted as often as they are made."""
        height, width, _ = self.expand.outputs[0].hwc
        made = sum(stop - first for first, stop in self.windows) * sum(len(wide) for _, wide in self.columns)
        again = self.expand.macs + (self.before.macs if self.before else 0)
        return again * made // (height * width) + self.depthwise.macs + self.project.macs

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        rows = self.windows[box.row0 : box.row1]
        first, stop = min(first for first, _ in rows), max(stop for _, stop in rows)
        narrow = Box(first, stop, 0, self.expand.inputs[0].hwc[2])
        return self.before.needs(narrow) if self.before else (narrow,)

    @property
    def tiles(self) -> list[range]:
        channels = self.depthwise.outputs[0].hwc[2]
        return [range(start, min(start + self.width, channels)) for start in range(0, channels, self.width)]

    @property
    def sums(self) -> bool:
        """The projection adds up its int32 sums tile by tile; else it waits for all channels, where they need less."""
        channels, results = self.depthwise.outputs[0].hwc[2], self.project.outputs[0].hwc[2]
        return self.width + 4 * results < channels

    @property
    def scratch(self) -> list[Buffer]:
        """What is needed while a strip is made: a window of wide rows, what is behind it, and before it."""
        kept = max(stop - first for first, stop in self.windows)
        pixels, wider = (max(map(len, spans)) for spans in zip(*self.columns, strict=True))
        output, deep = self.outputs[0], self.depthwise.outputs[0]
        found = [
            Buffer.part(self.expand.outputs[0], "", 0, rows=kept, pixels=wider, kept=self.width),
            Buffer.part(deep, "", 0, rows=1, pixels=pixels, kept=self.width if self.sums else None),
        ]
        if self.sums:
            found.append(Buffer.part(output, "", 0, rows=1, pixels=pixels, dtype=np.int32, name=f"{output.name} sums"))
        if self.before:
            found.append(Buffer.part(self.before.outputs[0], "", 0, rows=1, pixels=wider))
        return found

    @cached_property
    def extra(self) -> float:
        """About how many instructions it takes beyond those of its parts, whole."""
        lines = max(stop - first for first, stop in self.windows) * (2 if self.before else 1)
        each = self.strips * (len(self.tiles) * (lines + 1) + (len(self.tiles) if self.sums else 1))
        calls = each * self.outputs[0].hwc[0] - len(self.parts)
        sums = self.outputs[0].size * (len(self.tiles) - 1) if self.sums else 0
        return MAC * (self.macs - sum(op.macs for op in self.parts)) + SUM * sums + CALL * calls

    def calls(self, row: int, made: Mapping[str, Buffer], source: Buffer, places: Places) -> list[Call]:
        """Those that make row `row`, from `source`, where the rows that it needs are."""
        found: list[Call] = []
        shown = 0  # wide pixels, by the strips before
        for pixels, wide in self.columns:
            strip = _Strip(self, row, made, source, places, pixels, wide, shown)
            found += strip.calls()
            shown = wide.stop
        return found


@dataclass(frozen=True, eq=False)
class _Strip:
    """One strip of one row of `block`: `pixels` of the result, from the pixels `wide` of its window."""

    block: Block
    row: int
    made: Mapping[str, Buffer]
    source: Buffer
    places: Places
    pixels: range
    wide: range
    shown: int

    def calls(self) -> Iterator[Call]:
        block = self.block
        first, stop = block.windows[self.row]
        known = block.windows[self.row - 1][1] if self.row else 0  # wide rows that were made, and shown to the hook
        narrow, wide, deep = (
            self._narrow(),
            self._part(block.expand, self.wide),
            self._part(block.depthwise, self.pixels),
        )
        for tile in block.tiles:
            channels = Span.of(tile.start, tile.stop)
            for line in range(first, stop):
                if block.before:
                    every = Span.of(0, narrow.shape[2])
                    read = block.before.input_pixels(self.wide)[0]
                    yield self._made(block.before, self.source.pixels(read), narrow, line, every, line >= known)
                yield self._made(block.expand, narrow, wide, line, channels, line >= known)
            yield self._call(block.depthwise, wide, deep, channels)
            if block.sums:
                yield self._summed(deep, channels, tile.stop == deep.shape[2])
        if not block.sums:
            yield self._call(block.project, deep, self._result(), Span.of(0, self._result().shape[2]))

    def _narrow(self) -> Buffer:
        before = self.block.before
        return self._part(before, self.wide) if before else self.source.pixels(self.wide)

    def _part(self, operator: Operator, pixels: range) -> Buffer:
        """The scratch for `pixels` of what `operator` gives."""
        output = operator.outputs[0]
        return self.made[output.name].holding(pixels, output.hwc[1])

    def _result(self) -> Buffer:
        return self.made[self.block.outputs[0].name].pixels(self.pixels)

    def _made(self, operator: Operator, source: Buffer, target: Buffer, line: int, channels: Span, new: bool) -> Call:
        """A wide row, or one before it: what windows share is shown once."""
        seen = max(self.shown - self.wide.start, 0)
        layer = self.places.layer(operator) if new and seen < len(self.wide) else None
        pixels = _some(self.wide, operator)
        return Call(operator, (source,), (target,), _one(line), channels, layer=layer, pixels=pixels, seen=seen)

    def _call(self, operator: Operator, source: Buffer, target: Buffer, channels: Span) -> Call:
        layer, pixels = self.places.layer(operator), _some(self.pixels, operator)
        return Call(operator, (source,), (target,), _one(self.row), channels, layer=layer, pixels=pixels)

    def _summed(self, deep: Buffer, channels: Span, last: bool) -> Call:
        project, output = self.block.project, self._result()
        return Call(
            project,
            (deep,),
            (output,),
            _one(self.row),
            Span.of(0, output.shape[2]),
            "finish" if last else "accumulate",
            channels,
            self.made[f"{output.name} sums"].holding(self.pixels, project.outputs[0].hwc[1]),
            layer=self.places.layer(project) if last else None,
            pixels=_some(self.pixels, project),
        )


def _some(pixels: range, operator: Operator) -> range | None:
    """None where they are all."""
    return None if pixels == range(operator.outputs[0].hwc[1]) else pixels


def _one(row: int) -> Span:
    return Span(Affine(row), 1)


def is_block(operators: Sequence[Operator], inner: Sequence[bool]) -> bool:
    """The three or four operators can be a Block; `inner` says of each result that only the next operator reads it."""
    *before, expand, depthwise, project = operators
    pointwise = all(
        isinstance(operator, Conv2D) and operator.kernel == (1, 1) == operator.stride and operator.groups == 1
        for operator in (expand, project)
    )
    plain = all(operator.epilogue == "requantize" for operator in operators)
    chained = all(_reads(b, a.outputs[0]) for a, b in pairwise(operators))
    if not (pointwise and plain and chained and isinstance(depthwise, DepthwiseConv2D) and all(inner[:-1])):
        return False
    if depthwise.inputs[0].hwc[2] != depthwise.outputs[0].hwc[2] or not all(isinstance(op, Conv2D) for op in before):
        return False
    # Windows move on and leave out nothing: each wide pixel is made, and shown, once for the first that has it.
    height, width, _ = depthwise.inputs[0].hwc
    block = Block.of(operators, 1, depthwise.outputs[0].hwc[1])
    pixels = [(wide.start, wide.stop) for _, wide in block.columns]
    return _complete(block.windows, height) and _complete(pixels, width)


def _complete(windows: Sequence[tuple[int, int]], size: int) -> bool:
    """One behind the other they reach all of `size`, none ending before the one before it."""
    reached = 0
    for first, stop in windows:
        if first > reached or stop < reached or first >= stop:
            return False
        reached = stop
    return reached == size


def _reads(operator: Operator, tensor: Tensor) -> bool:
    return operator.inputs[0].name == tensor.name
