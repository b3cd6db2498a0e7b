"""What moves elements and computes nothing: slices, joins, other shapes and orders."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from driftc.codegen.frontends.keras.walk import Walk, operation
from driftc.codegen.operators.elementwise.sub import Sub
from driftc.codegen.tensor import Tensor

operation.leave_out("keras.ops.concatenate with an axis", "Append", "Dstack", "Hstack", "Vstack")
operation.leave_out("keras.layers.Flatten, which keeps the batch", "Ravel")


@operation("Cast", "ConvertToTensor", "Copy", "SaturateCast", "StopGradient", "View")
def unchanged(walk: Walk, of: Any, x: Tensor, *_: Any, **__: Any) -> Tensor:
    """To real values."""
    kind = getattr(of, "dtype", None) or "float32"
    if str(kind) not in ("float32", "float16", "bfloat16") and not (str(kind) == "bool" and x.dtype == np.bool_):
        walk.refuse(of, f"to {kind}; driftc computes real values")
    return walk.builder.as_real(of.name, x) if type(of).__name__ in ("Cast", "SaturateCast") and kind != "bool" else x


@operation("GetItem")
def get_item(walk: Walk, of: Any, x: Tensor, key: Any) -> Tensor:
    """Integers, slices, None and an ellipsis."""
    keys = list(key) if isinstance(key, tuple | list) else [key]  # a list: as Keras reads a tuple from its file
    if any(not isinstance(k, int | np.integer | slice | type(None) | type(Ellipsis)) for k in keys):
        walk.refuse(of, "is indexed by a tensor; driftc reads integers and slices")
    return walk.builder.index(of.name, x, keys)


@operation("Reshape")
def reshape(walk: Walk, of: Any, x: Tensor, *_: Any) -> Tensor:
    return walk.builder.reshape(of.name, x, (1, *(int(n) for n in of.newshape[1:])))


@operation("ExpandDims")
def expand_dims(walk: Walk, of: Any, x: Tensor) -> Tensor:
    axes = of.axis if isinstance(of.axis, list | tuple) else [of.axis]
    rank = len(x.shape) + len(axes)
    inserted = {axis % rank for axis in axes}
    rest = iter(x.shape)
    return walk.builder.reshape(of.name, x, tuple(1 if axis in inserted else next(rest) for axis in range(rank)))


@operation("Squeeze")
def squeeze(walk: Walk, of: Any, x: Tensor) -> Tensor:
    axes = of.axis if isinstance(of.axis, list | tuple) else [of.axis]
    if of.axis is None:
        axes = [axis for axis, n in enumerate(x.shape) if n == 1 and axis]
    gone = {axis % len(x.shape) for axis in axes}
    return walk.builder.reshape(of.name, x, tuple(n for axis, n in enumerate(x.shape) if axis not in gone))


@operation("Transpose")
def transpose(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.transpose(of.name, x, of.axes or range(len(x.shape))[::-1])


@operation("Swapaxes")
def swapaxes(walk: Walk, of: Any, x: Tensor) -> Tensor:
    order = list(range(len(x.shape)))
    order[of.axis1], order[of.axis2] = order[of.axis2], order[of.axis1]
    return walk.builder.transpose(of.name, x, order)


@operation("Moveaxis")
def moveaxis(walk: Walk, of: Any, x: Tensor) -> Tensor:
    order = list(range(len(x.shape)))
    sources, targets = ([n % len(order) for n in np.atleast_1d(part)] for part in (of.source, of.destination))
    rest = [axis for axis in order if axis not in sources]
    for target, source in sorted(zip(targets, sources, strict=True)):
        rest.insert(target, source)
    return walk.builder.transpose(of.name, x, rest)


@operation("Concatenate")
def concatenate(walk: Walk, of: Any, parts: Sequence[Tensor]) -> Tensor:
    return walk.builder.concat(of.name, parts, of.axis)


@operation("Stack")
def stack(walk: Walk, of: Any, parts: Sequence[Tensor]) -> Tensor:
    return walk.builder.pack(of.name, parts, of.axis % (len(parts[0].shape) + 1))


@operation("Unstack")
def unstack(walk: Walk, of: Any, x: Tensor) -> list[Tensor]:
    return walk.builder.unpack(of.name, x, of.axis % len(x.shape))


@operation("Split")
def split(walk: Walk, of: Any, x: Tensor) -> list[Tensor]:
    axis = of.axis % len(x.shape)
    extent, sections = x.shape[axis], of.indices_or_sections
    bounds = (
        [extent // sections * n for n in range(sections + 1)] if isinstance(sections, int) else [0, *sections, extent]
    )
    return walk.builder.split(of.name, x, [b - a for a, b in pairwise(bounds)], axis)


@operation("Flip")
def flip(walk: Walk, of: Any, x: Tensor) -> Tensor:
    axes = range(len(x.shape)) if of.axis is None else np.atleast_1d(of.axis)
    return walk.builder.flip(of.name, x, [int(axis) % len(x.shape) for axis in axes])


@operation("Fliplr", "Flipud")
def flip_one(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Left and right."""
    if type(of).__name__ == "Flipud":
        walk.refuse(of, "turns the batch around; driftc compiles for one sample: flip another axis")
    return walk.builder.flip(of.name, x, [1])


