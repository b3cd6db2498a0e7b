"""Operators that only move bytes: padding, views, slices, concatenation, look-up."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, TypedDict, Unpack

import numpy as np

from models.core import GraphBuilder
from models.schema import Activation, Tensor


class Grid(TypedDict, total=False):
    """Of a resized image."""

    align_corners: bool
    half_pixel_centers: bool
    name: str


class MovementOperators(GraphBuilder):
    def pad(
        self,
        x: Tensor,
        paddings: Sequence[tuple[int, int]],
        *,
        value: int | None = None,
        out_scale: float | None = None,
        out_zero_point: int | None = None,
        name: str | None = None,
    ) -> Tensor:
        """PAD, or PADV2 when `value` (a raw int8, in the output's quantisation) is given."""
        shape = tuple(extent + sum(pair) for extent, pair in zip(x.shape, paddings, strict=True))
        y = self.result(name, shape, x, out_scale, out_zero_point)
        amounts = self.constant(np.asarray(paddings), dtype=np.int32)
        if value is None:
            self.operator("PAD", [x, amounts], [y], "PadOptions", version=2)
        else:
            fill = self.constant(
                np.array([value]), dtype=y.dtype, scale=y.scale or None, zero_point=y.zero_point[0] if y.scale else 0
            )
            self.operator("PADV2", [x, amounts, fill], [y], "PadV2Options", version=2)
        return y

    def reshape(self, x: Tensor, shape: Sequence[int], *, name: str | None = None, operand: bool = True) -> Tensor:
        """`operand`: the shape as a second input too, as converters write it; else in the options alone."""
        known = prod(extent for extent in shape if extent != -1)
        y = self.result(name, tuple(prod(x.shape) // known if extent == -1 else extent for extent in shape), x)
        operands = [x, self.constant(list(shape), dtype=np.int32)] if operand else [x]
        self.operator("RESHAPE", operands, [y], "ReshapeOptions", NewShape=tuple(shape))
        return y

    def squeeze(self, x: Tensor, axes: Sequence[int] = (), *, name: str | None = None) -> Tensor:
        """Without `axes`, every axis of extent 1 goes."""
        gone = {axis % len(x.shape) for axis in axes} or {axis for axis, extent in enumerate(x.shape) if extent == 1}
        y = self.result(name, tuple(extent for axis, extent in enumerate(x.shape) if axis not in gone), x)
        self.operator("SQUEEZE", [x], [y], "SqueezeOptions", SqueezeDims=tuple(axes))
        return y

    def expand_dims(self, x: Tensor, axis: int, *, name: str | None = None) -> Tensor:
        place = axis % (len(x.shape) + 1)
        y = self.result(name, (*x.shape[:place], 1, *x.shape[place:]), x)
        self.operator("EXPAND_DIMS", [x, self.constant([axis], dtype=np.int32)], [y], "ExpandDimsOptions")
        return y

    def transpose(self, x: Tensor, permutation: Sequence[int], *, name: str | None = None) -> Tensor:
        y = self.result(name, tuple(x.shape[axis] for axis in permutation), x)
        order = self.constant(list(permutation), dtype=np.int32)
        self.operator("TRANSPOSE", [x, order], [y], "TransposeOptions", version=2)
        return y

    def concatenation(
        self,
        parts: Sequence[Tensor],
        axis: int = -1,
        *,
        activation: Activation = Activation.NONE,
        out_scale: float | None = None,
        out_zero_point: int | None = None,
        name: str | None = None,
    ) -> Tensor:
        first = parts[0]
        place = axis % len(first.shape)
        extent = sum(part.shape[place] for part in parts)
        shape = (*first.shape[:place], extent, *first.shape[place + 1 :])
        y = self.result(name, shape, first, out_scale, out_zero_point)
        self.operator(
            "CONCATENATION",
            list(parts),
            [y],
            "ConcatenationOptions",
            version=2,
            Axis=axis,
            FusedActivationFunction=int(activation),
        )
        return y

    def strided_slice(
        self,
        x: Tensor,
        begin: Sequence[int],
        end: Sequence[int],
        strides: Sequence[int],
        *,
        begin_mask: int = 0,
        end_mask: int = 0,
        shrink_axis_mask: int = 0,
        ellipsis_mask: int = 0,
        new_axis_mask: int = 0,
        name: str | None = None,
    ) -> Tensor:
        """Masks are bit sets over the positions in `begin`, as in the schema."""
        index: list[Any] = []
        for place, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
            bit = 1 << place
            if ellipsis_mask & bit:
                index.append(Ellipsis)
            elif new_axis_mask & bit:
                index.append(np.newaxis)
            elif shrink_axis_mask & bit:
                index.append(first)
            else:
                index.append(slice(None if begin_mask & bit else first, None if end_mask & bit else last, step))
        shape = np.empty(x.shape, np.bool_)[tuple(index)].shape
        y = self.result(name, shape, x)
        bounds = [self.constant(list(values), dtype=np.int32) for values in (begin, end, strides)]
        self.operator(
            "STRIDED_SLICE",
            [x, *bounds],
            [y],
            "StridedSliceOptions",
            version=2,
            BeginMask=begin_mask,
            EndMask=end_mask,
            EllipsisMask=ellipsis_mask,
            NewAxisMask=new_axis_mask,
            ShrinkAxisMask=shrink_axis_mask,
        )
        return y

    def split(self, x: Tensor, parts: int, axis: int = -1, *, names: Sequence[str] | None = None) -> list[Tensor]:
        place = axis % len(x.shape)
        shape = (*x.shape[:place], x.shape[place] // parts, *x.shape[place + 1 :])
        results = [self.result(names[part] if names else None, shape, x) for part in range(parts)]
        self.operator("SPLIT", [self.constant(axis, dtype=np.int32), x], results, "SplitOptions", NumSplits=parts)
        return results

    def split_v(
        self, x: Tensor, sizes: Sequence[int], axis: int = -1, *, names: Sequence[str] | None = None
    ) -> list[Tensor]:
        """One of `sizes` may be -1."""
        place = axis % len(x.shape)
        rest = x.shape[place] - sum(size for size in sizes if size != -1)
        shapes = [(*x.shape[:place], rest if n == -1 else n, *x.shape[place + 1 :]) for n in sizes]
        results = [self.result(names[part] if names else None, shape, x) for part, shape in enumerate(shapes)]
        operands = [x, self.constant(list(sizes), dtype=np.int32), self.constant(axis, dtype=np.int32)]
        self.operator("SPLIT_V", operands, results, "SplitVOptions", version=2, NumSplits=len(sizes))
        return results

    def slice(self, x: Tensor, begin: Sequence[int], size: Sequence[int], *, name: str | None = None) -> Tensor:
        """-1 as a size: all that are left."""
        pairs = zip(begin, size, x.shape, strict=True)
        y = self.result(name, tuple(extent - first if n == -1 else n for first, n, extent in pairs), x)
        bounds = [self.constant(list(values), dtype=np.int32) for values in (begin, size)]
        self.operator("SLICE", [x, *bounds], [y], "SliceOptions", version=3)
        return y

    def pack(self, parts: Sequence[Tensor], axis: int = 0, *, name: str | None = None) -> Tensor:
        shape = parts[0].shape
        place = axis % (len(shape) + 1)
        y = self.result(name, (*shape[:place], len(parts), *shape[place:]), parts[0])
        self.operator("PACK", list(parts), [y], "PackOptions", version=2, ValuesCount=len(parts), Axis=axis)
        return y

    def unpack(self, x: Tensor, axis: int = 0, *, names: Sequence[str] | None = None) -> list[Tensor]:
        place = axis % len(x.shape)
        count, shape = x.shape[place], (*x.shape[:place], *x.shape[place + 1 :])
        results = [self.result(names[part] if names else None, shape, x) for part in range(count)]
        self.operator("UNPACK", [x], results, "UnpackOptions", version=2, Num=count, Axis=axis)
        return results

    def tile(self, x: Tensor, multiples: Sequence[int], *, name: str | None = None) -> Tensor:
        y = self.result(name, tuple(n * count for n, count in zip(x.shape, multiples, strict=True)), x)
        self.operator("TILE", [x, self.constant(list(multiples), dtype=np.int32)], [y], "TileOptions")
        return y

    def reverse_v2(self, x: Tensor, axes: Sequence[int], *, name: str | None = None) -> Tensor:
        y = self.result(name, x.shape, x)
        self.operator("REVERSE_V2", [x, self.constant(list(axes), dtype=np.int32)], [y], "ReverseV2Options")
        return y

    def mirror_pad(
        self, x: Tensor, paddings: Sequence[tuple[int, int]], *, reflect: bool = True, name: str | None = None
    ) -> Tensor:
        y = self.result(name, tuple(n + sum(pair) for n, pair in zip(x.shape, paddings, strict=True)), x)
        amounts = self.constant(np.asarray(paddings), dtype=np.int32)
        self.operator("MIRROR_PAD", [x, amounts], [y], "MirrorPadOptions", version=2, Mode=0 if reflect else 1)
        return y

    def broadcast_to(self, x: Tensor, shape: Sequence[int], *, name: str | None = None) -> Tensor:
        y = self.result(name, tuple(shape), x)
        operands = [x, self.constant(list(shape), dtype=np.int32)]
        self.operator("BROADCAST_TO", operands, [y], "BroadcastToOptions", version=2)
        return y

    def space_to_depth(self, x: Tensor, block: int, *, name: str | None = None) -> Tensor:
        n, height, width, channels = x.shape
        y = self.result(name, (n, height // block, width // block, channels * block * block), x)
        self.operator("SPACE_TO_DEPTH", [x], [y], "SpaceToDepthOptions", version=2, BlockSize=block)
        return y

    def depth_to_space(self, x: Tensor, block: int, *, name: str | None = None) -> Tensor:
        n, height, width, channels = x.shape
        y = self.result(name, (n, height * block, width * block, channels // (block * block)), x)
        self.operator("DEPTH_TO_SPACE", [x], [y], "DepthToSpaceOptions", BlockSize=block)
        return y

    def space_to_batch_nd(
        self, x: Tensor, block: Sequence[int], paddings: Sequence[tuple[int, int]], *, name: str | None = None
    ) -> Tensor:
        small = [(n + sum(pair)) // size for n, size, pair in zip(x.shape[1:-1], block, paddings, strict=True)]
        y = self.result(name, (x.shape[0] * prod(block), *small, x.shape[-1]), x)
        operands = [self.constant(np.asarray(values), dtype=np.int32) for values in (block, paddings)]
        self.operator("SPACE_TO_BATCH_ND", [x, *operands], [y], "SpaceToBatchNDOptions", version=2)
        return y

    def batch_to_space_nd(
        self, x: Tensor, block: Sequence[int], crops: Sequence[tuple[int, int]], *, name: str | None = None
    ) -> Tensor:
        large = [n * size - sum(pair) for n, size, pair in zip(x.shape[1:-1], block, crops, strict=True)]
        y = self.result(name, (x.shape[0] // prod(block), *large, x.shape[-1]), x)
        operands = [self.constant(np.asarray(values), dtype=np.int32) for values in (block, crops)]
        self.operator("BATCH_TO_SPACE_ND", [x, *operands], [y], "BatchToSpaceNDOptions", version=2)
        return y

    def resize_nearest_neighbor(self, x: Tensor, size: tuple[int, int], **grid: Unpack[Grid]) -> Tensor:
        return self._resize("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions", x, size, **grid)

    def resize_bilinear(self, x: Tensor, size: tuple[int, int], **grid: Unpack[Grid]) -> Tensor:
        return self._resize("RESIZE_BILINEAR", "ResizeBilinearOptions", x, size, **grid)

    def _resize(
        self,
        code: str,
        table: str,
        x: Tensor,
        size: tuple[int, int],
        *,
        align_corners: bool = False,
        half_pixel_centers: bool = False,
        name: str | None = None,
    ) -> Tensor:
        y = self.result(name, (x.shape[0], *size, x.shape[3]), x)
        operands = [x, self.constant(list(size), dtype=np.int32)]
        options = {"AlignCorners": align_corners, "HalfPixelCenters": half_pixel_centers}
        self.operator(code, operands, [y], table, version=3, **options)
        return y

    def gather(
        self, x: Tensor, indices: Tensor, *, axis: int = 0, batch_dims: int = 0, name: str | None = None
    ) -> Tensor:
        """`indices` int32; `x` may be a constant (an embedding table)."""
        place = axis % len(x.shape)
        shape = (*x.shape[:place], *indices.shape[batch_dims:], *x.shape[place + 1 :])
        y = self.result(name, shape, x)
        self.operator("GATHER", [x, indices], [y], "GatherOptions", version=2, Axis=axis, BatchDims=batch_dims)
        return y

    def gather_nd(self, x: Tensor, indices: Tensor, *, name: str | None = None) -> Tensor:
        y = self.result(name, (*indices.shape[:-1], *x.shape[indices.shape[-1] :]), x)
        self.operator("GATHER_ND", [x, indices], [y], "GatherNdOptions")
        return y

    def embedding_lookup(self, indices: Tensor, table: Tensor, *, name: str | None = None) -> Tensor:
        """`indices` int32 [n], `table` [rows, ...]."""
        y = self.result(name, (*indices.shape, *table.shape[1:]), table)
        self.operator("EMBEDDING_LOOKUP", [indices, table], [y])
        return y
