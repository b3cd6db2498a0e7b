"""What moves elements and computes nothing."""

from __future__ import annotations

from math import prod

import numpy as np

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.onnx.node import Node
from driftc.codegen.frontends.onnx.walk import operator


@operator("CastLike", "Dropout", "Identity")
def unchanged(node: Node) -> Value:
    return node.value(0)


@operator("Cast")
def cast(node: Node) -> Value:
    """To real values, or to truth values."""
    x, kind = node.value(0), int(node.attribute("to", 1))
    if kind == 9:
        return node.to.condition(node.label, x)
    if kind not in (1, 10, 11, 16):
        node.refuse(f"casts to ONNX's type {kind}; driftc computes real values")
    return node.to.as_real(node.label, x)


@operator("Split")
def split(node: Node) -> list[Value]:
    x = node.value(0)
    axis = int(node.attribute("axis", 0)) % x.rank
    count, extent = len(node.proto.output), x.shape[axis]
    piece = -(-extent // count)
    sizes = node.integers(1, "split") or [min(piece, extent - piece * n) for n in range(count)]
    if min(sizes) < 1 or sum(sizes) != extent:
        node.refuse(f"sizes {sizes} do not make up {extent}")
    return node.to.split(node.label, x, sizes, axis)


@operator("Gather")
def gather(node: Node) -> Value:
    """By constant indices; or of a constant table, by an input of the model."""
    if node.inputs[0] in node.walk.constants:
        if node.attribute("axis", 0) != 0:
            node.refuse(f"looks up along axis {node.attribute('axis', 0)} of a table; driftc reads rows")
        return node.to.look_up(node.label, node.value(1), node.constant(0))
    return node.to.take(node.label, node.value(0), node.constant(1), int(node.attribute("axis", 0)))


@operator("Tile")
def tile(node: Node) -> Value:
    return node.to.tiled(node.label, node.value(0), node.integers(1, "repeats") or [])


@operator("Expand")
def expand(node: Node) -> Value:
    x = node.value(0)
    wanted = np.broadcast_shapes(x.shape, tuple(node.integers(1, "shape") or []))
    x = node.to.expanded(f"{node.label}/axes", x, len(wanted))
    return node.to.tiled(node.label, x, [n // m for n, m in zip(wanted, x.shape, strict=True)])


@operator("DepthToSpace")
def depth_to_space(node: Node) -> Value:
    first = node.attribute("mode", b"DCR") == b"DCR"
    return node.to.depth_to_space(node.label, node.value(0), int(node.attribute("blocksize", 1)), first)


@operator("SpaceToDepth")
def space_to_depth(node: Node) -> Value:
    return node.to.space_to_depth(node.label, node.value(0), int(node.attribute("blocksize", 1)), True)


@operator("Concat")
def concat(node: Node) -> Value:
    parts = [node.value(place) for place in range(len(node.inputs))]
    return node.to.concat(node.label, parts, int(node.attribute("axis", 1)))


@operator("Pad")
def pad(node: Node) -> Value:
    """Constant, reflected, or by the edge."""
    x = node.value(0)
    mode = node.attribute("mode", b"constant").decode()
    amounts = node.integers(1, "pads") or []
    axes = node.optional(3)
    if axes is not None:
        places = [int(n) % x.rank for n in axes]
        found = dict(zip(places, zip(amounts[: len(places)], amounts[len(places) :], strict=True), strict=True))
        amounts = [found.get(axis, (0, 0))[side] for side in (0, 1) for axis in range(x.rank)]
    if mode not in ("constant", "edge", "reflect", "wrap") or len(amounts) != 2 * x.rank:
        node.refuse(f"pads {amounts} in mode '{mode}'; driftc reads constant, edge, reflect and wrap")
    pairs = list(zip(amounts[: x.rank], amounts[x.rank :], strict=True))
    if mode == "reflect":
        return node.to.mirrored(node.label, x, pairs, reflects=True)
    if mode != "constant":
        return node.to.repeated(node.label, x, pairs, wraps=mode == "wrap")
    fill = node.optional(2)
    value = float(node.attribute("value", 0.0)) if fill is None else float(fill.reshape(-1)[0])
    return node.to.pad(node.label, x, pairs, value)


@operator("CenterCropPad")
def center(node: Node) -> Value:
    x = node.value(0)
    sizes = [int(n) for n in node.constant(1).reshape(-1)]
    axes = [int(n) % x.rank for n in node.attribute("axes", range(x.rank))]
    ranges, pairs = [range(n) for n in x.shape], [(0, 0)] * x.rank
    for axis, size in zip(axes, sizes, strict=True):
        over = x.shape[axis] - size
        if over > 0:
            ranges[axis] = range(over // 2, over // 2 + size)
        pairs[axis] = (max(-over, 0) // 2, max(-over, 0) - max(-over, 0) // 2)
    return node.to.pad(node.label, node.to.slice(f"{node.label}/crop", x, ranges), pairs, 0.0)


@operator("Slice")
def cut(node: Node) -> Value:
    x = node.value(0)
    starts, ends = node.integers(1, "starts") or [], node.integers(2, "ends") or []
    axes = node.integers(3, "axes") or list(range(len(starts)))
    steps = node.integers(4, "steps") or [1] * len(starts)
    ranges = [range(n) for n in x.shape]
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        ranges[axis] = ranges[axis][start:end:step]
    return node.to.slice(node.label, x, ranges)


@operator("Flatten")
def flatten(node: Node) -> Value:
    x, axis = node.value(0), int(node.attribute("axis", 1))
    axis = axis % x.rank if axis != x.rank else axis
    return node.to.reshape(node.label, x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


@operator("Reshape")
def reshape(node: Node) -> Value:
    x = node.value(0)
    wanted = [int(n) for n in node.constant(1).reshape(-1)]
    if not node.attribute("allowzero", 0):
        wanted = [x.shape[axis] if n == 0 else n for axis, n in enumerate(wanted)]
    if wanted and wanted[0] == -1 and -1 not in wanted[1:]:
        wanted[0] = 1
    return node.to.reshape(node.label, x, tuple(wanted))


@operator("Squeeze")
def squeeze(node: Node) -> Value:
    x = node.value(0)
    axes = node.integers(1, "axes")
    gone = {axis % x.rank for axis in axes} if axes else {axis for axis, n in enumerate(x.shape) if n == 1 and axis}
    return node.to.reshape(node.label, x, tuple(n for axis, n in enumerate(x.shape) if axis not in gone))


@operator("Unsqueeze")
def unsqueeze(node: Node) -> Value:
    x, axes = node.value(0), node.integers(1, "axes") or []
    rank = x.rank + len(axes)
    inserted, rest = {axis % rank for axis in axes}, iter(x.shape)
    return node.to.reshape(node.label, x, tuple(1 if axis in inserted else next(rest) for axis in range(rank)))


@operator("Transpose")
def transpose(node: Node) -> Value:
    x = node.value(0)
    return node.to.transpose(node.label, x, node.attribute("perm", list(range(x.rank))[::-1]))
