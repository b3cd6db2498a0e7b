"""What moves elements and computes nothing."""

from __future__ import annotations

import numpy as np

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.torch.call import Call
from driftc.codegen.frontends.torch.walk import operator
from driftc.codegen.operators.resize.resize import LARGEST


@operator("_assert", "_assert_tensor_metadata", "alias", "clone", "contiguous", "detach", "lift_fresh_copy")
@operator("alpha_dropout", "dropout", "dropout_", "feature_alpha_dropout", "feature_dropout", "native_dropout")
def unchanged(call: Call) -> Value:
    return call.value()


@operator("_to_copy", "to", "type_as")
def cast(call: Call) -> Value:
    """To real values, or to truth values."""
    made = call.node.meta["val"].dtype
    if made.is_floating_point:
        return call.to.as_real(call.label, call.value())
    if str(made) == "torch.bool":
        return call.to.condition(call.label, call.value())
    x = call.value()
    return x if x.tensor.dtype == np.int32 else call.refuse(f"casts real values to {made}; driftc computes real values")


@operator("_unsafe_view", "flatten", "reshape", "squeeze", "unflatten", "unsqueeze", "view", "view_as", "reshape_as")
def reshape(call: Call) -> Value:
    return call.to.reshape(call.label, call.value(), tuple(int(n) for n in call.node.meta["val"].shape))


@operator("chunk", "split", "split_with_sizes", "tensor_split", "unsafe_chunk", "unsafe_split")
def split(call: Call) -> list[Value]:
    x, axis = call.value(), int(call.argument(2, "dim", 0))
    sizes = [int(part.shape[axis]) for part in call.node.meta["val"]]
    return call.to.split(call.label, x, sizes, axis)


@operator("unbind")
def unbind(call: Call) -> list[Value]:
    x, axis = call.value(), int(call.argument(1, "dim", 0)) % call.value().rank
    parts = call.to.split(call.label, x, [1] * x.shape[axis], axis)
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return [call.to.reshape(f"{call.label}/{number}", part, shape) for number, part in enumerate(parts)]


@operator("select")
def select(call: Call) -> Value:
    return call.to.take(call.label, call.value(), np.array(int(call.args[2])), int(call.args[1]))


@operator("index_select")
def index_select(call: Call) -> Value:
    return call.to.take(call.label, call.value(), call.constant(call.args[2]), int(call.args[1]))


@operator("index")
def index(call: Call) -> Value:
    """By one constant tensor along one axis."""
    places = [(axis, argument) for axis, argument in enumerate(call.args[1]) if argument is not None]
    if len(places) != 1:
        call.refuse("is indexed by several tensors; driftc reads constant indices along one axis")
    axis, argument = places[0]
    found = call.constant(argument)
    if found.dtype == np.bool_:
        found = np.flatnonzero(found)
    return call.to.take(call.label, call.value(), found, axis)


@operator("roll")
def roll(call: Call) -> Value:
    """Along axes that are named."""
    x = call.value()
    shifts, axes = ([int(n) for n in part] for part in (call.args[1], call.argument(2, "dims", [])))
    if len(axes) != len(shifts):
        call.refuse("rolls all elements as one row; name the axes")
    for number, (shift, axis) in enumerate(zip(shifts, axes, strict=True)):
        places = np.roll(np.arange(x.shape[axis]), shift)
        x = call.to.take(f"{call.label}/{number}" if number + 1 < len(axes) else call.label, x, places, axis)
    return x


@operator("repeat_interleave")
def repeat_interleave(call: Call) -> Value:
    """Every slice as often, along one axis."""
    x, axis = call.value(), call.argument(2, "dim", None)
    if axis is None or not isinstance(call.args[1], int):
        call.refuse("driftc reads one number of repeats along one axis")
    if not 0 < x.shape[axis] * call.args[1] <= LARGEST:
        call.refuse(f"makes {x.shape[axis] * call.args[1]} of an axis; driftc makes 1 to {LARGEST}")
    return call.to.take(call.label, x, np.repeat(np.arange(x.shape[axis]), int(call.args[1])), int(axis))


@operator("stack")
def stack(call: Call) -> Value:
    return call.to.stacked(
        call.label, [call.walk.value(part) for part in call.args[0]], int(call.argument(1, "dim", 0))
    )


@operator("flip")
def flip(call: Call) -> Value:
    x = call.value()
    axes = {int(axis) % x.rank for axis in call.args[1]}
    return call.to.slice(
        call.label, x, [range(n)[::-1] if axis in axes else range(n) for axis, n in enumerate(x.shape)]
    )


@operator("repeat")
def repeat(call: Call) -> Value:
    return call.to.tiled(call.label, call.value(), [int(n) for n in call.args[1]])


