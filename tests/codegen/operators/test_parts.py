"""Tiling: an operator's part, given what it needs, computes exactly those rows and channels of the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from models import ModelBuilder, Tensor
from numpy.typing import NDArray
from operator_cases import few, seeds
from oracle import load_bytes

from driftc.codegen.operators import registry
from driftc.codegen.operators.base import Box, Operator, Tiling

SIZE = st.tuples(st.just(1), st.integers(1, 8), st.integers(1, 8), st.integers(1, 6))
Build = Callable[[ModelBuilder, Tensor], Tensor]


def constant(m: ModelBuilder, *shape: int) -> Tensor:
    data = np.random.default_rng(sum(shape)).integers(-128, 128, shape, dtype=np.int8)
    return m.constant(data, scale=0.2, zero_point=5)


def weights(*shape: int) -> NDArray[np.int8]:
    return np.random.default_rng(sum(shape)).integers(-127, 128, shape, dtype=np.int8)


BUILD: dict[str, Build] = {
    "average pool": lambda m, x: m.average_pool_2d(x, (3, 2), stride=(2, 1), padding="SAME"),
    "max pool": lambda m, x: m.max_pool_2d(x, (2, 3), stride=(1, 2), padding="SAME"),
    "pool without padding": lambda m, x: m.average_pool_2d(x, 1, stride=2),
    "add": lambda m, x: m.add(x, m.input("y", x.shape, scale=0.3), out_scale=0.4),
    "add a row": lambda m, x: m.add(constant(m, 1, 1, x.shape[2], x.shape[3]), x, out_scale=0.4),
    "scale channels": lambda m, x: m.mul(x, m.input("y", (1, 1, 1, x.shape[3]), scale=0.3), out_scale=0.4),
    "subtract a number": lambda m, x: m.sub(x, constant(m), out_scale=0.4),
    "add each channel": lambda m, x: m.add(x, constant(m, x.shape[3]), out_scale=0.4),
    "add a column": lambda m, x: m.add(x, constant(m, x.shape[1], 1, 1), out_scale=0.4),
    "maximum": lambda m, x: m.maximum(x, m.input("y", x.shape, scale=0.1, zero_point=-9)),
    "squared difference": lambda m, x: m.squared_difference(x, constant(m, 1, 1, 1, x.shape[3]), out_scale=0.2),
    "quotient": lambda m, x: m.div(x, constant(m, 1, 1, x.shape[2], 1), out_scale=0.2),
    "comparison": lambda m, x: m.compare("LESS", x, m.input("y", (1, 1, 1, x.shape[3]), scale=0.3)),
    "choice": lambda m, x: m.select(m.compare("LESS", x, x), x, x),
    "relu": lambda m, x: m.relu(x, out_scale=0.2),
    "logistic": lambda m, x: m.logistic(x),
    "pad": lambda m, x: m.pad(x, [(0, 0), (2, 1), (1, 3), (0, 2)]),
    "pad channels": lambda m, x: m.pad(x, [(0, 0), (0, 0), (0, 0), (3, 1)], value=7),
    "slice": lambda m, x: m.slice(x, [0, x.shape[1] // 2, 0, 0], [1, -1, -1, -1]),
    "slice channels": lambda m, x: m.strided_slice(x, [0] * 4, x.shape, [1, 2, 1, 2]),
    "backwards": lambda m, x: m.strided_slice(x, [0, -1, -1, 0], [1, -99, -99, 99], [1, -2, -1, 1]),
    "joined": lambda m, x: m.concatenation([x, m.input("y", x.shape, scale=0.1, zero_point=-9)], 3),
    "beside a constant": lambda m, x: m.concatenation(
        [m.constant(weights(1, x.shape[1], 2, x.shape[3]), scale=0.1, zero_point=-9), x], 2
    ),
    "mirrored": lambda m, x: m.mirror_pad(x, [(0, 0), (1, 1), (0, 1), (0, 0)], reflect=False),
    "tiled": lambda m, x: m.tile(x, [1, 3, 2, 1]),
    "spread": lambda m, x: m.broadcast_to(m.input("y", (x.shape[2], 1), scale=0.1), x.shape),
    "space to depth": lambda m, x: m.space_to_depth(m.input("y", (1, 9, 6, x.shape[3]), scale=0.1), 3),
    "depth to space": lambda m, x: m.depth_to_space(m.input("y", (1, *x.shape[1:3], 18), scale=0.1), 3),
    "bilinear": lambda m, x: m.resize_bilinear(x, (2 * x.shape[1], 7), half_pixel_centers=True),
    "bilinear of fewer rows": lambda m, x: m.resize_bilinear(x, (3, 12), align_corners=True),
    "nearest": lambda m, x: m.resize_nearest_neighbor(x, (2 * x.shape[1], 3 * x.shape[2])),
    "nearest of other sizes": lambda m, x: m.resize_nearest_neighbor(x, (7, 5), align_corners=True),
    "transposed convolution": lambda m, x: m.transpose_conv(
        x, weights(6, 3, 4, x.shape[3]), [5] * 6, weight_scale=0.01, stride=(2, 3), out_scale=0.5
    ),
    "transposed convolution without padding": lambda m, x: m.transpose_conv(
        x, weights(4, 2, 3, x.shape[3]), weight_scale=0.01, stride=(3, 1), padding="VALID", out_scale=0.5
    ),
    "mean": lambda m, x: m.mean(x, [1, 2], out_scale=0.2),
    "prelu": lambda m, x: m.prelu(x, constant(m, 1, 1, x.shape[3]), out_scale=0.2),
    "sum of three": lambda m, x: m.add_n(x, x, x, out_scale=0.3),
    "log softmax": lambda m, x: m.log_softmax(x),
    "length 1": lambda m, x: m.l2_normalization(x),
    "sum": lambda m, x: m.mean(x, [1, 2], code="SUM", out_scale=0.9),
    "largest": lambda m, x: m.mean(x, [1, 2], code="REDUCE_MAX"),
    "mean kept": lambda m, x: m.mean(x, [1, 2], keep_dims=True),
}


def cut(array: NDArray[Any], shape: tuple[int, int, int], box: Box) -> NDArray[Any]:
    return array.reshape(shape)[box.row0 : box.row1, :, box.channel0 : box.channel1]


def check(operator: Operator, box: Box, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = [
        tensor.data if tensor.data is not None else random.integers(-128, 128, tensor.shape).astype(tensor.dtype)
        for tensor in operator.inputs
    ]
    (whole,) = operator.spec(*values)
    part = operator.part(box)
    part.check()
    needed = zip(values, operator.inputs, operator.needs(box), part.inputs, strict=True)
    pieces = [cut(value, tensor.hwc, need).reshape(piece.shape) for value, tensor, need, piece in needed]
    for piece, tensor in zip(pieces, part.inputs, strict=True):
        assert tensor.data is None or np.array_equal(tensor.data.reshape(piece.shape), piece)
    (found,) = part.spec(*pieces)
    assert np.array_equal(found.reshape(-1), cut(whole, operator.outputs[0].hwc, box).reshape(-1))


@pytest.mark.parametrize("case", BUILD)
@few
@given(SIZE, st.data(), seeds)
def test_part_is_part_of_the_whole(case: str, size: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    builder = ModelBuilder()
    builder.output(BUILD[case](builder, builder.input("x", size, scale=0.1, zero_point=-9)))
    operator = load_bytes(builder.build()).operators[-1]
    height, _, channels = operator.outputs[0].hwc
    row0, row1, channel0, channel1 = 0, height, 0, channels
    if Tiling.CHANNELS in operator.divisible:
        channel0 = data.draw(st.integers(0, channels - 1))
        channel1 = data.draw(st.integers(channel0 + 1, channels))
    if Tiling.ROWS in operator.divisible:
        row0 = data.draw(st.integers(0, height - 1))
        row1 = data.draw(st.integers(row0 + 1, height))
    box = Box(row0, row1, channel0, channel1)
    needs = operator.needs(box)[0]
    assume(needs.row1 > needs.row0 and needs.channel1 > needs.channel0)
    check(operator, box, seed)


@few
@given(SIZE, st.data(), seeds)
def test_operator_that_is_not_tiled_says_so(size: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    builder = ModelBuilder()
    builder.output(builder.softmax(builder.input("x", size, scale=0.1)))
    (operator,) = load_bytes(builder.build()).operators
    height, _, channels = operator.outputs[0].hwc
    assume(height > 1)
    with pytest.raises(ValueError, match="cannot be computed in parts"):
        operator.part(Box(0, 1, 0, channels))


def test_every_operator_of_the_issue_is_registered() -> None:
    wanted = """CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED ADD SUB MUL AVERAGE_POOL_2D MAX_POOL_2D MEAN PAD PADV2 RESHAPE
        SQUEEZE EXPAND_DIMS TRANSPOSE CONCATENATION STRIDED_SLICE SPLIT SOFTMAX LOGISTIC TANH RELU RELU6 HARD_SWISH
        LEAKY_RELU QUANTIZE DEQUANTIZE GATHER EMBEDDING_LOOKUP"""
    assert set(registry()) >= set(wanted.split())


@pytest.mark.parametrize("code", registry())
def test_arithmetic_is_written_down(code: str) -> None:
    assert len(registry()[code].arithmetic) > 10
