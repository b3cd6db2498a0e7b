"""Operators that only move bytes, at their limits, and what of them is refused."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
from models import ModelBuilder, Tensor
from oracle import Oracle, compare, load_bytes

from driftc.codegen.errors import ModelError


def embedding(shape: tuple[int, ...], count: int) -> ModelBuilder:
    builder = ModelBuilder()
    table = np.arange(prod(shape)).astype(np.int8).reshape(shape)
    indices = builder.input("indices", (count,), dtype=np.int32)
    builder.output(builder.embedding_lookup(indices, builder.constant(table, scale=0.1)))
    return builder


def test_indices_outside_the_table_are_clamped() -> None:
    (operator,) = load_bytes(embedding((3, 2), 4).build()).operators
    table = operator.inputs[0].data
    assert table is not None
    (found,) = operator.spec(table, np.array([-1, 3, 2**31 - 1, -(2**31)], np.int32))
    assert found.tolist() == [[0, 1], [4, 5], [4, 5], [0, 1]]


def test_views_of_indices_are_allowed() -> None:
    builder = ModelBuilder()
    indices = builder.input("indices", (1, 3), dtype=np.int32)
    table = builder.constant(np.zeros((4, 2), np.int8), scale=0.1)
    builder.output(builder.gather(table, builder.squeeze(builder.reshape(indices, (1, 3, 1)))))
    assert len(load_bytes(builder.build()).operators) == 3


def model(build: Callable[[ModelBuilder, Tensor], Tensor]) -> bytes:
    builder = ModelBuilder()
    builder.output(build(builder, builder.input("x", (1, 2, 3, 4), scale=0.1)))
    return builder.build()


def operator(
    m: ModelBuilder, code: str, operands: list[Tensor], shape: tuple[int, ...], *table: str, **options: Any
) -> Tensor:
    """Any operator with an output of `shape`, however little sense it makes."""
    y = m.tensor("y", shape, scale=0.1)
    m.operator(code, operands, [y], *table, **options)
    return y


def int32(m: ModelBuilder, *values: int) -> Tensor:
    return m.constant(list(values), dtype=np.int32)


BAD: dict[str, tuple[Callable[[ModelBuilder, Tensor], Tensor], str]] = {
    "negative padding": (lambda m, x: m.pad(x, [(0, 0), (-1, 2), (0, 0), (0, 0)]), "out of range"),
    "huge padding": (
        lambda m, x: operator(m, "PAD", [x, int32(m, 0, 2**31 - 1, 0, 0, 0, 0, 0, 0)], (1, 2, 3, 4), "PadOptions"),
        "out of range",
    ),
    "padding of 4 GiB": (
        lambda m, x: operator(m, "PAD", [x, int32(m, 0, 0, 1 << 25, 0, 1 << 25, 0, 0, 0)], (1, 2, 3, 4), "PadOptions"),
        "but the file says",
    ),
    "too few paddings": (
        lambda m, x: operator(m, "PAD", [x, int32(m, 0, 1)], (1, 2, 3, 4), "PadOptions"),
        "2 paddings",
    ),
    "int64 paddings": (
        lambda m, x: operator(m, "PAD", [x, m.constant([[0, 0]] * 4, dtype=np.int64)], (1, 2, 3, 4), "PadOptions"),
        "must be int32",
    ),
    "padding value of another scale": (
        lambda m, x: operator(
            m, "PADV2", [x, int32(m, *[0] * 8), m.constant([1], dtype=np.int8, scale=0.2)], (1, 2, 3, 4), "PadV2Options"
        ),
        "must have the output's scale",
    ),
    "reshape to another size": (lambda m, x: operator(m, "RESHAPE", [x], (5, 5)), "24 elements are not 25"),
    "reshape to another type": (
        lambda m, x: operator(m, "RESHAPE", [m.input("i", (24,), dtype=np.int32)], (24,)),
        "turns int32 into int8",
    ),
    "squeeze of a long axis": (
        lambda m, x: operator(m, "SQUEEZE", [x], (1, 2, 3), "SqueezeOptions", SqueezeDims=(3,)),
        "its extent is not 1",
    ),
    "squeeze of no axis": (
        lambda m, x: operator(m, "SQUEEZE", [x], (2, 3, 4), "SqueezeOptions", SqueezeDims=(-5,)),
        "axis -5 does not exist",
    ),
    "expand_dims far away": (
        lambda m, x: operator(m, "EXPAND_DIMS", [x, int32(m, 6)], (1, 2, 3, 4, 1)),
        "axis 6 does not exist",
    ),
    "transpose that repeats an axis": (
        lambda m, x: operator(m, "TRANSPOSE", [x, int32(m, 0, 1, 1, 3)], (1, 2, 2, 4)),
        "is no order of the 4 axes",
    ),
    "transpose with a negative axis": (
        lambda m, x: operator(m, "TRANSPOSE", [x, int32(m, 0, 1, 2, -1)], (1, 2, 3, 4)),
        "is no order of the 4 axes",
    ),
    "concatenation of other shapes": (
        lambda m, x: operator(
            m, "CONCATENATION", [x, m.input("z", (1, 2, 3), scale=0.1)], (1, 2, 3, 7), "ConcatenationOptions", Axis=3
        ),
        "cannot join",
    ),
    "concatenation of other scales": (
        lambda m, x: m.concatenation([x, m.input("z", (1, 2, 3, 4), scale=0.2)]),
        "must be quantised alike",
    ),
    "concatenation along no axis": (
        lambda m, x: operator(m, "CONCATENATION", [x, x], (1, 2, 3, 8), "ConcatenationOptions", Axis=4),
        "axis 4 does not exist",
    ),
    "concatenation of eleven": (lambda m, x: m.concatenation([x] * 11), "has 11 inputs"),
    "slice of nothing": (
        lambda m, x: operator(
            m, "STRIDED_SLICE", [x, int32(m, 0, 0, 0, 0), int32(m, 1, 0, 3, 4), int32(m, 1, 1, 1, 1)], (1, 0, 3, 4)
        ),
        "takes nothing of axis 1",
    ),
    "slice with stride 0": (
        lambda m, x: operator(
            m, "STRIDED_SLICE", [x, int32(m, 0, 0, 0, 0), int32(m, 1, 2, 3, 4), int32(m, 1, 0, 1, 1)], (1, 2, 3, 4)
        ),
        "the stride of axis 1 is 0",
    ),
    "slice of one index that is not there": (
        lambda m, x: operator(
            m,
            "STRIDED_SLICE",
            [x, int32(m, 0, 2, 0, 0), int32(m, 1, 3, 3, 4), int32(m, 1, 1, 1, 1)],
            (1, 3, 4),
            "StridedSliceOptions",
            ShrinkAxisMask=2,
        ),
        "index 2 does not exist on axis 1",
    ),
    "slice of too few axes": (
        lambda m, x: operator(m, "STRIDED_SLICE", [x, *[int32(m, 0, 0, 0)] * 2, int32(m, 1, 1, 1)], (1, 2, 3, 4)),
        "has 3 begins, ends and strides for 4 axes",
    ),
    "slice with two ellipses": (
        lambda m, x: operator(
            m,
            "STRIDED_SLICE",
            [x, *[int32(m, 0, 0)] * 2, int32(m, 1, 1)],
            (1, 2, 3, 4),
            "StridedSliceOptions",
            EllipsisMask=3,
        ),
        "ellipses 11",
    ),
    "range beyond the axis": (
        lambda m, x: operator(m, "SLICE", [x, int32(m, 0, 1, 0, 0), int32(m, 1, 2, 3, 4)], (1, 2, 3, 4)),
        "takes 2 indices from 1 on, of the 2 of axis 1",
    ),
    "range of nothing": (
        lambda m, x: operator(m, "SLICE", [x, int32(m, 0, 2, 0, 0), int32(m, 1, -1, 3, 4)], (1, 0, 3, 4)),
        "takes -1 indices from 2 on",
    ),
    "split_v that does not add up": (
        lambda m, x: operator(m, "SPLIT_V", [x, int32(m, 3), int32(m, 3)], (1, 2, 3, 3), "SplitVOptions", NumSplits=1),
        "do not make up the 4 indices of axis 3",
    ),
    "split_v with two left open": (
        lambda m, x: m.split_v(x, [-1, -1], 3)[0],
        "do not make up the 4 indices",
    ),
    "pack of other shapes": (
        lambda m, x: m.pack([x, m.input("z", (1, 2, 3, 3), scale=0.1)]),
        "cannot pack",
    ),
    "pack of other types": (
        lambda m, x: operator(
            m, "PACK", [m.input("i", (2,), dtype=np.int32)], (1, 2), "PackOptions", ValuesCount=1, Axis=0
        ),
        "is int32; driftc moves int8, int32, bool here, the same on both sides",
    ),
    "unpack of too few": (
        lambda m, x: operator(m, "UNPACK", [x], (1, 3, 4), "UnpackOptions", Num=1, Axis=1),
        "gives 1 of 1 slices of axis 1, which has 2",
    ),
    "tile of another rank": (
        lambda m, x: operator(m, "TILE", [x, int32(m, 1, 2)], (1, 2, 3, 4)),
        "repeats \\[1, 2\\] times",
    ),
    "tile of nothing": (lambda m, x: m.tile(x, [1, 0, 1, 1]), "repeats \\[1, 0, 1, 1\\] times"),
    "reversed twice": (lambda m, x: m.reverse_v2(x, [1, -3]), "names an axis of \\[1, 1\\] twice"),
    "mirror of too much": (
        lambda m, x: operator(
            m, "MIRROR_PAD", [x, int32(m, 0, 0, 2, 0, 0, 0, 0, 0)], (1, 4, 3, 4), "MirrorPadOptions", Mode=0
        ),
        "pads axis 1 by \\[2, 0\\]; its 2 indices can be mirrored by up to 1",
    ),
    "broadcast that does not fit": (
        lambda m, x: operator(m, "BROADCAST_TO", [x, int32(m, 1, 4, 3, 4)], (1, 4, 3, 4)),
        "cannot spread shape",
    ),
    "blocks that do not divide": (
        lambda m, x: operator(m, "SPACE_TO_DEPTH", [x], (1, 1, 1, 16), "SpaceToDepthOptions", BlockSize=2),
        "2 x 3 pixels do not divide into blocks of 2 x 2",
    ),
    "channels that do not make blocks": (
        lambda m, x: operator(m, "DEPTH_TO_SPACE", [x], (1, 6, 9, 1), "DepthToSpaceOptions", BlockSize=3),
        "4 channels do not make up blocks of 3 x 3",
    ),
    "blocks of nothing": (
        lambda m, x: operator(m, "SPACE_TO_DEPTH", [x], (1, 1, 1, 16), "SpaceToDepthOptions", BlockSize=0),
        "blocks of 0 pixels are out of range",
    ),
    "images that do not divide": (
        lambda m, x: operator(m, "SPACE_TO_BATCH_ND", [x, int32(m, 2, 2), int32(m, 0, 0, 0, 0)], (4, 1, 1, 4)),
        "padded rows and pixels do not divide into blocks",
    ),
    "images of three axes in two blocks": (
        lambda m, x: operator(m, "SPACE_TO_BATCH_ND", [x, int32(m, 2), int32(m, 0, 0)], (2, 1, 3, 4)),
        "has blocks of shape \\[2\\] and 2 paddings for an input of 4 axes",
    ),
    "images that make no whole": (
        lambda m, x: operator(m, "BATCH_TO_SPACE_ND", [x, int32(m, 2, 1), int32(m, 0, 0, 0, 0)], (1, 4, 3, 4)),
        "cannot make images",
    ),
    "gather_nd along too many axes": (
        lambda m, x: operator(m, "GATHER_ND", [x, m.input("i", (2, 5), dtype=np.int32)], (2,)),
        "has 5 indices for each slice of a table of 4 axes",
    ),
    "sums of other scales": (lambda m, x: m.cumsum(x, 1, out_scale=1e-8), "are too far apart"),
    "cast to float": (lambda m, x: m.cast(x, np.int16), "is int16; driftc casts between int8, int32, bool"),
    "both grids": (
        lambda m, x: m.resize_bilinear(x, (4, 4), align_corners=True, half_pixel_centers=True),
        "one or the other",
    ),
    "more pixels than steps": (lambda m, x: m.resize_bilinear(x, (2, 4000)), "steps of 1/1024 are too coarse"),
    "resize of a row": (
        lambda m, x: operator(m, "RESIZE_NEAREST_NEIGHBOR", [m.input("r", (2, 3), scale=0.1), int32(m, 2, 2)], (2, 2)),
        "needs an input of shape",
    ),
    "resize to nothing": (
        lambda m, x: m.resize_nearest_neighbor(x, (0, 4)),
        "resizes \\[2, 3\\] to \\[0, 4\\]",
    ),
    "slice with extreme ends": (
        lambda m, x: operator(
            m,
            "STRIDED_SLICE",
            [x, int32(m, -(2**31), 0, 0, 0), int32(m, 2**31 - 1, 9, 9, 9), int32(m, 2**31 - 1, 1, 1, 1)],
            (1, 2, 3, 5),
        ),
        "but the file says",
    ),
    "split that does not divide": (
        lambda m, x: operator(m, "SPLIT", [int32(m, 2), x], (1, 2, 1, 4), "SplitOptions", NumSplits=2),
        "splits in 2, but has 1 outputs",
    ),
    "gather with float indices": (
        lambda m, x: operator(m, "GATHER", [x, m.input("i", (1,), dtype=np.float32)], (1, 2, 3, 4), "GatherOptions"),
        "must be int32, not float32",
    ),
    "gather along no axis": (
        lambda m, x: operator(m, "GATHER", [x, int32(m, 0)], (1, 2, 3, 4), "GatherOptions", Axis=9),
        "axis 9 does not exist",
    ),
    "gather with too many batch axes": (
        lambda m, x: operator(m, "GATHER", [x, int32(m, 0)], (1, 2, 3, 4), "GatherOptions", Axis=0, BatchDims=1),
        "BatchDims 1 does not fit",
    ),
    "embedding of one axis": (
        lambda m, x: operator(m, "EMBEDDING_LOOKUP", [int32(m, 0), m.constant([1, 2], dtype=np.int8, scale=0.1)], (1,)),
        "must have two axes",
    ),
    "mean along no axis": (
        lambda m, x: operator(m, "MEAN", [x, int32(m, 4)], (1, 2, 3, 4), "ReducerOptions"),
        "axis 4 does not exist",
    ),
}


def test_six_axes_equal_litert(litert: Oracle) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (2, 1, 3, 2, 3, 2), scale=0.1)
    builder.output(builder.transpose(x, (4, 0, 2, 5, 1, 3)))
    compare(builder, litert)


SLICES: dict[str, dict[str, Any]] = {
    "an ellipsis": {"begin": [0, 0, 1], "end": [1, 0, 3], "strides": [1, 1, 1], "ellipsis_mask": 2},
    "new axes": {
        "begin": [0, 0, 0, 1, 0, 1], "end": [0, 1, 2, 3, 0, 4], "strides": [1, 1, 1, 1, 1, 2], "new_axis_mask": 17
    },
    "all of them": {
        "begin": [0, 0, 0, -1], "end": [1, 0, 0, 0], "strides": [1, 1, 1, 1],
        "shrink_axis_mask": 9, "ellipsis_mask": 2, "new_axis_mask": 4,
    },
}  # fmt: skip


@pytest.mark.parametrize("case", SLICES)
def test_masks_of_slices_equal_litert(litert: Oracle, case: str) -> None:
    builder = ModelBuilder()
    builder.output(builder.strided_slice(builder.input("x", (1, 2, 3, 4), scale=0.1), **SLICES[case]))
    compare(builder, litert)


@pytest.mark.parametrize("case", BAD)
def test_refused(case: str) -> None:
    build, problem = BAD[case]
    with pytest.raises(ModelError, match=problem):
        load_bytes(model(build))
