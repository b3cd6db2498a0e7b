"""Fused depthwise tiling: some channels at a time through a fan-out, what works on each channel alone, and a fan-in.

The fan-out (convolution, dense layer, look-up in a table) makes a few channels, the middle works on them alone, the
fan-in adds what they contribute to its int32 sums; bias, requantisation and activation follow the last tile. Or there
is no fan-in, and the last result is written slice by slice. Integer sums do not depend on their order, nothing is
computed twice, and what lies between never exists whole.

After "Fused Depthwise Tiling for Memory Optimization in TinyML Deep Neural Network Inference" (arXiv 2303.17878).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.base import Box, Operator, Tiling
from driftc.codegen.operators.movement.gather import Gather
from driftc.codegen.plan.buffer import Affine, Buffer, Span
from driftc.codegen.plan.call import Call
from driftc.codegen.plan.pack import Pack
from driftc.codegen.plan.unit import Places, Unit, tiled
from driftc.codegen.tensor import Tensor

COUNTS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128)  # of tiles that are tried


@dataclass(frozen=True, eq=False)
class Path:
    """`operators` in an order that can be executed, in tiles of `width` channels of what the last of them tiles.

    `results` stay whole: the fan-in's, or what the last operator gives slice by slice.
    """

    operators: tuple[Operator, ...]
    results: tuple[Tensor, ...]
    views: Mapping[str, str]
    width: int
    fan_in: bool

    @cached_property
    def maker(self) -> dict[str, int]:
        """Tensor name -> number of the operator that computes it, under the names of its views as well."""
        made = {tensor.name: n for n, operator in enumerate(self.operators) for tensor in operator.outputs}
        return made | {view: made[name] for view, name in self.views.items() if name in made}

    @property
    def channels(self) -> int:
        last = self.operators[-1]
        return (last.inputs if self.fan_in else last.outputs)[0].hwc[2]

    @cached_property
    def tiles(self) -> list[dict[int, Box]] | None:
        """For each tile what each operator computes, the fan-in aside; None where tiles do not lie side by side."""
        found = []
        for start in range(0, self.channels, self.width):
            boxes = self._tile(range(start, min(start + self.width, self.channels)))
            if boxes is None:
                return None
            found.append(boxes)
        for number, operator in enumerate(self._tiled):
            edges = [(boxes[number].channel0, boxes[number].channel1) for boxes in found]
            whole = [0, *(stop for _, stop in edges)]
            kept = edges[0][1] - edges[0][0]
            beside = [start for start, _ in edges] == whole[:-1] and whole[-1] == operator.outputs[0].hwc[2]
            if not beside or any(start % kept or stop - start > kept for start, stop in edges):
                return None
        return found

    @property
    def _tiled(self) -> tuple[Operator, ...]:
        return self.operators[:-1] if self.fan_in else self.operators

    def _tile(self, channels: range) -> dict[int, Box] | None:
        """What is needed for these channels of the last tensor."""
        boxes: dict[int, Box] = {}
        last = len(self._tiled) - 1
        height = self._tiled[last].outputs[0].hwc[0]
        wanted: dict[int, Box] = {last: Box(0, height, channels.start, channels.stop)}
        for number in range(last, -1, -1):
            box = wanted.get(number)
            if box is None:
                return None
            boxes[number] = box
            operator = self.operators[number]
            for tensor, need in zip(operator.inputs, operator.needs(box), strict=True):
                maker = self.maker.get(tensor.name) if tensor.data is None else None
                if maker is None:
                    continue
                full = Box(0, self.operators[maker].outputs[0].hwc[0], need.channel0, need.channel1)
                if tensor.name in self.views and tensor.hwc != self._root(tensor).hwc:
                    return None  # the channels of one are not those of the other
                if wanted.setdefault(maker, full) != full:
                    return None
        return boxes

    def _root(self, tensor: Tensor) -> Tensor:
        name = self.views.get(tensor.name, tensor.name)
        return next(t for t in self.operators[self.maker[name]].outputs if t.name == name)

    @property
    def possible(self) -> bool:
        if self.fan_in:
            last = self.operators[-1]
            source = last.inputs[0]
            if source.name not in self.maker or source.hwc != self._root(source).hwc:
                return False
        return self.tiles is not None and len(self.tiles) > 1

    @cached_property
    def pack(self) -> Pack:
        """The tiles, one of each tensor, and the sums of the fan-in."""
        tiles = self.tiles
        assert tiles is not None
        count = len(tiles) * len(self.operators)
        whole = {tensor.name for tensor in self.results}
        found: dict[str, tuple[Buffer, NDArray[np.bool_]]] = {}
        for number, operator in enumerate(self._tiled):
            readers = [
                n
                for n, other in enumerate(self.operators)
                if any(self.views.get(t.name, t.name) in {o.name for o in operator.outputs} for t in other.inputs)
            ]
            during = np.zeros((len(tiles), len(self.operators)), np.bool_)
            during[:, number : max([number, *readers]) + 1] = True
            for tensor in operator.outputs:
                if tensor.name not in whole:
                    kept = tiles[0][number].channel1 - tiles[0][number].channel0
                    found[tensor.name] = Buffer.part(tensor, "", 0, kept=kept), during.reshape(count)
        if self.fan_in:
            output = self.operators[-1].outputs[0]
            sums = Buffer.part(output, "", 0, dtype=np.int32, name=f"{output.name} sums")
            from_first = np.arange(count) >= len(self.operators) - 1
            found[sums.name] = sums, from_first
        return Pack(f"{self.operators[0].name}..{self.operators[-1].name} channels", found)

    @property
    def bytes(self) -> int:
        return self.pack.bytes

    def unit(self) -> Unit | None:
        """None where tiles do not lie side by side."""
        if not self.possible:
            return None
        macs = sum(operator.macs for operator in self.operators)
        return tiled(self.operators, self.calls, self.pack.blocks, self.results, self.views, macs, "channels")

    def calls(self, places: Places) -> list[Call]:
        made = {tensor.name: places.whole(tensor) for tensor in self.results} | self.pack.placed(places)
        return list(self._calls(made, places))

    def _calls(self, made: Mapping[str, Buffer], places: Places) -> Iterator[Call]:
        assert self.tiles is not None
        for turn, boxes in enumerate(self.tiles):
            for number, operator in enumerate(self._tiled):
                box = boxes[number]
                yield Call(
                    operator,
                    tuple(self._buffer(tensor, made, places) for tensor in operator.inputs),
                    tuple(made[tensor.name] for tensor in operator.outputs),
                    Span.of(0, operator.outputs[0].hwc[0]),
                    Span(Affine(box.channel0), box.channel1 - box.channel0),
                    operator.epilogue,
                    layer=places.layer(operator),
                )
            if self.fan_in:
                last = self.operators[-1]
                output = last.outputs[0]
                final = turn == len(self.tiles) - 1
                start = turn * self.width
                yield Call(
                    last,
                    tuple(self._buffer(tensor, made, places) for tensor in last.inputs),
                    (made[output.name],),
                    Span.of(0, output.hwc[0]),
                    Span.of(0, output.hwc[2]),
                    "finish" if final else "accumulate",
                    Span(Affine(start), min(self.width, self.channels - start)),
                    made[f"{output.name} sums"],
                    layer=places.layer(last) if final else None,
                )

    def _buffer(self, tensor: Tensor, made: Mapping[str, Buffer], places: Places) -> Buffer:
        return made.get(self.views.get(tensor.name, tensor.name)) or places.whole(tensor)


def fans_out(operator: Operator) -> bool:
    """Makes any channels alone, from whole inputs."""
    if isinstance(operator, Gather) and not operator.by_channel:
        return False
    return Tiling.CHANNELS in operator.divisible and operator.kind in FAN_OUT and getattr(operator, "groups", 1) == 1


def fans_in(operator: Operator) -> bool:
    """Sums over its input channels, any of them alone."""
    return (
        Tiling.REDUCE in operator.divisible
        and operator.epilogue == "requantize"
        and getattr(operator, "groups", 1) == 1
    )


FAN_OUT = ("CONV_2D", "FULLY_CONNECTED", "GATHER", "EMBEDDING_LOOKUP")


def widths(channels: int) -> list[int]:
    """Widths of tiles worth trying, the widest first: of four channels and more in fours, as kernels compute them."""
    found = {max(1, -(-channels // count)) for count in COUNTS if count <= channels}
    return sorted({-(-width // 4) * 4 if width > 2 else width for width in found if width < channels}, reverse=True)
