"""Operators of a .tflite file whose result is known when compiling: how their attributes are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from driftc.codegen.frontends.constants import FUNCTIONS, Constants
from driftc.codegen.frontends.tflite.node import Node
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.passes.dequantize import dequantized
from driftc.codegen.tensor import Array, Shape

Read = Callable[[Node, list[Array]], tuple[tuple[Any, ...], dict[str, Any]]]  # positional arguments and others

# On real values TFLite's kernels may order or round these otherwise than NumPy; the others have one IEEE result.
INTEGERS_ONLY = frozenset({"FLOOR_DIV", "FLOOR_MOD", "RANGE", "REDUCE_PROD", "SUM"})
FUSED = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "DIV": "DivOptions"}


def folded(node: Node, constants: Constants) -> tuple[Array, ...] | None:
    """The results of `node`, where they do not depend on the model's input; None where they do.

    None also for int8 values: there the operator's own specification says what is computed. Raises ModelError where
    operands do not fit together.
    """
    code = node.raw.code
    if code in BY_SHAPE:
        arguments: tuple[tuple[Any, ...], dict[str, Any]] = BY_SHAPE[code](node), {}
        code = "ZEROS_LIKE" if code == "ZEROS_LIKE" else "SHAPE"
    else:
        data = [tensor.data for tensor in node.inputs if tensor is not None and tensor.data is not None]
        if not data or len(data) < len(node.inputs):
            return None
        if code == "DEQUANTIZE":
            return _reals(node)
        if code not in FUNCTIONS or any(t.dtype == np.int8 for t in (*node.inputs, *node.outputs) if t is not None):
            return None
        if code in INTEGERS_ONLY and any(t.dtype.kind == "f" for t in (*node.inputs, *node.outputs) if t is not None):
            return None
        arguments = READERS.get(code, _plain)(node, data)
    try:
        found = constants.compute(code, *arguments[0], **arguments[1])
    except ValueError as problem:
        node.refuse(f"of constants cannot be computed: {problem}")
    node.require(len(found) == len(node.outputs), f"gives {len(found)} results for {len(node.outputs)} outputs")
    return found


def _reals(node: Node) -> tuple[Array, ...]:
    """DEQUANTIZE of a constant: float16 or int8 weights of a float model become float32."""
    source = node.input(0)
    node.require(source.dtype.kind == "f" or source.dtype == np.int8, f"of {source.dtype.name} constants is not read")
    made = source.data if source.dtype.kind == "f" else dequantized(source).data
    if made is None or node.output().shape != source.shape:
        node.refuse("is damaged")
    return (made.astype(np.float32),)


def _shape(node: Node) -> tuple[Shape, Any]:
    return node.input(0).shape, node.output().dtype


def _rank(node: Node) -> tuple[int, Any]:
    return len(node.input(0).shape), node.output().dtype


BY_SHAPE: dict[str, Callable[[Node], tuple[Any, ...]]] = {"SHAPE": _shape, "RANK": _rank, "ZEROS_LIKE": _shape}


def _plain(node: Node, data: list[Array]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if node.raw.code in FUSED:
        fused = node.activation(node.options(FUSED[node.raw.code]))
        node.require(fused is Activation.NONE, "of constants cannot be computed: it fuses an activation")
    return tuple(data), {}


def _integers(node: Node, position: int) -> tuple[int, ...]:
    node.require(position < len(node.inputs), f"input {position} is missing")
    return node.integers(position)


def _with_integers(node: Node, data: list[Array]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The second operand, and a third, are lists of axes, extents and the like."""
    return (data[0], *(_integers(node, place) for place in range(1, max(2, len(data))))), {}


def _strided_slice(node: Node, data: list[Array]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    options = node.options("StridedSliceOptions")
    begins, ends, strides = (_integers(node, place) for place in (1, 2, 3))
    node.require(len(begins) == len(ends) == len(strides), "its begin, end and strides differ in length")
    names = ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask")
    begin_mask, end_mask, ellipsis_mask, new_axis, shrink = (int(getattr(options, name)()) for name in names)
    index: list[Any] = []
    for number, (begin, end, stride) in enumerate(zip(begins, ends, strides, strict=True)):
        bit = 1 << number
        if ellipsis_mask & bit:
            index.append(...)
        elif new_axis & bit:
            index.append(None)
        elif shrink & bit:
            index.append(begin)
        else:
            index.append(slice(None if begin_mask & bit else begin, None if end_mask & bit else end, stride))
    return (data[0], tuple(index)), {}


def _gather(node: Node, data: list[Array]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    options, axes = node.options("GatherOptions"), data[0].ndim
    node.require(len(data) == 2, f"has {len(data)} inputs, not 2")
    axis = int(options.Axis())
    node.require(-axes <= axis < axes, f"axis {axis} does not exist in a tensor of {axes} axes")
    return (data[0], data[1]), {"axis": axis % axes, "batch_dims": int(options.BatchDims())}


def _reshape(node: Node, data: list[Array]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (data[0], node.integers(1) if len(data) > 1 else node.output().shape), {}


def _squeeze(node: Node, data: list[Array]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    options = node.options("SqueezeOptions")
    axes = [int(options.SqueezeDims(i)) for i in range(min(int(options.SqueezeDimsLength()), 8))]
    return (data[0], axes or None), {}


def _reduced(node: Node, data: list[Array]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (data[0], _integers(node, 1)), {"keep_dims": bool(node.options("ReducerOptions").KeepDims())}


def _split(node: Node, data: list[Array]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    (axis,) = _integers(node, 0)[:1] or (0,)
    node.require(len(data) == 2, f"has {len(data)} inputs, not 2")
    return (data[1], len(node.outputs), axis), {}


READERS: dict[str, Read] = {
    "STRIDED_SLICE": _strided_slice,
    "GATHER": _gather,
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
    "SPLIT": _split,
    "SUM": _reduced,
    **{f"REDUCE_{name}": _reduced for name in ("PROD", "MAX", "MIN", "ANY", "ALL")},
    **dict.fromkeys(("TRANSPOSE", "EXPAND_DIMS", "SLICE", "BROADCAST_TO", "TILE", "REVERSE_V2"), _with_integers),
    "CAST": lambda node, data: ((data[0], node.output().dtype), {}),
    "FILL": lambda node, data: ((_integers(node, 0), data[1] if len(data) > 1 else node.input(1).data), {}),
    "CONCATENATION": lambda node, data: (tuple(data), {"axis": int(node.options("ConcatenationOptions").Axis())}),
    "PACK": lambda node, data: (tuple(data), {"axis": int(node.options("PackOptions").Axis())}),
    "UNPACK": lambda node, data: ((data[0],), {"axis": int(node.options("UnpackOptions").Axis())}),
}