@operator("expand", "expand_as")
def expand(call: Call) -> Value:
    wanted = [int(n) for n in call.node.meta["val"].shape]
    x = call.to.expanded(f"{call.label}/axes", call.value(), len(wanted))
    return call.to.tiled(call.label, x, [n // m for n, m in zip(wanted, x.shape, strict=True)])


@operator("pixel_shuffle")
def pixel_shuffle(call: Call) -> Value:
    return call.to.depth_to_space(call.label, call.value(), int(call.args[1]), False)


@operator("pixel_unshuffle")
def pixel_unshuffle(call: Call) -> Value:
    return call.to.space_to_depth(call.label, call.value(), int(call.args[1]), False)


@operator("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(call: Call) -> Value:
    x, groups = call.value(), int(call.args[1])
    _, channels, rows, pixels = x.shape
    y = call.to.reshape(f"{call.label}/groups", x, (1, groups, channels // groups, rows, pixels))
    return call.to.reshape(call.label, call.to.transpose(call.label, y, (0, 2, 1, 3, 4)), x.shape)


@operator("upsample_bilinear2d")
def upsample_bilinear(call: Call) -> Value:
    corners = bool(call.args[2])
    size = call.node.meta["val"].shape[2:]
    return call.to.resize(
        call.label, call.value(), size, bilinear=True, align_corners=corners, half_pixel_centers=not corners
    )


@operator("_upsample_nearest_exact1d", "_upsample_nearest_exact2d")
@operator("upsample_nearest1d", "upsample_nearest2d")
def upsample_nearest(call: Call) -> Value:
    """By whole factors and others, as PyTorch picks its pixels."""
    x = call.value()
    size = [int(n) for n in call.node.meta["val"].shape[2:]]
    given = call.args[2] if len(call.args) == 3 and isinstance(call.args[2], list | tuple) else call.args[2:]
    factors = list(given) if len(given) == len(size) else [None] * len(size)
    offset = 0.5 if "exact" in call.kind else 0.0
    places = []
    for n, m, factor in zip(x.shape[2:], size, factors, strict=True):
        scale = np.float32(1 / factor) if factor else np.float32(n) / np.float32(m)
        taken = np.floor((np.arange(m, dtype=np.float32) + np.float32(offset)) * scale)
        places.append(np.clip(taken, 0, n - 1).astype(np.int64))
    return call.to.nearest(call.label, x, places)


@operator("movedim", "moveaxis")
def movedim(call: Call) -> Value:
    x = call.value()
    sources, targets = ([int(n) % x.rank for n in np.atleast_1d(part)] for part in call.args[1:3])
    rest = [axis for axis in range(x.rank) if axis not in sources]
    for target, source in sorted(zip(targets, sources, strict=True)):
        rest.insert(target, source)
    return call.to.transpose(call.label, x, rest)


@operator("permute")
def permute(call: Call) -> Value:
    return call.to.transpose(call.label, call.value(), call.args[1])


@operator("swapaxes", "swapdims", "transpose")
def transpose(call: Call) -> Value:
    x = call.value()
    order = list(range(x.rank))
    first, second = (int(axis) % len(order) for axis in call.args[1:3])
    order[first], order[second] = second, first
    return call.to.transpose(call.label, x, order)


@operator("cat")
def cat(call: Call) -> Value:
    parts = [call.walk.value(part) for part in call.args[0]]
    return call.to.concat(call.label, parts, int(call.argument(1, "dim", 0)))


MODES = {"reflection_pad": "reflect", "replication_pad": "replicate", "constant_pad_n": "constant"}


@operator("constant_pad_nd", "pad", "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d")
def pad(call: Call) -> Value:
    """Constant, reflected, replicated or circular."""
    x, amounts = call.value(), list(call.args[1])
    mode = MODES.get(call.kind[:-2]) or call.argument(2, "mode", "constant")
    if mode not in ("circular", "constant", "reflect", "replicate"):
        call.refuse(f"padding mode '{mode}'; driftc reads constant, reflect, replicate and circular")
    place = 3 if call.kind == "pad" else 2
    pairs = [(int(a), int(b)) for a, b in zip(amounts[::2], amounts[1::2], strict=True)]
    paddings = [(0, 0)] * (x.rank - len(pairs)) + pairs[::-1]
    if mode == "reflect":
        return call.to.mirrored(call.label, x, paddings, reflects=True)
    if mode != "constant":
        return call.to.repeated(call.label, x, paddings, wraps=mode == "circular")
    return call.to.pad(call.label, x, paddings, float(call.argument(place, "value", 0.0) or 0.0))


@operator("narrow")
def narrow(call: Call) -> Value:
    x = call.value()
    axis, start, count = (int(n) for n in call.args[1:4])
    ranges = [range(n) for n in x.shape]
    ranges[axis] = ranges[axis][start : start + count]
    return call.to.slice(call.label, x, ranges)


@operator("slice")
def cut(call: Call) -> Value:
    x = call.value()
    axis = int(call.argument(1, "dim", 0)) % x.rank
    start, end = call.argument(2, "start", None), call.argument(3, "end", None)
    ranges = [range(n) for n in x.shape]
    ranges[axis] = ranges[axis][start : end : call.argument(4, "step", 1)]
    return call.to.slice(call.label, x, ranges)


@operator("embedding")
def embedding(call: Call) -> Value:
    """Of an input of the model."""
    return call.to.look_up(call.label, call.value(1), call.constant(call.args[0]))
