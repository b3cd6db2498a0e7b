"""What is known when compiling: operators on constants, in NumPy. Shared by the frontends of .tflite and ONNX.

Each frontend reads its own attributes and calls `Constants.compute` by the operator's name in a .tflite file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil, prod
from typing import Any

import numpy as np

from driftc.codegen.tensor import Array

LARGEST = 1 << 26  # bytes of one constant: as much as a tensor of a model file may have
LARGEST_TOGETHER = 1 << 28  # and of all that are computed for one model
LARGEST_RANK = 8
# What may be raised where operands do not fit together, or one of them is absurd.
PROBLEMS = (ValueError, IndexError, TypeError, OverflowError, MemoryError)


class Constants:
    """Computes constants of one model, up to LARGEST_TOGETHER bytes."""

    def __init__(self) -> None:
        self._bytes = 0

    def compute(self, name: str, *arguments: Any, **attributes: Any) -> tuple[Array, ...]:
        """What FUNCTIONS[name] gives. Raises ValueError, in words, where it gives nothing or too much."""
        try:
            with np.errstate(all="ignore"):
                made = FUNCTIONS[name](*arguments, **attributes)
        except PROBLEMS as problem:
            raise ValueError(str(problem) or type(problem).__name__) from None
        found = tuple(np.ascontiguousarray(part).reshape(np.shape(part)) for part in _several(made))
        self._bytes += sum(part.nbytes for part in found)
        if self._bytes > LARGEST_TOGETHER:
            raise ValueError(f"all constants together need over {LARGEST_TOGETHER >> 20} MiB")
        if any(part.ndim > LARGEST_RANK for part in found):
            raise ValueError(f"gives more than {LARGEST_RANK} axes")
        return found


def _several(made: Any) -> tuple[Any, ...]:
    return tuple(made) if isinstance(made, tuple | list) else (made,)


def _room(shape: Sequence[int], dtype: Any) -> None:
    """Refuse what would be too large before it is made."""
    if any(n < 0 for n in shape):
        raise ValueError(f"shape {list(shape)} is not possible")
    if prod(int(n) for n in shape) * np.dtype(dtype).itemsize > LARGEST:
        raise ValueError(f"shape {list(shape)} needs over {LARGEST >> 20} MiB")


def _elementwise(function: Callable[..., Array]) -> Callable[..., Array]:
    """`function` of operands that broadcast, which must be of one type (a condition aside)."""

    def checked(*operands: Array) -> Array:
        if len({operand.dtype for operand in operands[-2:]}) != 1:
            raise ValueError(f"operands are {' and '.join(operand.dtype.name for operand in operands)}")
        _room(np.broadcast_shapes(*(operand.shape for operand in operands)), operands[-1].dtype)
        return function(*operands)

    return checked


def _division(floats: Callable[..., Array], integers: Callable[..., Array]) -> Callable[..., Array]:
    def divided(a: Array, b: Array) -> Array:
        if a.dtype.kind == "f":
            return floats(a, b)
        if not np.all(b):
            raise ValueError("divides by zero")
        return integers(a, b).astype(a.dtype)

    return _elementwise(divided)


def _truncated(a: Array, b: Array) -> Array:
    """Integer division towards zero, as C has it."""
    quotient: Array = np.floor_divide(a, b)
    return np.asarray(quotient + ((quotient < 0) & (quotient * b != a)))


def _cast(x: Array, dtype: Any) -> Array:
    """Real values lose what follows the point; those that the type does not hold are refused."""
    kind = np.dtype(dtype)
    if x.dtype.kind == "f" and kind.kind in "iu":
        limits = np.iinfo(kind)
        if not np.all((x > float(limits.min) - 1) & (x < float(limits.max) + 1)):
            raise ValueError(f"holds values that {kind.name} does not")
    made: Array = x.astype(kind)
    return made


def _select(condition: Array, a: Array, b: Array) -> Array:
    if condition.shape != a.shape and condition.size != 1:
        raise ValueError(f"a condition of shape {list(condition.shape)} for {list(a.shape)}")
    return np.where(condition, a, b)


def _gather(x: Array, indices: Array, axis: int, batch_dims: int = 0) -> Array:
    if batch_dims:
        raise ValueError(f"shares {batch_dims} leading axes with its indices")
    if indices.dtype.kind not in "iu":
        raise ValueError(f"indices are {indices.dtype.name}")
    _room((*x.shape[:axis], *indices.shape, *x.shape[axis:][1:]), x.dtype)
    return x.take(indices, axis=axis)


def _slice(x: Array, begin: Sequence[int], size: Sequence[int]) -> Array:
    """`size` -1 takes what is left."""
    if not x.ndim == len(begin) == len(size):
        raise ValueError(f"{len(begin)} begins and {len(size)} sizes for {x.ndim} axes")
    ends = [extent if n == -1 else first + n for first, n, extent in zip(begin, size, x.shape, strict=True)]
    if any(not 0 <= first <= end <= extent for first, end, extent in zip(begin, ends, x.shape, strict=True)):
        raise ValueError(f"takes {list(begin)} to {ends} of {list(x.shape)}")
    return x[tuple(slice(first, end) for first, end in zip(begin, ends, strict=True))]


def _joined(function: Callable[..., Array]) -> Callable[..., Array]:
    def joined(*parts: Array, axis: int) -> Array:
        if len({part.dtype for part in parts}) != 1:
            raise ValueError(f"joins {' and '.join(part.dtype.name for part in parts)}")
        _room((sum(part.size for part in parts),), parts[0].dtype)
        return function(parts, axis=axis)

    return joined


def _reshape(x: Array, shape: Sequence[int]) -> Array:
    return x.reshape([int(n) for n in shape])


def _expand_dims(x: Array, axes: Sequence[int]) -> Array:
    return np.expand_dims(x, tuple(axes))


def _fill(shape: Sequence[int], value: Array) -> Array:
    _room(shape, value.dtype)
    if value.size != 1:
        raise ValueError(f"fills with {value.size} values")
    return np.full(shape, value.reshape(()))


def _range(start: Array, limit: Array, delta: Array) -> Array:
    first, last, step = (part.reshape(()).item() for part in (start, limit, delta))
    if step == 0:
        raise ValueError("a range whose step is 0")
    _room((max(0, ceil((last - first) / step)),), start.dtype)
    return np.arange(first, last, step, dtype=start.dtype)


def _broadcast_to(x: Array, shape: Sequence[int]) -> Array:
    _room(shape, x.dtype)
    return np.broadcast_to(x, shape)


def _broadcast_shapes(a: Array, b: Array) -> Array:
    return np.array(np.broadcast_shapes(tuple(a), tuple(b)), a.dtype)


def _tile(x: Array, times: Sequence[int]) -> Array:
    if len(times) != x.ndim:
        raise ValueError(f"{len(times)} multiples for {x.ndim} axes")
    _room([extent * n for extent, n in zip(x.shape, times, strict=True)], x.dtype)
    return np.tile(x, times)


def _reduced(function: Callable[..., Array]) -> Callable[..., Array]:
    """Along `axes`; the type stays."""

    def reduced(x: Array, axes: Sequence[int], keep_dims: bool) -> Array:
        return np.asarray(function(x, axis=tuple(axes), keepdims=keep_dims)).astype(x.dtype)

    return reduced


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "ADD": _elementwise(np.add),
    "SUB": _elementwise(np.subtract),
    "MUL": _elementwise(np.multiply),
    "DIV": _division(np.divide, _truncated),
    "FLOOR_DIV": _division(np.floor_divide, np.floor_divide),
    "FLOOR_MOD": _division(np.mod, np.mod),
    "MAXIMUM": _elementwise(np.maximum),
    "MINIMUM": _elementwise(np.minimum),
    "SQUARED_DIFFERENCE": _elementwise(lambda a, b: np.square(np.subtract(a, b))),
    "EQUAL": _elementwise(np.equal),
    "NOT_EQUAL": _elementwise(np.not_equal),
    "LESS": _elementwise(np.less),
    "LESS_EQUAL": _elementwise(np.less_equal),
    "GREATER": _elementwise(np.greater),
    "GREATER_EQUAL": _elementwise(np.greater_equal),
    "LOGICAL_AND": _elementwise(np.logical_and),
    "LOGICAL_OR": _elementwise(np.logical_or),
    "LOGICAL_NOT": np.logical_not,
    "SELECT": _elementwise(_select),
    "SELECT_V2": _elementwise(np.where),
    "NEG": np.negative,
    "ABS": np.abs,
    "SQUARE": np.square,
    "SIGN": np.sign,
    "FLOOR": np.floor,
    "CEIL": np.ceil,
    "SQRT": np.sqrt,
    "CAST": _cast,
    "SHAPE": lambda shape, dtype: np.array(shape, dtype),
    "ZEROS_LIKE": lambda shape, dtype: np.zeros(shape, dtype),
    "RESHAPE": _reshape,
    "TRANSPOSE": lambda x, permutation: x.transpose(tuple(permutation)),
    "EXPAND_DIMS": _expand_dims,
    "SQUEEZE": lambda x, axes: x.squeeze(None if axes is None else tuple(axes)),
    "CONCATENATION": _joined(np.concatenate),
    "PACK": _joined(np.stack),
    "UNPACK": lambda x, axis: tuple(np.moveaxis(x, axis, 0)),
    "SPLIT": lambda x, count, axis: tuple(np.split(x, count, axis)),
    "GATHER": _gather,
    "SLICE": _slice,
    "STRIDED_SLICE": lambda x, index: x[index],
    "FILL": _fill,
    "RANGE": _range,
    "BROADCAST_TO": _broadcast_to,
    "BROADCAST_ARGS": _broadcast_shapes,
    "TILE": _tile,
    "REVERSE_V2": lambda x, axes: np.flip(x, tuple(axes)),
    "SUM": _reduced(np.sum),
    "REDUCE_PROD": _reduced(np.prod),
    "REDUCE_MAX": _reduced(np.max),
    "REDUCE_MIN": _reduced(np.min),
    "REDUCE_ANY": _reduced(np.any),
    "REDUCE_ALL": _reduced(np.all),
}
