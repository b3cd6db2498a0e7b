"""Operators on constants as the tests of folding draw them: operands, outputs and options for each code."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import numpy as np
from models import ModelBuilder, Tensor

Generator = np.random.Generator
Drawn = tuple[list[Tensor | None], list[Tensor], tuple[str, dict[str, Any]]]
Make = Callable[[ModelBuilder, Generator], Drawn]
KINDS = {"int": np.int32, "wide": np.int64, "real": np.float32, "truth": np.bool_}


def some(random: Generator, shape: tuple[int, ...], kind: str = "int") -> np.ndarray[Any, Any]:
    if kind == "real":
        return (random.standard_normal(shape) * 10).astype(np.float32)
    return random.integers(0 if kind == "truth" else -9, 2 if kind == "truth" else 10, shape).astype(KINDS[kind])


def shape_of(random: Generator, least: int = 1, most: int = 3) -> tuple[int, ...]:
    return tuple(int(n) for n in random.integers(1, 4, random.integers(least, most + 1)))


def listed(m: ModelBuilder, *values: int) -> Tensor:
    return m.constant(list(values), dtype=np.int32)


def elementwise(code: str, *kinds: str, options: str = "", gives: str = "", nonzero: bool = False) -> Make:
    def make(m: ModelBuilder, random: Generator) -> Drawn:
        shape, kind = shape_of(random), str(random.choice(kinds))
        other = shape[random.integers(0, len(shape)) :] if random.random() < 0.5 else shape
        a, b = some(random, shape, kind), some(random, other, kind)
        if nonzero:
            b[b == 0] = 3
        y = m.tensor("y", shape, dtype=KINDS[gives or kind])
        return [m.constant(a), m.constant(b)], [y], (options, {})

    return make


def unary(code: str, *kinds: str, options: str = "", positive: bool = False) -> Make:
    def make(m: ModelBuilder, random: Generator) -> Drawn:
        shape, kind = shape_of(random), str(random.choice(kinds))
        x = some(random, shape, kind)
        return [m.constant(np.abs(x) if positive else x)], [m.tensor("y", shape, dtype=x.dtype)], (options, {})

    return make


def reduced(code: str, *kinds: str) -> Make:
    def make(m: ModelBuilder, random: Generator) -> Drawn:
        shape, kind, keep = shape_of(random), str(random.choice(kinds)), bool(random.random() < 0.5)
        axes = sorted(random.permutation(len(shape))[: random.integers(1, len(shape) + 1)].tolist())
        left = [1 if axis in axes else n for axis, n in enumerate(shape) if keep or axis not in axes]
        y = m.tensor("y", tuple(left), dtype=KINDS[kind])
        named = [axis - len(shape) if random.random() < 0.3 else axis for axis in axes]
        return [m.constant(some(random, shape, kind)), listed(m, *named)], [y], ("ReducerOptions", {"KeepDims": keep})

    return make


def strided_slice(m: ModelBuilder, random: Generator) -> Drawn:
    shape = shape_of(random, 1, 4)
    named = int(random.integers(1, len(shape) + 1))
    begin, end = ([int(n) for n in random.integers(-4, 5, named)] for _ in range(2))
    strides = [int(n) for n in random.choice([-2, -1, 1, 2], named)]
    masks = {name: int(random.integers(0, 1 << named)) for name in ("BeginMask", "EndMask", "ShrinkAxisMask")}
    for axis in range(named):
        if masks["ShrinkAxisMask"] >> axis & 1:
            begin[axis], strides[axis] = int(random.integers(-shape[axis], shape[axis])), 1
            end[axis] = begin[axis] + 1
            masks["BeginMask"] &= ~(1 << axis)
            masks["EndMask"] &= ~(1 << axis)
    index: list[int | slice] = []
    for axis in range(named):
        first = None if masks["BeginMask"] >> axis & 1 else begin[axis]
        last = None if masks["EndMask"] >> axis & 1 else end[axis]
        index.append(begin[axis] if masks["ShrinkAxisMask"] >> axis & 1 else slice(first, last, strides[axis]))
    x = some(random, shape)
    y = m.tensor("y", x[tuple(index)].shape, dtype=np.int32)
    operands = [m.constant(x), listed(m, *begin), listed(m, *end), listed(m, *strides)]
    return [*operands], [y], ("StridedSliceOptions", dict(masks))


def packed(m: ModelBuilder, random: Generator) -> Drawn:
    shape, count = shape_of(random, 0), int(random.integers(1, 4))
    axis = int(random.integers(-len(shape) - 1, len(shape) + 1))
    place = axis % (len(shape) + 1)
    y = m.tensor("y", (*shape[:place], count, *shape[place:]), dtype=np.int32)
    parts = [m.constant(some(random, shape)) for _ in range(count)]
    return [*parts], [y], ("PackOptions", {"ValuesCount": count, "Axis": axis})


def unpacked(m: ModelBuilder, random: Generator) -> Drawn:
    shape = shape_of(random)
    axis = int(random.integers(-len(shape), len(shape)))
    rest = tuple(n for place, n in enumerate(shape) if place != axis % len(shape))
    ys = [m.tensor(f"y{n}", rest, dtype=np.int32) for n in range(shape[axis])]
    return [m.constant(some(random, shape))], ys, ("UnpackOptions", {"Num": len(ys), "Axis": axis})


def concatenated(m: ModelBuilder, random: Generator) -> Drawn:
    shape, axis = shape_of(random), 0
    axis = int(random.integers(-len(shape), len(shape)))
    extents = [int(n) for n in random.integers(1, 4, random.integers(1, 4))]
    place = axis % len(shape)

    def sized(n: int) -> tuple[int, ...]:
        return (*shape[:place], n, *shape[place + 1 :])

    parts = [m.constant(some(random, sized(n))) for n in extents]
    return [*parts], [m.tensor("y", sized(sum(extents)), dtype=np.int32)], ("ConcatenationOptions", {"Axis": axis})


def gathered(m: ModelBuilder, random: Generator) -> Drawn:
    shape, where = shape_of(random), shape_of(random, 0, 2)
    axis = int(random.integers(0, len(shape)))
    indices = random.integers(0, shape[axis], where).astype(np.int32)
    y = m.tensor("y", (*shape[:axis], *where, *shape[axis + 1 :]), dtype=np.int32)
    return [m.constant(some(random, shape)), m.constant(indices)], [y], ("GatherOptions", {"Axis": axis})


def sliced(m: ModelBuilder, random: Generator) -> Drawn:
    shape = shape_of(random)
    begin = [int(random.integers(0, n)) for n in shape]
    size = [int(random.integers(1, n - first + 1)) for n, first in zip(shape, begin, strict=True)]
    given = [-1 if first + n == extent else n for first, n, extent in zip(begin, size, shape, strict=True)]
    y = m.tensor("y", tuple(size), dtype=np.int32)
    return [m.constant(some(random, shape)), listed(m, *begin), listed(m, *given)], [y], ("SliceOptions", {})


def ranged(m: ModelBuilder, random: Generator) -> Drawn:
    step = int(random.choice([-3, -1, 1, 2]))
    start = int(random.integers(-5, 6))
    limit = start + step * int(random.integers(1, 5)) - int(random.integers(0, 2))  # short of a step, or not
    limit = limit if (limit - start) * step > 0 else start
    y = m.tensor("y", (max(0, -(-(limit - start) // step)),), dtype=np.int32)
    return [m.constant(n, dtype=np.int32) for n in (start, limit, step)], [y], ("RangeOptions", {})


def filled(m: ModelBuilder, random: Generator) -> Drawn:
    shape, kind = shape_of(random), str(random.choice(["int", "real"]))
    value = m.constant(some(random, (), kind))
    return [listed(m, *shape), value], [m.tensor("y", shape, dtype=KINDS[kind])], ("FillOptions", {})


def broadcast_to(m: ModelBuilder, random: Generator) -> Drawn:
    shape = shape_of(random)
    given = tuple(1 if random.random() < 0.4 else n for n in shape[random.integers(0, len(shape)) :])
    operands: list[Tensor | None] = [m.constant(some(random, given)), listed(m, *shape)]
    return operands, [m.tensor("y", shape, dtype=np.int32)], ("BroadcastToOptions", {})


def broadcast_args(m: ModelBuilder, random: Generator) -> Drawn:
    shape = shape_of(random)
    other = [1 if random.random() < 0.4 else n for n in shape[random.integers(0, len(shape)) :]]
    return [listed(m, *shape), listed(m, *other)], [m.tensor("y", (len(shape),), dtype=np.int32)], ("", {})


def cast(m: ModelBuilder, random: Generator) -> Drawn:
    shape, (one, other) = shape_of(random), random.choice(["int", "wide", "real"], 2)
    return [m.constant(some(random, shape, one))], [m.tensor("y", shape, dtype=KINDS[other])], ("CastOptions", {})


def transposed(m: ModelBuilder, random: Generator) -> Drawn:
    shape = shape_of(random)
    order = [int(n) for n in random.permutation(len(shape))]
    y = m.tensor("y", tuple(shape[n] for n in order), dtype=np.int32)
    return [m.constant(some(random, shape)), listed(m, *order)], [y], ("TransposeOptions", {})


def expanded(m: ModelBuilder, random: Generator) -> Drawn:
    shape = shape_of(random)
    axis = int(random.integers(-len(shape) - 1, len(shape) + 1))
    y = m.tensor("y", tuple(np.expand_dims(np.zeros(shape), axis).shape), dtype=np.int32)
    return [m.constant(some(random, shape)), listed(m, axis)], [y], ("ExpandDimsOptions", {})


def squeezed(m: ModelBuilder, random: Generator) -> Drawn:
    shape = tuple(1 if random.random() < 0.5 else n for n in shape_of(random))
    ones = [axis for axis, n in enumerate(shape) if n == 1]
    axes = ones[:1] if random.random() < 0.5 else []
    gone = axes or ones
    y = m.tensor("y", tuple(n for axis, n in enumerate(shape) if axis not in gone), dtype=np.int32)
    return [m.constant(some(random, shape))], [y], ("SqueezeOptions", {"SqueezeDims": tuple(axes)})


def split(m: ModelBuilder, random: Generator) -> Drawn:
    shape, count = shape_of(random), int(random.integers(1, 4))
    axis = int(random.integers(-len(shape), len(shape)))
    whole = list(shape)
    whole[axis] *= count
    ys = [m.tensor(f"y{n}", shape, dtype=np.int32) for n in range(count)]
    return (
        [m.constant(axis, dtype=np.int32), m.constant(some(random, tuple(whole)))],
        ys,
        (
            "SplitOptions",
            {"NumSplits": count},
        ),
    )


def tiled(m: ModelBuilder, random: Generator) -> Drawn:
    shape = shape_of(random)
    times = [int(n) for n in random.integers(1, 4, len(shape))]
    y = m.tensor("y", tuple(n * t for n, t in zip(shape, times, strict=True)), dtype=np.int32)
    return [m.constant(some(random, shape)), listed(m, *times)], [y], ("TileOptions", {})


def reversed_(m: ModelBuilder, random: Generator) -> Drawn:
    shape = shape_of(random)
    y = m.tensor("y", shape, dtype=np.int32)
    operands: list[Tensor | None] = [m.constant(some(random, shape)), listed(m, int(random.integers(0, len(shape))))]
    return operands, [y], ("ReverseV2Options", {})


def selected(m: ModelBuilder, random: Generator, same: bool = False) -> Drawn:
    shape = shape_of(random)
    other = shape if same else shape[-1:]
    condition, a, b = some(random, shape, "truth"), some(random, shape), some(random, other)
    operands: list[Tensor | None] = [m.constant(condition), m.constant(a), m.constant(b)]
    return operands, [m.tensor("y", shape, dtype=np.int32)], ("SelectOptions" if same else "SelectV2Options", {})


def reshaped(m: ModelBuilder, random: Generator) -> Drawn:
    shape = shape_of(random)
    return (
        [m.constant(some(random, shape)), listed(m, -1, shape[-1])],
        [m.tensor("y", (prod(shape[:-1]), shape[-1]), dtype=np.int32)],
        ("ReshapeOptions", {}),
    )


def of_shape(m: ModelBuilder, random: Generator) -> Drawn:
    x = m.tensor("of", shape_of(random), scale=0.1)
    m.operator("RELU", [m.input("before", x.shape, scale=0.1)], [x])
    return [x], [m.tensor("y", (len(x.shape),), dtype=np.int32)], ("ShapeOptions", {"OutType": 2})


def zeros_like(m: ModelBuilder, random: Generator) -> Drawn:
    shape = shape_of(random)
    return [m.constant(some(random, shape))], [m.tensor("y", shape, dtype=np.int32)], ("ZerosLikeOptions", {})


VERSIONS = {"BROADCAST_TO": 2}
COMPARED = ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
CASES: dict[str, Make] = {
    "ADD": elementwise("ADD", "int", "real", options="AddOptions"),
    "SUB": elementwise("SUB", "int", "real", options="SubOptions"),
    "MUL": elementwise("MUL", "int", "real", options="MulOptions"),
    "DIV": elementwise("DIV", "int", "real", options="DivOptions", nonzero=True),
    "FLOOR_DIV": elementwise("FLOOR_DIV", "int", options="FloorDivOptions", nonzero=True),
    "FLOOR_MOD": elementwise("FLOOR_MOD", "int", options="FloorModOptions", nonzero=True),
    "MAXIMUM": elementwise("MAXIMUM", "int", "real", options="MaximumMinimumOptions"),
    "MINIMUM": elementwise("MINIMUM", "int", "real", options="MaximumMinimumOptions"),
    "SQUARED_DIFFERENCE": elementwise("SQUARED_DIFFERENCE", "int", "real", options="SquaredDifferenceOptions"),
    **{code: elementwise(code, "int", "real", gives="truth") for code in COMPARED},
    "LOGICAL_AND": elementwise("LOGICAL_AND", "truth", options="LogicalAndOptions"),
    "LOGICAL_OR": elementwise("LOGICAL_OR", "truth", options="LogicalOrOptions"),
    "LOGICAL_NOT": unary("LOGICAL_NOT", "truth", options="LogicalNotOptions"),
    "NEG": unary("NEG", "int", "real", options="NegOptions"),
    "ABS": unary("ABS", "int", "real", options="AbsOptions"),
    "SQUARE": unary("SQUARE", "real", options="SquareOptions"),
    "FLOOR": unary("FLOOR", "real"),
    "SQRT": unary("SQRT", "real", positive=True),
    "SUM": reduced("SUM", "int"),
    "REDUCE_PROD": reduced("REDUCE_PROD", "int"),
    "REDUCE_MAX": reduced("REDUCE_MAX", "int", "real"),
    "REDUCE_MIN": reduced("REDUCE_MIN", "int", "real"),
    "REDUCE_ANY": reduced("REDUCE_ANY", "truth"),
    "REDUCE_ALL": reduced("REDUCE_ALL", "truth"),
    "BROADCAST_ARGS": broadcast_args, "BROADCAST_TO": broadcast_to, "CAST": cast, "CONCATENATION": concatenated,
    "EXPAND_DIMS": expanded, "FILL": filled, "GATHER": gathered, "PACK": packed, "RANGE": ranged,
    "RESHAPE": reshaped, "REVERSE_V2": reversed_, "SELECT": partial(selected, same=True),
    "SELECT_V2": selected, "SHAPE": of_shape, "SLICE": sliced,
    "SPLIT": split, "SQUEEZE": squeezed, "STRIDED_SLICE": strided_slice, "TILE": tiled, "TRANSPOSE": transposed,
    "UNPACK": unpacked, "ZEROS_LIKE": zeros_like,
}  # fmt: skip
