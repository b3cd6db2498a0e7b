"""What moves elements and computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from driftc.codegen.frontends.blocks.core import Around, Core, Padding, Pair
from driftc.codegen.graph import Shape, Tensor
from driftc.codegen.operators.base import same_padding
from driftc.codegen.operators.movement.concatenation import Concatenation
from driftc.codegen.operators.movement.pad import Pad
from driftc.codegen.operators.movement.reshape import Reshape
from driftc.codegen.operators.movement.strided_slice import StridedSlice
from driftc.codegen.operators.movement.transpose import Transpose


class Movement(Core):
    """Padding, slices, other shapes and orders."""

    def pad(self, label: str, x: Tensor, paddings: Sequence[Pair], value: float = 0.0) -> Tensor:
        """`paddings` for every axis, the batch first."""
        if any(before < 0 or after < 0 for before, after in paddings):
            self.refuse(f"'{label}': negative padding {list(paddings)}")
        if not any(before or after for before, after in paddings):
            return x
        return self.add(Pad, label, x, paddings=tuple(paddings), value=0, real=value)

    def slice(self, label: str, x: Tensor, ranges: Sequence[range]) -> Tensor:
        """What `ranges` takes of each axis."""
        if any(len(taken) == 0 for taken in ranges):
            self.refuse(f"'{label}': takes nothing of an axis of {list(x.shape)}")
        if all(taken == range(extent) for taken, extent in zip(ranges, x.shape, strict=True)):
            return x
        return self.add(
            StridedSlice,
            label,
            x,
            begin=tuple(taken.start for taken in ranges),
            sizes=tuple(len(taken) for taken in ranges),
            strides=tuple(taken.step for taken in ranges),
            axes=tuple(range(len(ranges))),
        )

    def reshape(self, label: str, x: Tensor, shape: Shape) -> Tensor:
        """`shape` may hold one -1."""
        if -1 in shape:
            rest = prod(n for n in shape if n != -1)
            shape = tuple(x.size // rest if n == -1 and rest else n for n in shape)
        if shape == x.shape:
            return x
        if prod(shape) != x.size or shape[0] != 1:
            self.refuse(f"'{label}': cannot make {list(shape)} of {list(x.shape)}")
        return self.add(Reshape, label, x, shape=shape)

    def transpose(self, label: str, x: Tensor, permutation: Sequence[int]) -> Tensor:
        if tuple(permutation) == tuple(range(len(x.shape))):
            return x
        moved = [n for n in permutation if x.shape[n] > 1]
        if moved == sorted(moved):  # axes of extent 1 alone change places
            return self.reshape(label, x, tuple(x.shape[n] for n in permutation))
        return self.add(Transpose, label, x, permutation=tuple(permutation))

    def concat(self, label: str, parts: Sequence[Tensor], axis: int) -> Tensor:
        return self.add(Concatenation, label, *parts, axis=axis % len(parts[0].shape))

    def _padded(
        self, label: str, x: Tensor, kernel: Pair, stride: Pair, dilation: Pair, padding: Padding, fill: float | None
    ) -> tuple[Tensor, Around]:
        """The input and what the window itself pads: SAME or nothing, as in a .tflite; else a PAD comes before it."""
        if padding == "valid":
            padding = (0, 0, 0, 0)
        same = tuple(
            same_padding(size, k, s, d) for size, k, s, d in zip(x.shape[1:3], kernel, stride, dilation, strict=True)
        )
        around = (*same[0], *same[1])
        if padding != "same" and (padding != around or fill is None):
            edges = [(0, 0), padding[:2], padding[2:], (0, 0)]
            x = self.pad(f"{label}/pad", x, edges, 0.0 if fill is None else fill)
            around = (0, 0, 0, 0)
        for size, k, d, before, after in zip(x.shape[1:3], kernel, dilation, around[::2], around[1::2], strict=True):
            if (k - 1) * d + 1 > size + before + after:
                self.refuse(f"'{label}': a window of {list(kernel)} does not fit {list(x.shape)}")
        return x, around
