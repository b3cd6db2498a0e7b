"""What moves elements and computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from driftc.codegen.frontends.blocks.core import Around, Core, Padding, Pair
from driftc.codegen.operators.attributes import same_padding
from driftc.codegen.operators.movement.broadcast_to import BroadcastTo
from driftc.codegen.operators.movement.concatenation import Concatenation
from driftc.codegen.operators.movement.depth_to_space import DepthToSpace
from driftc.codegen.operators.movement.gather import Gather
from driftc.codegen.operators.movement.mirror_pad import MirrorPad
from driftc.codegen.operators.movement.move import Indices
from driftc.codegen.operators.movement.pack import Pack
from driftc.codegen.operators.movement.pad import Pad
from driftc.codegen.operators.movement.reshape import Reshape
from driftc.codegen.operators.movement.space_to_depth import SpaceToDepth
from driftc.codegen.operators.movement.split import Split
from driftc.codegen.operators.movement.split_v import SplitV
from driftc.codegen.operators.movement.strided_slice import StridedSlice
from driftc.codegen.operators.movement.tile import Tile
from driftc.codegen.operators.movement.transpose import Transpose
from driftc.codegen.operators.movement.unpack import Unpack
from driftc.codegen.operators.resize.resize_bilinear import ResizeBilinear
from driftc.codegen.operators.resize.resize_nearest_neighbor import ResizeNearestNeighbor
from driftc.codegen.tensor import Array, Shape, Tensor

GRIDS: tuple[tuple[str, ...], ...] = ((), ("half_pixel_centers",), ("align_corners",))  # of RESIZE_NEAREST_NEIGHBOR


class Movement(Core):
    """Padding, slices, other shapes and orders."""

    def index(self, label: str, x: Tensor, keys: Sequence[Any]) -> Tensor:
        """x[keys], of integers, slices, None and an ellipsis."""
        keys = list(keys)
        taken = sum(k is not None and k is not Ellipsis for k in keys)
        place = keys.index(Ellipsis) if Ellipsis in keys else len(keys)
        keys[place : place + 1] = [slice(None)] * (len(x.shape) - taken)
        ranges: list[range] = []
        shape: list[int] = []
        for k in keys:
            if k is None:
                shape.append(1)
                continue
            whole = range(x.shape[len(ranges)])
            if isinstance(k, slice):
                ranges.append(whole[k])
                shape.append(len(ranges[-1]))
            else:
                ranges.append(whole[int(k) : int(k) + 1 or None])
        return self.reshape(label, self.slice(f"{label}/slice", x, ranges), tuple(shape))

    def flip(self, label: str, x: Tensor, axes: Sequence[int]) -> Tensor:
        """The last index of each of `axes` first."""
        ranges = [range(n)[::-1] if axis in axes else range(n) for axis, n in enumerate(x.shape)]
        return self.slice(label, x, ranges)

    def take(self, label: str, x: Tensor, indices: Sequence[int], axis: int) -> Tensor:
        """The slices at `indices` of `axis`, in that order."""
        places = [int(index) % x.shape[axis] for index in indices]
        runs: list[range] = []
        for place in places:  # as few ranges as hold them
            if runs and len(runs[-1]) == 1 and place != runs[-1][0]:
                runs[-1] = range(runs[-1][0], place + (1 if place > runs[-1][0] else -1), place - runs[-1][0])
            elif runs and len(runs[-1]) > 1 and place == runs[-1][-1] + runs[-1].step:
                runs[-1] = range(runs[-1].start, place + (1 if runs[-1].step > 0 else -1), runs[-1].step)
            else:
                runs.append(range(place, place + 1))
        whole = [range(n) for n in x.shape]
        parts = [
            self.slice(f"{label}/{number}" if len(runs) > 1 else label, x, [*whole[:axis], run, *whole[axis + 1 :]])
            for number, run in enumerate(runs)
        ]
        return parts[0] if len(parts) == 1 else self.concat(label, parts, axis)

    def look_up(self, label: str, indices: Tensor, table: Array) -> Tensor:
        """Rows of `table` by int32 indices."""
        return self.add(Gather, label, self.constant(f"{label}/table", table), indices)

    def tile(self, label: str, x: Tensor, times: Sequence[int]) -> Tensor:
        """The tensor so often behind itself along each axis."""
        if set(times) == {1}:
            return x
        if all(n == 1 for n, count in zip(x.shape, times, strict=True) if count > 1):  # which TFLite Micro has
            shape = tuple(n * count for n, count in zip(x.shape, times, strict=True))
            return self.add(BroadcastTo, label, x, shape=shape)
        return self.add(Tile, label, x, multiples=tuple(times))

    def mirrored(self, label: str, x: Tensor, paddings: Sequence[Pair], reflects: bool) -> Tensor:
        """`x` padded with itself, mirrored; `reflects`: without the border once more."""
        if not any(before or after for before, after in paddings):
            return x
        return self.add(MirrorPad, label, x, paddings=tuple(paddings), reflects=reflects)

    def depth_to_space(self, label: str, x: Tensor, block: int) -> Tensor:
        """Channels to blocks of pixels; the place in the block is the outer part of the channel."""
        return self.add(DepthToSpace, label, x, block=block)

    def space_to_depth(self, label: str, x: Tensor, block: int) -> Tensor:
        return self.add(SpaceToDepth, label, x, block=block)

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
        return self.add(Reshape, label, x, output_shape=shape)

    def transpose(self, label: str, x: Tensor, permutation: Sequence[int]) -> Tensor:
        if tuple(permutation) == tuple(range(len(x.shape))):
            return x
        moved = [n for n in permutation if x.shape[n] > 1]
        if moved == sorted(moved):  # axes of extent 1 alone change places
            return self.reshape(label, x, tuple(x.shape[n] for n in permutation))
        return self.add(Transpose, label, x, permutation=tuple(permutation))

    def concat(self, label: str, parts: Sequence[Tensor], axis: int) -> Tensor:
        return self.add(Concatenation, label, *parts, axis=axis % len(parts[0].shape))

    def split(self, label: str, x: Tensor, sizes: Sequence[int], axis: int) -> list[Tensor]:
        """Pieces of these sizes along `axis`."""
        if len(sizes) == 1:
            return [x]
        kind = Split if len(set(sizes)) == 1 else SplitV
        return self.add_many(kind, label, [x], len(sizes), axis=axis, sizes=tuple(sizes))

    def unpack(self, label: str, x: Tensor, axis: int) -> list[Tensor]:
        """The slices along `axis`, which they do not have."""
        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        if x.shape[axis] == 1:
            return [self.reshape(label, x, shape)]
        return self.add_many(Unpack, label, [x], x.shape[axis], axis=axis)

    def pack(self, label: str, parts: Sequence[Tensor], axis: int) -> Tensor:
        """The parts beside each other along a new `axis`."""
        if len(parts) == 1:
            return self.reshape(label, parts[0], (*parts[0].shape[:axis], 1, *parts[0].shape[axis:]))
        return self.add(Pack, label, *parts, axis=axis)

    def resize(
        self,
        label: str,
        x: Tensor,
        size: Pair,
        *,
        bilinear: bool = False,
        align_corners: bool = False,
        half_pixel_centers: bool = False,
    ) -> Tensor:
        """An image of another size, of the nearest pixels or between them; `Resize` says where pixels are."""
        self._need_image(label, x)
        if size == x.shape[1:3]:
            return x
        return self.add(
            ResizeBilinear if bilinear else ResizeNearestNeighbor,
            label,
            x,
            size=size,
            align_corners=align_corners,
            half_pixel_centers=half_pixel_centers,
        )

    def nearest(self, label: str, x: Tensor, places: tuple[Indices, Indices]) -> Tensor:
        """The rows and pixels of an image at `places`: by a resize whose grid takes them, else piece by piece."""
        self._need_image(label, x)
        size = (len(places[0]), len(places[1]))
        wanted = [range(n) for n in x.shape[1:3]]
        if all(list(taken) == list(whole) for taken, whole in zip(places, wanted, strict=True)):
            return x
        for grid in GRIDS:
            options: dict[str, Any] = dict.fromkeys(grid, True)
            draft = ResizeNearestNeighbor(name="", inputs=(x,), outputs=(x,), size=size, **options)
            if all(np.array_equal(a, b) for a, b in zip(draft.taken()[1:3], places, strict=True)):
                return self.resize(label, x, size, **options)
        for axis, taken in enumerate(places, 1):
            if list(taken) != list(range(x.shape[axis])):
                x = self.take(f"{label}/{'rows' if axis == 1 else 'pixels'}", x, taken.tolist(), axis)
        return x

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