@operation("Roll")
def roll(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Along axes that are named."""
    if of.axis is None:
        walk.refuse(of, "rolls all elements as one row; name the axes")
    pairs = list(zip(np.atleast_1d(of.shift), np.atleast_1d(of.axis), strict=True))
    for number, (shift, axis) in enumerate(pairs, 1):
        axis = int(axis) % len(x.shape)
        places = np.roll(np.arange(x.shape[axis]), int(shift)).tolist()
        x = walk.builder.take(of.name if number == len(pairs) else f"{of.name}/{number}", x, places, axis)
    return x


@operation("Diff")
def diff(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Of each element and the one before it."""
    axis = of.axis % len(x.shape)
    for number in range(1, int(of.n) + 1):
        whole, n = [range(extent) for extent in x.shape], x.shape[axis]
        label = of.name if number == of.n else f"{of.name}/{number}"
        later, earlier = (
            walk.builder.slice(f"{label}/{name}", x, [*whole[:axis], taken, *whole[axis + 1 :]])
            for name, taken in (("later", range(1, n)), ("earlier", range(n - 1)))
        )
        x = walk.builder.binary(label, Sub, later, earlier)
    return x


@operation("Slice")
def cut(walk: Walk, of: Any, x: Tensor, starts: Any) -> Tensor:
    """With constant starts."""
    if isinstance(starts, Tensor):
        walk.refuse(of, "begins where a tensor says; driftc reads constant starts")
    found = [int(n) for n in np.asarray(starts)]
    return walk.builder.slice(
        of.name, x, [range(a, a + int(n)) for a, n in zip(found, (1, *of.shape[1:]), strict=True)]
    )


@operation("AveragePool", "MaxPool")
def pool(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Over one axis or two."""
    count = len(x.shape) - 2
    if count not in (1, 2) or of.data_format not in (None, "channels_last"):
        walk.refuse(of, "driftc pools one axis or two, channels last")
    kernel, stride = (
        [int(n) for n in np.broadcast_to(part, count)] for part in (of.pool_size, of.strides or of.pool_size)
    )
    size, step = ((part[0], part[1]) if count == 2 else (1, part[0]) for part in (kernel, stride))
    image = walk.builder.reshape(f"{of.name}/image", x, (1, *((1,) * (2 - count)), *x.shape[1:]))
    kind: Literal["max", "average"] = "max" if type(of).__name__ == "MaxPool" else "average"
    y = walk.builder.pool(of.name, image, kind, size, step, "same" if of.padding == "same" else "valid")
    return y if count == 2 else walk.builder.reshape(f"{of.name}/steps", y, (1, *y.shape[2:]))


@operation("Take")
def take(walk: Walk, of: Any, x: Tensor, indices: Any) -> Tensor:
    """By constant indices along one axis."""
    if isinstance(indices, Tensor) or of.axis is None or np.ndim(indices) > 1:
        walk.refuse(of, "driftc reads constant indices along one axis")
    axis = of.axis % len(x.shape)
    label = of.name if np.ndim(indices) else f"{of.name}/slice"
    y = walk.builder.take(label, x, np.atleast_1d(np.asarray(indices)).tolist(), axis)
    return y if np.ndim(indices) else walk.builder.reshape(of.name, y, (*x.shape[:axis], *x.shape[axis + 1 :]))


@operation("Repeat")
def repeat(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Every slice as often."""
    if of.axis is None or np.ndim(of.repeats):
        walk.refuse(of, "driftc reads one number of repeats along one axis")
    axis = of.axis % len(x.shape)
    return walk.builder.take(of.name, x, [n for n in range(x.shape[axis]) for _ in range(int(of.repeats))], axis)


@operation("Tile")
def tile(walk: Walk, of: Any, x: Tensor) -> Tensor:
    times = [int(n) for n in np.atleast_1d(of.repeats)]
    return walk.builder.tile(of.name, x, [1] * (len(x.shape) - len(times)) + times)


@operation("Pad")
def pad(walk: Walk, of: Any, x: Tensor, constant_values: Any = None) -> Tensor:
    """Constant, reflected or symmetric."""
    if of.mode not in ("constant", "reflect", "symmetric"):
        walk.refuse(of, f"mode '{of.mode}'; driftc reads 'constant', 'reflect' and 'symmetric'")
    amounts = [(int(a), int(b)) for a, b in np.broadcast_to(np.asarray(of.pad_width), (len(x.shape), 2))]
    if of.mode != "constant":
        return walk.builder.mirrored(of.name, x, amounts, reflects=of.mode == "reflect")
    return walk.builder.pad(of.name, x, amounts, float(constant_values or 0.0))


@operation("BroadcastTo")
def broadcast_to(walk: Walk, of: Any, x: Tensor) -> Tensor:
    wanted = (1, *(int(n) for n in of.shape[1:]))
    y = walk.builder.reshape(f"{of.name}/axes", x, (1,) * (len(wanted) - len(x.shape)) + x.shape)
    return walk.builder.tile(of.name, y, [n // m for n, m in zip(wanted, y.shape, strict=True)])


@operation("DepthToSpace")
def depth_to_space(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.depth_to_space(of.name, x, int(of.block_size))


@operation("SpaceToDepth")
def space_to_depth(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.space_to_depth(of.name, x, int(of.block_size))


@operation("Resize")
def resize(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Interpolated 'nearest' or 'bilinear', without antialias."""
    if of.interpolation not in ("nearest", "bilinear") or of.antialias:
        walk.refuse(of, f"interpolation '{of.interpolation}', or with antialias; driftc reads 'nearest' and 'bilinear'")
    size = (int(of.size[0]), int(of.size[1]))
    return walk.builder.resize(of.name, x, size, bilinear=of.interpolation == "bilinear", half_pixel_centers=True)
