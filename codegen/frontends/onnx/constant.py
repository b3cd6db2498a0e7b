"""ONNX nodes of constants: how their attributes are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from driftc.codegen.frontends.constants import Constants
from driftc.codegen.frontends.onnx.node import attribute
from driftc.codegen.tensor import Array

Call = tuple[str, tuple[Any, ...], dict[str, Any]]  # the name in FUNCTIONS, and its arguments
Given = Sequence[Any]  # arrays; None where an optional input is absent, which the first is not

ELEMENTWISE = {
    "Add": "ADD", "Sub": "SUB", "Mul": "MUL", "Div": "DIV", "Equal": "EQUAL", "Less": "LESS",
    "LessOrEqual": "LESS_EQUAL", "Greater": "GREATER", "GreaterOrEqual": "GREATER_EQUAL", "And": "LOGICAL_AND",
    "Or": "LOGICAL_OR", "Not": "LOGICAL_NOT", "Where": "SELECT_V2", "Neg": "NEG", "Abs": "ABS", "Floor": "FLOOR",
    "Ceil": "CEIL", "Sqrt": "SQRT", "Sign": "SIGN", "Range": "RANGE",
}  # fmt: skip
REDUCED = {"ReduceProd": "REDUCE_PROD", "ReduceSum": "SUM", "ReduceMax": "REDUCE_MAX", "ReduceMin": "REDUCE_MIN"}
UNREAD = frozenset({"broadcast", "noop_with_empty_axes"})  # of old and rare files


def folded(node: Any, given: Given, constants: Constants) -> tuple[Array, ...] | None:
    """The results of `node`, whose inputs are all constant; None where its kind is none of these.

    Raises ValueError, in words, where operands do not fit together.
    """
    kind = node.op_type
    if not given or given[0] is None or any(stored.name in UNREAD for stored in node.attribute):
        return None
    if kind in ELEMENTWISE:
        call: Call = ELEMENTWISE[kind], tuple(given), {}
    elif kind in REDUCED:
        call = REDUCED[kind], *_reduced(node, given)
    elif kind in READERS:
        call = READERS[kind](node, given)
    else:
        return None
    return constants.compute(call[0], *call[1], **call[2])


def foldable(kind: str) -> bool:
    """True for kinds that need not be known where what they work on is constant, or only its shape matters."""
    return kind in ("Constant", "Shape", "Size") or kind in ELEMENTWISE or kind in REDUCED or kind in READERS


def shape_of(node: Any, shape: Sequence[int], constants: Constants) -> tuple[Array, ...]:
    """Shape or Size of a value of `shape`, which need not be constant itself."""
    extents = np.array(shape, np.int64)
    if node.op_type == "Size":
        return constants.compute("REDUCE_PROD", extents, [0], False)
    first, last = attribute(node, "start", 0), attribute(node, "end", None)
    return constants.compute("STRIDED_SLICE", extents, slice(first, last))


def listed(node: Any, data: Given, place: int, name: str) -> list[int] | None:
    """Axes and the like, which old files store as an attribute and new ones as an input."""
    stored = attribute(node, name, None)
    operand = data[place] if place < len(data) else None
    if stored is None and operand is not None:
        stored = operand.reshape(-1)
    return None if stored is None else [int(n) for n in stored]


def _reduced(node: Any, data: Given) -> tuple[tuple[Any, ...], dict[str, Any]]:
    axes = listed(node, data, 1, "axes") or list(range(data[0].ndim))
    return (data[0], axes), {"keep_dims": bool(attribute(node, "keepdims", 1))}


def _reshape(node: Any, data: Given) -> Call:
    shape = listed(node, data, 1, "shape") or []
    if not attribute(node, "allowzero", 0):
        if any(n == 0 and axis >= data[0].ndim for axis, n in enumerate(shape)):
            raise ValueError(f"cannot make {shape} of {list(data[0].shape)}")
        shape = [data[0].shape[axis] if n == 0 else n for axis, n in enumerate(shape)]
    return "RESHAPE", (data[0], shape), {}


def _slice(node: Any, data: Given) -> Call:
    starts, ends = listed(node, data, 1, "starts") or [], listed(node, data, 2, "ends") or []
    axes = listed(node, data, 3, "axes") or list(range(len(starts)))
    steps = listed(node, data, 4, "steps") or [1] * len(starts)
    index = [slice(None)] * data[0].ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        index[axis] = slice(start, end, step)
    return "STRIDED_SLICE", (data[0], tuple(index)), {}


def _cast(node: Any, data: Given) -> Call:
    from onnx.helper import tensor_dtype_to_np_dtype

    return "CAST", (data[0], tensor_dtype_to_np_dtype(int(attribute(node, "to", 1)))), {}


def _constant_of_shape(node: Any, data: Given) -> Call:
    from onnx.numpy_helper import to_array

    value = attribute(node, "value", None)
    fill = np.zeros(1, np.float32) if value is None else np.asarray(to_array(value))
    return "FILL", (data[0].reshape(-1), fill), {}


def _expand(node: Any, data: Given) -> Call:
    shape = np.broadcast_shapes(data[0].shape, tuple(int(n) for n in data[1].reshape(-1)))
    return "BROADCAST_TO", (data[0], shape), {}


READERS: dict[str, Callable[[Any, Given], Call]] = {
    "Shape": lambda node, data: ("SHAPE", (data[0].shape, np.int64), {}),
    "Identity": lambda node, data: ("RESHAPE", (data[0], data[0].shape), {}),
    "Cast": _cast,
    "Concat": lambda node, data: ("CONCATENATION", tuple(data), {"axis": int(attribute(node, "axis", 0))}),
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Gather": lambda node, data: (
        "GATHER",
        (data[0], data[1]),
        {"axis": int(attribute(node, "axis", 0)) % max(data[0].ndim, 1)},
    ),
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": lambda node, data: ("SQUEEZE", (data[0], listed(node, data, 1, "axes")), {}),
    "Tile": lambda node, data: ("TILE", (data[0], listed(node, data, 1, "repeats") or []), {}),
    "Transpose": lambda node, data: (
        "TRANSPOSE",
        (data[0], attribute(node, "perm", range(data[0].ndim)[::-1])),
        {},
    ),
    "Unsqueeze": lambda node, data: ("EXPAND_DIMS", (data[0], listed(node, data, 1, "axes") or []), {}),
}
