"""Frameworks that put channels first: their axes on one side, NHWC on the other. Shared by ONNX and PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from driftc.codegen.frontends.builder import Pair
from driftc.codegen.frontends.orders import Orders
from driftc.codegen.frontends.value import Axes, Value, channels_last, in_order
from driftc.codegen.operators.attributes import same_padding
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.tensor import Array, Tensor

Pairs = Sequence[Pair]  # what is padded before and after each axis of a window


class ChannelsFirst(Orders):
    """The operators of FloatBuilder in the framework's axes."""

    # --- layers ---

    def conv(
        self,
        label: str,
        x: Value,
        weights: Array,
        bias: Array | None,
        stride: Sequence[int],
        padding: Pairs,
        dilation: Sequence[int],
        groups: int,
    ) -> Value:
        """`weights` [out, in / groups, ...] with one or two axes of a window."""
        x, order = self._window(label, x, weights.ndim - 2)
        window: dict[str, Any] = {"stride": _pair(stride, order, 1), "dilation": _pair(dilation, order, 1)}
        filters = _filters(weights, order)
        around = (*_pair(padding, order, (0, 0))[0], *_pair(padding, order, (0, 0))[1])
        return self._by_image(
            label, x, lambda y: self.builder.conv(label, y, filters, bias, padding=around, groups=groups, **window)
        )

    def transpose_conv(
        self,
        label: str,
        x: Value,
        weights: Array,
        bias: Array | None,
        stride: Sequence[int],
        crop: Pairs,
        dilation: Sequence[int],
        groups: int,
    ) -> Value:
        """`weights` [in, out / groups, ...]; `crop` is cut off before and after each axis of the window."""
        x, order = self._window(label, x, weights.ndim - 2)
        parts = [part.swapaxes(0, 1) for part in np.split(weights, groups)]
        filters = _filters(np.concatenate(parts), order)
        step, spread = _pair(stride, order, 1), _pair(dilation, order, 1)
        cut = _pair(crop, order, (0, 0))
        return self._by_image(
            label,
            x,
            lambda y: self.builder.transpose_conv(
                label, y, filters, bias, stride=step, dilation=spread, crop=cut, groups=groups
            ),
        )

    def resize(self, label: str, x: Value, size: Sequence[int], **grid: bool) -> Value:
        """`grid` is what FloatBuilder.resize takes."""
        x, order = self._window(label, x, len(size))
        wanted = _pair([int(n) for n in size], order, 1)
        return self._by_image(label, x, lambda y: self.builder.resize(label, y, wanted, **grid))

    def dense(self, label: str, x: Value, weights: Array, bias: Array | None) -> Value:
        """`weights` [out, in], over the last axis."""
        if x.flattened is not None and weights.shape[1] == x.shape[-1]:
            rows = np.stack([x.as_here(row).reshape(-1) for row in weights])
            return Value(self.builder.dense(label, x.tensor, rows, bias), x.axes)
        x = self.last(label, x, -1)
        return Value(self.builder.dense(label, x.tensor, weights, bias), x.axes)

    def matmul(self, label: str, a: Value, b: Value) -> Value:
        """Of the last two axes; the axes before them broadcast."""
        rank = max(a.rank, b.rank, 3)
        a, b = (self.expanded(f"{label}/{side}", x, rank) for side, x in (("a", a), ("b", b)))
        own = int(a.shape[0] != 1 or b.shape[0] != 1)
        tensors, transposed = [], []
        for side, x in (("a", a), ("b", b)):
            order = in_order(rank, own)
            turned = (*order[:-2], order[-1], order[-2])
            transposed.append(x.flattened is None and x.axes == turned and len(x.tensor.shape) == rank + own)
            tensors.append(x.tensor if transposed[-1] else self.moved(f"{label}/{side}", x, order).tensor)
        tensor = self.builder.matmul(label, tensors[0], tensors[1], (transposed[0], transposed[1]))
        return Value(tensor, in_order(rank, own))

    def matmul_constant(self, label: str, x: Value, matrix: Array, first: bool) -> Value:
        """With a constant, which is the first operand where `first`."""
        if matrix.ndim == 2 and not first:
            return self.dense(label, x, matrix.T, None)
        data = matrix.reshape((1,) * (max(x.rank, 3) - matrix.ndim) + matrix.shape)
        constant = Value(self.builder.constant(f"{label}/constant", data), in_order(data.ndim))
        return self.matmul(label, constant, x) if first else self.matmul(label, x, constant)

    def batch_norm(
        self,
        label: str,
        x: Value,
        gamma: Array | None,
        beta: Array | None,
        mean: Array,
        variance: Array,
        epsilon: float,
    ) -> Value:
        """Along axis 1."""
        found = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
        if x.flattened is not None:
            found = {key: None if v is None else x.as_here(v).reshape(-1) for key, v in found.items()}
        else:
            x = self.with_channels_last(label, x)
        values: dict[str, Any] = found
        return replace(x, tensor=self.builder.batch_norm(label, x.tensor, epsilon=epsilon, **values))

    def layer_norm(
        self,
        label: str,
        x: Value,
        axes: Sequence[int],
        gamma: Array | None,
        beta: Array | None,
        epsilon: float,
        centred: bool = True,
    ) -> Value:
        """Over `axes` of the framework; `gamma` and `beta` broadcast in its order."""
        x = self._unflattened(label, x)
        inside = [x.axes[axis % x.rank] for axis in axes]
        y = replace(x, tensor=self.builder.standardized(f"{label}/standard", x.tensor, inside, epsilon, centred))
        return self._scaled(label, y, gamma, beta)

    def group_norm(
        self, label: str, x: Value, groups: int, gamma: Array | None, beta: Array | None, epsilon: float
    ) -> Value:
        """Over groups of axis 1; `gamma` and `beta` [C]."""
        x = self.with_channels_last(label, x)
        y = replace(x, tensor=self.builder.group_norm(f"{label}/standard", x.tensor, groups, epsilon))
        shape = (-1, *(1,) * (x.rank - 2))
        parts = [None if part is None else part.reshape(shape) for part in (gamma, beta)]
        return self._scaled(label, y, parts[0], parts[1])

    def _scaled(self, label: str, x: Value, gamma: Array | None, beta: Array | None) -> Value:
        if gamma is not None and np.any(gamma != 1):
            x = self.binary_constant(f"{label}/gamma", Mul, x, gamma, first=False)
        if beta is not None and np.any(beta != 0):
            x = self.binary_constant(f"{label}/beta", Add, x, beta, first=False)
        return x

    def activation(self, label: str, x: Value, name: str, alpha: float = 0.0) -> Value:
        """Of each element."""
        return replace(x, tensor=self.builder.activation(label, x.tensor, name, alpha))

    def power(self, label: str, x: Value, exponent: float) -> Value:
        return replace(x, tensor=self.builder.power(label, x.tensor, exponent))

    def prelu(self, label: str, x: Value, alpha: Array) -> Value:
        """`alpha` broadcasts in the framework's order."""
        if alpha.size == 1:
            return self.activation(label, x, "leaky_relu", float(alpha.reshape(-1)[0]))
        x, slopes = self.beside(label, x, alpha)
        assert slopes.data is not None
        return replace(x, tensor=self.builder.prelu(label, x.tensor, slopes.data))

    def clip(self, label: str, x: Value, low: float | None, high: float | None) -> Value:
        """Values between bounds; None is no bound."""
        return replace(x, tensor=self.builder.clip(label, x.tensor, low, high))

    def softmax(self, label: str, x: Value, axis: int, name: str = "softmax") -> Value:
        """`name`: or 'log_softmax'."""
        x = self.last(label, x, axis)
        return replace(x, tensor=self.builder.activation(label, x.tensor, name))

    def pool(
        self,
        label: str,
        x: Value,
        kind: Literal["max", "average"],
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Pairs,
    ) -> Value:
        """Padding counts in an average."""
        x, order = self._window(label, x, len(kernel))
        around = (*_pair(padding, order, (0, 0))[0], *_pair(padding, order, (0, 0))[1])
        size, step = _pair(kernel, order, 1), _pair(stride, order, 1)
        return self._by_image(label, x, lambda y: self.builder.pool(label, y, kind, size, step, around))

    def average_uncounted(
        self, label: str, x: Value, kernel: Sequence[int], stride: Sequence[int], padding: Pairs
    ) -> Value:
        """Average pooling that leaves padding out of the mean."""
        if not any(a or b for a, b in padding):
            return self.pool(label, x, "average", kernel, stride, padding)
        x, order = self._window(label, x, len(kernel))
        size, step, pads = _pair(kernel, order, 1), _pair(stride, order, 1), _pair(padding, order, (0, 0))
        return self._by_image(label, x, lambda y: self.builder.average_uncounted(label, y, size, step, pads))

    def adaptive(self, label: str, x: Value, kind: Literal["max", "average"], size: Sequence[int]) -> Value:
        """Pooling to `size`."""
        if kind == "average" and set(size) == {1}:
            return self.mean(label, x, range(2, x.rank), keep_dims=True)
        if any(extent % wanted for extent, wanted in zip(x.shape[2:], size, strict=True)):
            extents, wanted = (" x ".join(map(str, part)) for part in (x.shape[2:], size))
            self.builder.refuse(f"'{label}': {extents} do not divide into {wanted} equal windows")
        kernel = [extent // wanted for extent, wanted in zip(x.shape[2:], size, strict=True)]
        return self.pool(label, x, kind, kernel, kernel, [(0, 0)] * len(kernel))

    def mean(self, label: str, x: Value, axes: Sequence[int], keep_dims: bool) -> Value:
        return self.reduce(Mean, label, x, axes, keep_dims)

    def reduce(self, kind: type[Operator], label: str, x: Value, axes: Sequence[int], keep_dims: bool) -> Value:
        """MEAN, SUM, REDUCE_MAX and the like."""
        x = self._unflattened(label, x)
        gone = {axis % x.rank for axis in axes}
        tensor = self.builder.reduce(kind, label, x.tensor, [x.axes[axis] for axis in gone], keep_dims)
        return Value(tensor, x.axes if keep_dims else _without(x.axes, gone))

    def cumsum(self, label: str, x: Value, axis: int, exclusive: bool = False, reverse: bool = False) -> Value:
        x = self._unflattened(label, x)
        tensor = self.builder.cumsum(label, x.tensor, x.axes[axis % x.rank], exclusive, reverse)
        return replace(x, tensor=tensor)

    def norm(self, label: str, x: Value, axes: Sequence[int], keep_dims: bool) -> Value:
        """The root of the sum of squares."""
        x = self._unflattened(label, x)
        gone = {axis % x.rank for axis in axes}
        tensor = self.builder.norm(label, x.tensor, [x.axes[axis] for axis in gone], keep_dims)
        return Value(tensor, x.axes if keep_dims else _without(x.axes, gone))

    def arg(self, kind: type[Operator], label: str, x: Value, axis: int, keep_dims: bool) -> Value:
        """ARG_MAX or ARG_MIN, which ends a model."""
        x = self._unflattened(label, x)
        if keep_dims:
            self.builder.refuse(
                f"'{label}': keeps the axis whose index it gives; driftc gives it without (keepdim=False)"
            )
        return Value(self.builder.arg(kind, label, x.tensor, x.axes[axis % x.rank]), _without(x.axes, {axis % x.rank}))

    # --- two operands ---

    def binary(self, label: str, kind: type[Operator], a: Value, b: Value) -> Value:
        a, b = self.alike(label, a, b)
        return replace(a, tensor=self.builder.binary(label, kind, a.tensor, b.tensor))

    def binary_constant(self, label: str, kind: type[Operator], x: Value, data: Array, first: bool) -> Value:
        """An operand that is a constant, in the framework's axes; `first` where it is the first operand."""
        x, constant = self.beside(label, x, data)
        operands = (constant, x.tensor) if first else (x.tensor, constant)
        return replace(x, tensor=self.builder.binary(label, kind, *operands))

    def alike(self, label: str, a: Value, b: Value) -> tuple[Value, Value]:
        """Both in one order of axes, for an operator that broadcasts: that of the larger."""
        if a.flattened is not None and b.flattened is not None and a.shape == b.shape:
            before, other = a.flattened, b.flattened
            if before.axes == other.axes and before.shape == other.shape:
                return a, b
        rank = max(a.rank, b.rank)
        a, b = (
            self.expanded(f"{label}/{side}", self._unflattened(f"{label}/{side}", x), rank)
            for side, x in (("a", a), ("b", b))
        )
        if a.axes == b.axes and len(a.tensor.shape) == len(b.tensor.shape):
            return a, b
        if a.tensor.size >= b.tensor.size:
            return a, self.moved(f"{label}/b", b, a.axes)
        return self.moved(f"{label}/a", a, b.axes), b

    def beside(self, label: str, x: Value, data: Array) -> tuple[Value, Tensor]:
        """`x`, and a constant in its order, for an operator that broadcasts."""
        if x.flattened is not None and data.size > 1:
            if data.size == x.shape[-1]:
                return x, self.builder.constant(f"{label}/constant", x.as_here(data).reshape(-1))
            x = self._unflattened(label, x)
        x = self.expanded(label, x, max(x.rank, data.ndim))
        data = data.reshape((1,) * (x.rank - data.ndim) + data.shape)
        if x.flattened is None:
            data = data.transpose(np.argsort(x.axes))
        kept = next((axis for axis, n in enumerate(data.shape) if n > 1), data.ndim - 1)
        return x, self.builder.constant(f"{label}/constant", data.reshape(data.shape[kept:]))

    # --- movement ---

    def look_up(self, label: str, indices: Value, table: Array) -> Value:
        """Rows of `table` by int32 indices."""
        tensor = self.builder.look_up(label, self.plain(label, indices), table)
        return Value(tensor, in_order(len(tensor.shape)))

    def concat(self, label: str, parts: Sequence[Value], axis: int) -> Value:
        parts = [self._unflattened(f"{label}/{number}", part) for number, part in enumerate(parts)]
        largest = max(parts, key=lambda part: part.tensor.size)
        parts = [self.moved(f"{label}/{number}", part, largest.axes) for number, part in enumerate(parts)]
        tensor = self.builder.concat(label, [part.tensor for part in parts], largest.axes[axis % largest.rank])
        return replace(largest, tensor=tensor)

    def pad(self, label: str, x: Value, paddings: Pairs, value: float) -> Value:
        """`paddings` for every axis of the framework."""
        x = self._unflattened(label, x)
        return replace(x, tensor=self.builder.pad(label, x.tensor, self._here(x, paddings, (0, 0)), value))

    def slice(self, label: str, x: Value, ranges: Sequence[range]) -> Value:
        x = self._unflattened(label, x)
        return replace(x, tensor=self.builder.slice(label, x.tensor, self._here(x, ranges, range(1))))

    def split(self, label: str, x: Value, sizes: Sequence[int], axis: int) -> list[Value]:
        x = self._unflattened(label, x)
        return [replace(x, tensor=part) for part in self.builder.split(label, x.tensor, sizes, x.axes[axis % x.rank])]

    def take(self, label: str, x: Value, indices: Array, axis: int) -> Value:
        """The slices at constant `indices`, whose axes stand in the place of `axis`."""
        axis %= x.rank
        x = self._unflattened(label, x)
        tensor = self.builder.take(label, x.tensor, indices.reshape(-1).tolist(), x.axes[axis])
        shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
        return self.reshape(f"{label}/index", replace(x, tensor=tensor), shape)

    def tiled(self, label: str, x: Value, times: Sequence[int]) -> Value:
        """As often behind itself along each axis."""
        x = self._unflattened(label, self.expanded(label, x, len(times)))
        return replace(x, tensor=self.builder.tile(label, x.tensor, self._here(x, times, 1)))

    def mirrored(self, label: str, x: Value, paddings: Pairs, reflects: bool) -> Value:
        x = self._unflattened(label, x)
        return replace(x, tensor=self.builder.mirrored(label, x.tensor, self._here(x, paddings, (0, 0)), reflects))

    def stacked(self, label: str, parts: Sequence[Value], axis: int) -> Value:
        axis %= parts[0].rank + 1
        shape = (*parts[0].shape[:axis], 1, *parts[0].shape[axis:])
        wide = [self.reshape(f"{label}/{number}", part, shape) for number, part in enumerate(parts)]
        return self.concat(label, wide, axis)

    def depth_to_space(self, label: str, x: Value, block: int, depth_first: bool) -> Value:
        """[N, C, H, W] to [N, C / block^2, H block, W block]; `depth_first`: the block's place is C's outer part."""
        x = self.with_channels_last(label, x if depth_first else self._turned(label, x, block, outwards=True))
        x = self.moved(label, x, channels_last(4))
        return replace(x, tensor=self.builder.depth_to_space(label, x.tensor, block))

    def space_to_depth(self, label: str, x: Value, block: int, depth_first: bool) -> Value:
        """[N, C, H, W] to [N, C block^2, H / block, W / block]."""
        x = self.moved(label, x, channels_last(4))
        y = replace(x, tensor=self.builder.space_to_depth(label, x.tensor, block))
        return y if depth_first else self._turned(label, y, block, outwards=False)

    def _turned(self, label: str, x: Value, block: int, outwards: bool) -> Value:
        """The place in the block moved from the inner part of the channel outwards, or back."""
        depth = x.shape[1] // block**2
        parts = (depth, block**2) if outwards else (block**2, depth)
        y = self.reshape(f"{label}/blocks", x, (1, *parts, *x.shape[2:]))
        return self.reshape(f"{label}/turned", self.transpose(label, y, (0, 2, 1, 3, 4)), x.shape)

    # --- parts ---

    def _here(self, x: Value, each: Sequence[Any], alone: Any) -> list[Any]:
        """What is said of each axis of the framework, for each of the tensor; `alone` for a batch axis of its own."""
        found = [alone] * len(x.tensor.shape)
        for axis, item in zip(x.axes, each, strict=True):
            found[axis] = item
        return found

    def _window(self, label: str, x: Value, axes: int) -> tuple[Value, list[int]]:
        """`x` with channels last, and in which order the axes of a window stand here."""
        if axes not in (1, 2):
            self.builder.refuse(f"'{label}': has windows of {axes} axes; driftc reads one and two")
        if x.rank != axes + 2:
            self.builder.refuse(f"'{label}': needs {'[N, C, L]' if axes == 1 else '[N, C, H, W]'}, not {list(x.shape)}")
        x = self.with_channels_last(label, x)
        return x, sorted(range(axes), key=x.axes[2:].__getitem__)

    def _by_image(self, label: str, x: Value, apply: Callable[[Tensor], Tensor]) -> Value:
        """`apply` to an image; steps are an image of one row."""
        if x.rank == 4:
            return replace(x, tensor=apply(x.tensor))
        image = self.builder.reshape(f"{label}/image", x.tensor, (1, 1, *x.tensor.shape[1:]))
        y = apply(image)
        return replace(x, tensor=self.builder.reshape(f"{label}/steps", y, (1, *y.shape[2:])))


def _pair(each: Sequence[Any], order: Sequence[int], alone: Any) -> tuple[Any, Any]:
    """What is said of each axis of a window, for rows and pixels here; `alone` for the rows of steps."""
    found = [each[axis] for axis in order]
    return (found[0], found[1]) if len(found) == 2 else (alone, found[0])


def _filters(weights: Array, order: Sequence[int]) -> Array:
    """[out, in, ...] as [out, rows, pixels, in]."""
    moved = weights.transpose(0, *(axis + 2 for axis in order), 1)
    return moved if moved.ndim == 4 else moved[:, np.newaxis]


def _without(axes: Axes, gone: set[int]) -> Axes:
    """The axes that are left, closed up."""
    dropped = [axes[axis] for axis in gone]
    kept = [here for axis, here in enumerate(axes) if axis not in gone]
    return tuple(here - sum(place < here for place in dropped) for here in kept)


def same_around(scheme: str, sizes: Sequence[int], *window: Sequence[int]) -> list[Pair]:
    """What ONNX's auto_pad pads; `window` is kernel, stride and dilation."""
    pairs = [same_padding(*axis) for axis in zip(sizes, *window, strict=True)]
    return [pair[::-1] for pair in pairs] if scheme == "SAME_LOWER" else pairs


def ceil_padding(padding: Pairs, sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> list[Pair]:
    """`padding` with what `ceil_mode` adds after each axis: windows that begin inside the image are all computed."""
    found: list[Pair] = []
    for size, k, s, (before, after) in zip(sizes, kernel, stride, padding, strict=True):
        count = -(-(size + before + after - k) // s) + 1
        count -= (count - 1) * s >= size + before
        found.append((before, max(after, (count - 1) * s + k - size - before)))
    return found
