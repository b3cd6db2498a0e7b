"""An inverted bottleneck as one stage of a stream: its wide rows are made anew for every row that it gives.

Expansion (1 x 1), depthwise convolution, projection (1 x 1): between them tensors are several times as wide as before
and behind. Kept as lines, the depthwise convolution's window of wide rows is what a stream needs most RAM for. Here
only the narrow rows before it are kept. For a row of the result, some channels at a time, the wide rows of its window
are expanded, convolved, and added to the int32 sums of the projection. Rows that two windows share are expanded
twice: more MACs for less RAM, as in patch-based inference (MCUNetV2, msf-CNN), but in the expansion alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from driftc.codegen.graph import Tensor
from driftc.codegen.operators.base import Box, Operator, Tiling
from driftc.codegen.operators.conv_2d import Conv2D
from driftc.codegen.operators.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.plan.plan import Affine, Buffer, Call, Span
from driftc.codegen.plan.unit import Places


@dataclass(frozen=True, eq=False, kw_only=True)
class Block(Operator):
    """Stands for `expand`, `depthwise` and `project` in a Stream, in tiles of `width` wide channels."""

    tiling = Tiling.ROWS

    expand: Conv2D
    depthwise: DepthwiseConv2D
    project: Conv2D
    width: int

    @classmethod
    def of(cls, operators: Sequence[Operator], width: int) -> Block:
        expand, depthwise, project = operators
        assert isinstance(expand, Conv2D) and isinstance(depthwise, DepthwiseConv2D) and isinstance(project, Conv2D)
        return cls(
            name=f"{expand.name}..{project.name}",
            inputs=expand.inputs,
            outputs=project.outputs,
            expand=expand,
            depthwise=depthwise,
            project=project,
            width=width,
        )

    @property
    def parts(self) -> tuple[Operator, ...]:
        return (self.expand, self.depthwise, self.project)

    @cached_property
    def windows(self) -> list[tuple[int, int]]:
        """For each row of the result: the wide rows [first, stop) of its window."""
        height, _, channels = self.depthwise.outputs[0].hwc
        boxes = [self.depthwise.needs(Box(row, row + 1, 0, channels))[0] for row in range(height)]
        return [(box.row0, box.row1) for box in boxes]

    @property
    def macs(self) -> int:
        """Wide rows counted as often as they are made."""
        made = sum(stop - first for first, stop in self.windows)
        return self.expand.macs * made // self.expand.outputs[0].hwc[0] + self.depthwise.macs + self.project.macs

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        rows = self.windows[box.row0 : box.row1]
        return (Box(min(first for first, _ in rows), max(stop for _, stop in rows), 0, self.inputs[0].hwc[2]),)

    @property
    def scratch(self) -> list[Buffer]:
        """What is needed while a row is made: a window of wide rows, a row behind the depthwise convolution, sums."""
        kept = max(stop - first for first, stop in self.windows)
        wide, deep = self.expand.outputs[0], self.depthwise.outputs[0]
        found = [
            Buffer.part(wide, "", 0, rows=kept, kept=self.width),
            Buffer.part(deep, "", 0, rows=1, kept=self.width),
        ]
        if self.width < deep.hwc[2]:
            output = self.outputs[0]
            found.append(Buffer.part(output, "", 0, rows=1, dtype=np.int32, name=f"{output.name} sums"))
        return found

    @property
    def calls_each(self) -> int:
        """Calls for a row, about."""
        tiles = -(-self.depthwise.outputs[0].hwc[2] // self.width)
        return tiles * (max(stop - first for first, stop in self.windows) + 2)

    def calls(self, row: int, made: Mapping[str, Buffer], source: Buffer, places: Places) -> list[Call]:
        """Those that make row `row`, from `source`, where the rows that it needs are."""
        wide, deep, output = (made[part.outputs[0].name] for part in self.parts)
        channels = wide.shape[2]
        first, stop = self.windows[row]
        known = self.windows[row - 1][1] if row else 0  # wide rows that were made before, and shown to the hook
        found: list[Call] = []
        for start in range(0, channels, self.width):
            tile = Span(Affine(start), min(self.width, channels - start))
            last = start + self.width >= channels
            for line in range(first, stop):
                layer = places.layer(self.expand) if line >= known else None
                found.append(Call(self.expand, (source,), (wide,), _one(line), tile, layer=layer))
            layer = places.layer(self.depthwise)
            found.append(Call(self.depthwise, (wide,), (deep,), _one(row), tile, layer=layer))
            every = Span.of(0, output.shape[2])
            layer = places.layer(self.project)
            if self.width >= channels:
                found.append(Call(self.project, (deep,), (output,), _one(row), every, layer=layer))
                continue
            found.append(
                Call(
                    self.project,
                    (deep,),
                    (output,),
                    _one(row),
                    every,
                    "finish" if last else "accumulate",
                    tile,
                    made[f"{self.outputs[0].name} sums"],
                    layer=layer if last else None,
                )
            )
        return found


def _one(row: int) -> Span:
    return Span(Affine(row), 1)


def is_block(operators: Sequence[Operator], inner: Sequence[bool]) -> bool:
    """The three operators can be a Block; `inner` says of each result that only the next operator reads it."""
    if len(operators) != 3:
        return False
    expand, depthwise, project = operators
    pointwise = all(
        isinstance(operator, Conv2D) and operator.kernel == (1, 1) == operator.stride and operator.groups == 1
        for operator in (expand, project)
    )
    plain = all(operator.epilogue == "requantize" for operator in operators)
    if not (pointwise and plain and isinstance(depthwise, DepthwiseConv2D) and inner[0] and inner[1]):
        return False
    chained = _reads(depthwise, expand.outputs[0]) and _reads(project, depthwise.outputs[0])
    if not chained or depthwise.inputs[0].hwc[2] != depthwise.outputs[0].hwc[2]:
        return False
    windows = Block.of(operators, 1).windows
    # Windows move on and leave out no row: each wide row is made, and shown, once for the first that has it.
    reached = 0
    for first, stop in windows:
        if first > reached or stop < reached or first >= stop:
            return False
        reached = stop
    return reached == expand.outputs[0].hwc[0]


def _reads(operator: Operator, tensor: Tensor) -> bool:
    return operator.inputs[0].name == tensor.name
