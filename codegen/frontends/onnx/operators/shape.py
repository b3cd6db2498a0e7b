"""What moves elements and computes nothing."""

from __future__ import annotations

from driftc.codegen.frontends.onnx.node import Node
from driftc.codegen.frontends.onnx.walk import operator
from driftc.codegen.frontends.value import Value


@operator("Dropout", "Identity")
def only_in_training(node: Node) -> Value:
    return node.value(0)


@operator("Concat")
def concat(node: Node) -> Value:
    parts = [node.value(place) for place in range(len(node.inputs))]
    return node.to.concat(node.label, parts, int(node.attribute("axis", 1)))


@operator("Pad")
def pad(node: Node) -> Value:
    x = node.value(0)
    mode = node.attribute("mode", b"constant").decode()
    amounts = node.integers(1, "pads") or []
    if mode != "constant" or len(amounts) != 2 * x.rank:
        node.refuse(f"pads {amounts} in mode '{mode}' are not supported")
    fill = node.optional(2)
    value = float(node.attribute("value", 0.0)) if fill is None else float(fill.reshape(-1)[0])
    half = len(amounts) // 2
    return node.to.pad(node.label, x, list(zip(amounts[:half], amounts[half:], strict=True)), value)


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
    if int(node.attribute("axis", 1)) != 1:
        node.refuse(f"flattens from axis {node.attribute('axis', 1)}; driftc reads 1")
    return node.to.reshape(node.label, node.value(0), (1, -1))


@operator("Reshape")
def reshape(node: Node) -> Value:
    x = node.value(0)
    wanted = [int(n) for n in node.constant(1).reshape(-1)]
    if not node.attribute("allowzero", 0):
        wanted = [x.shape[axis] if n == 0 else n for axis, n in enumerate(wanted)]
    if wanted and wanted[0] == -1 and -1 not in wanted[1:]:
        wanted[0] = 1
    return node.to.reshape(node.label, x, tuple(wanted))


@operator("Squeeze", "Unsqueeze")
def as_inferred(node: Node) -> Value:
    shape = node.walk.shapes.get(node.output)
    if not shape or None in shape:
        node.walk.builder.refuse(f"'{node.label}' ({node.kind}): its shape is not fixed")
    return node.to.reshape(node.label, node.value(0), tuple(int(n) for n in shape if n is not None))


@operator("Transpose")
def transpose(node: Node) -> Value:
    x = node.value(0)
    return node.to.transpose(node.label, x, node.attribute("perm", list(range(x.rank))[::-1]))
