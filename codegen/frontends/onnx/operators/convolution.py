"""Convolutions and dense layers."""

from __future__ import annotations

import numpy as np

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.onnx.node import Node
from driftc.codegen.frontends.onnx.walk import operator
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.tensor import Array


@operator("Conv")
def conv(node: Node) -> Value:
    """Over one axis or two, in groups, dilated."""
    x, weights = node.value(0), node.constant(1)
    stride, dilation = (node.spread(name, weights.ndim - 2) for name in ("strides", "dilations"))
    around = node.around(x, weights.shape[2:], stride, dilation)
    groups = int(node.attribute("group", 1))
    return node.to.conv(node.label, x, weights, node.optional(2), stride, around, dilation, groups)


@operator("ConvTranspose")
def conv_transpose(node: Node) -> Value:
    """Over one axis or two, in groups, dilated."""
    x, weights = node.value(0), node.constant(1)
    count = weights.ndim - 2
    stride, dilation = (node.spread(name, count) for name in ("strides", "dilations"))
    kernel = weights.shape[2:]
    whole = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(x.shape[2:], stride, kernel, dilation, strict=True)]
    extra = [int(n) for n in node.attribute("output_padding", [0] * count)]
    scheme = node.attribute("auto_pad", b"NOTSET").decode()
    wanted = node.attribute("output_shape", None)
    if wanted is None and scheme.startswith("SAME"):
        wanted = [n * s for n, s in zip(x.shape[2:], stride, strict=True)]
    if wanted is None:
        around = node.around(x, kernel, stride, dilation)
        crop = [(before, after - more) for (before, after), more in zip(around, extra, strict=True)]
    else:
        over = [n + more - int(size) for n, more, size in zip(whole, extra, wanted[-count:], strict=True)]
        front = [n // 2 if scheme == "SAME_UPPER" else n - n // 2 for n in over]
        crop = [(before, n - before - more) for before, n, more in zip(front, over, extra, strict=True)]
    groups = int(node.attribute("group", 1))
    return node.to.transpose_conv(node.label, x, weights, node.optional(2), stride, crop, dilation, groups)


@operator("Gemm")
def gemm(node: Node) -> Value:
    """Of an input and a matrix, which is best constant."""
    alpha, beta = (float(node.attribute(name, 1.0)) for name in ("alpha", "beta"))
    if node.attribute("transA", 0):
        node.refuse("is Gemm of a transposed input; export it as a Transpose and a MatMul")
    if node.inputs[1] not in node.walk.constants:
        return _product(node, alpha, beta)
    weights, bias = node.constant(1) * alpha, node.optional(2)
    matrix = weights if node.attribute("transB", 0) else weights.T
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1) * beta, (matrix.shape[0],))
    return node.to.dense(node.label, node.value(0), matrix, bias)


def _product(node: Node, alpha: float, beta: float) -> Value:
    """Gemm of two computed matrices."""
    b = node.value(1)
    b = node.to.transpose(f"{node.label}/turned", b, (1, 0)) if node.attribute("transB", 0) else b
    y = node.to.matmul(node.label, node.value(0), b)
    y = node.to.reshape(f"{node.label}/matrix", y, y.shape[1:]) if y.rank == 3 else y
    if alpha != 1:
        y = node.to.binary_constant(f"{node.label}/alpha", Mul, y, np.full(1, alpha), first=False)
    if len(node.inputs) < 3 or not node.inputs[2]:
        return y
    return node.to.binary_constant(f"{node.label}/bias", Add, y, np.atleast_1d(node.constant(2)) * beta, first=False)


@operator("Einsum")
def einsum(node: Node) -> Value:
    """Of one or two operands, a letter an axis."""
    operands = [node.operand(place) for place in range(len(node.inputs))]
    return node.to.einsum(node.label, node.attribute("equation", b"").decode(), operands)


@operator("MatMul")
def matmul(node: Node) -> Value:
    a, b = (name in node.walk.values for name in node.inputs)
    if a and b:
        return node.to.matmul(node.label, node.value(0), node.value(1))
    if not a or node.constant(1).ndim != 2:
        constant = node.constant(1 if a else 0)
        return node.to.matmul_constant(node.label, node.value(0 if a else 1), constant, first=not a)
    weights = node.constant(1)
    return node.to.dense(node.label, node.value(0), weights.T, _bias_after(node, weights.shape[1]))


def _bias_after(node: Node, outputs: int) -> Array | None:
    """The bias of an Add that alone reads a MatMul; the Add then passes its input on."""
    graph = node.walk.model.graph
    readers = [other for other in graph.node if node.output in other.input]
    leaves = any(port.name == node.output for port in graph.output)
    if leaves or len(readers) != 1 or readers[0].op_type != "Add":
        return None
    other = next((name for name in readers[0].input if name != node.output), "")
    found = node.walk.constants.get(other)
    if found is None or found.size != outputs or found.shape[-1] != outputs:
        return None
    node.walk.absorbed.add(readers[0].output[0])
    return found.reshape(-1)
