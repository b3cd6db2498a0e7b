"""Float semantics: each int8 operator, made float, gives the reals that its bytes stand for, to a few steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from models import Activation, ModelBuilder, Tensor
from oracle import load_bytes

from driftc.codegen.errors import ModelError
from driftc.codegen.evaluate import evaluate
from driftc.codegen.operators.normalization.batch_normalization import BatchNormalization
from driftc.codegen.passes.dequantize import dequantize
from driftc.codegen.tensor import Tensor as GraphTensor
from driftc.simulator.reference import run_graph

Build = Callable[[ModelBuilder, Tensor], Tensor]
SCALE, ZERO = 0.05, 3
random = np.random.default_rng(5)


def weights(*shape: int) -> np.ndarray[Any, Any]:
    return random.integers(-127, 128, shape, dtype=np.int8)


OUT: dict[str, Any] = {"out_scale": 0.06, "out_zero_point": -4}
BUILD: dict[str, Build] = {
    "convolution": lambda m, x: m.conv_2d(
        x, weights(5, 3, 2, 4), range(5), weight_scale=[0.003] * 5, stride=(2, 1), **OUT
    ),
    "grouped": lambda m, x: m.conv_2d(x, weights(6, 3, 3, 2), range(6), weight_scale=[0.003] * 6, dilation=2, **OUT),
    "depthwise": lambda m, x: m.depthwise_conv_2d(
        x, weights(1, 3, 3, 8), range(8), weight_scale=[0.006] * 8, activation=Activation.RELU, **OUT
    ),
    "dense": lambda m, x: m.fully_connected(
        x, weights(7, 8 * 6 * 4), None, weight_scale=0.0005, activation=Activation.RELU6, **OUT
    ),
    "add": lambda m, x: m.add(x, x, out_scale=0.1),
    "sub": lambda m, x: m.sub(x, m.constant(weights(4), scale=0.04, zero_point=1), out_scale=0.1),
    "mul": lambda m, x: m.mul(x, m.constant(weights(4), scale=0.01, zero_point=1), activation=Activation.RELU, **OUT),
    "quotient": lambda m, x: m.div(x, m.constant(weights(4) | 64, scale=0.01, zero_point=1), out_scale=0.05),
    "squared difference": lambda m, x: m.squared_difference(
        x, m.constant(weights(4), scale=0.04, zero_point=1), out_scale=0.5, out_zero_point=-128
    ),
    "maximum": lambda m, x: m.maximum(x, m.constant(weights(4), scale=SCALE, zero_point=ZERO)),
    "minimum": lambda m, x: m.minimum(m.constant(weights(4), scale=SCALE, zero_point=ZERO), x),
    "average pool": lambda m, x: m.average_pool_2d(x, (3, 2), stride=2, padding="SAME"),
    "max pool": lambda m, x: m.max_pool_2d(x, 3, stride=2, padding="SAME"),
    "mean": lambda m, x: m.mean(x, [1, 2], out_scale=0.05),
    "prelu": lambda m, x: m.prelu(x, m.constant(weights(4), scale=0.01, zero_point=1), **OUT),
    "sum of three": lambda m, x: m.add_n(*[m.relu(x, out_zero_point=0)] * 3, out_scale=0.15),
    "log softmax": lambda m, x: m.log_softmax(x),
    "length 1": lambda m, x: m.l2_normalization(x),
    "matrix product": lambda m, x: m.batch_matmul(
        x, m.constant(weights(1, 1, 5, 4), scale=0.01, zero_point=7), adj_y=True, out_scale=0.06, out_zero_point=-4
    ),
    "sum": lambda m, x: m.mean(x, [2, 1], code="SUM", out_scale=2.0, keep_dims=True),
    "smallest of channels": lambda m, x: m.mean(x, [3], code="REDUCE_MIN"),
    "softmax": lambda m, x: m.softmax(x),
    "logistic": lambda m, x: m.logistic(x),
    "tanh": lambda m, x: m.tanh(x),
    "relu": lambda m, x: m.relu(x, out_scale=0.03, out_zero_point=-128),
    "relu6": lambda m, x: m.relu6(x),
    "hard swish": lambda m, x: m.hard_swish(x, **OUT),
    "leaky relu": lambda m, x: m.leaky_relu(x, 0.2, **OUT),
    "abs": lambda m, x: m.unary("ABS", x, **OUT),
    "exp": lambda m, x: m.unary("EXP", x, out_scale=3.0),
    "elu": lambda m, x: m.unary("ELU", x, **OUT),
    "gelu": lambda m, x: m.unary("GELU", x, options={"Approximate": True}, **OUT),
    "relu to 1": lambda m, x: m.unary("RELU_N1_TO_1", x, out_scale=0.009, out_zero_point=-4),
    "pad": lambda m, x: m.pad(x, [(0, 0), (2, 1), (1, 3), (0, 2)]),
    "pad with a value": lambda m, x: m.pad(x, [(0, 0), (0, 0), (1, 0), (0, 0)], value=7),
    "concatenation": lambda m, x: m.concatenation([x, x], 3),
    "reshape": lambda m, x: m.reshape(x, [1, 4, 48]),
    "squeeze": lambda m, x: m.squeeze(m.mean(x, [1, 2], keep_dims=True), [1, 2]),
    "transpose": lambda m, x: m.transpose(x, [0, 3, 1, 2]),
    "transposed convolution": lambda m, x: m.transpose_conv(
        x, weights(5, 3, 2, 4), range(5), weight_scale=[0.003] * 5, stride=(2, 1), **OUT
    ),
    "nearest": lambda m, x: m.resize_nearest_neighbor(x, (16, 9), half_pixel_centers=True),
    "pieces": lambda m, x: m.concatenation(m.split_v(x, [3, -1], 3)[::-1], 3),
    "halves": lambda m, x: m.concatenation(m.split(x, 2, 1)[::-1], 1),
    "packed": lambda m, x: m.pack(m.unpack(x, 2), 1),
    "bilinear": lambda m, x: m.resize_bilinear(x, (16, 9), align_corners=True),
    "tiled": lambda m, x: m.tile(x, [1, 1, 2, 1]),
    "reversed": lambda m, x: m.reverse_v2(x, [1, 2]),
    "mirrored": lambda m, x: m.mirror_pad(x, [(0, 0), (2, 1), (0, 3), (0, 0)]),
    "blocks": lambda m, x: m.depth_to_space(m.space_to_depth(x, 2), 4),
    "images": lambda m, x: m.batch_to_space_nd(
        m.space_to_batch_nd(x, [3, 2], [(0, 1), (0, 2)]), [3, 2], [(0, 1), (0, 2)]
    ),
    "range": lambda m, x: m.slice(x, [0, 1, 2, 3], [1, 3, -1, 1]),
    "slice": lambda m, x: m.strided_slice(x, [0, 1, 0, 1], [1, 8, 6, 4], [1, 2, 2, 1]),
}


@pytest.mark.parametrize("name", BUILD)
def test_reals_of_the_bytes(name: str) -> None:
    builder = ModelBuilder()
    builder.output(BUILD[name](builder, builder.input("x", (1, 8, 6, 4), scale=SCALE, zero_point=ZERO)))
    graph = load_bytes(builder.build())
    real = dequantize(graph)
    for operator in real.operators:
        operator.check_float()
    samples = random.integers(-128, 128, (5, 8, 6, 4), dtype=np.int8)
    (found,) = evaluate(real, [((samples.astype(np.float32) - ZERO) * np.float32(SCALE))])
    out = graph.outputs[0]
    steps = np.clip(found / out.scale + out.zero_point, -128, 127)
    wanted = [run_graph(graph, [sample[np.newaxis]])[out.name] for sample in samples]
    assert found.shape == (5 * out.shape[0], *out.shape[1:])
    assert np.abs(np.concatenate(wanted) - steps).max() <= 1.6
    assert np.ptp(steps) > 20


def tensor(name: str, *shape: int) -> GraphTensor:
    return GraphTensor(name, shape, np.dtype(np.float32), label=name)


def normalization(**changes: Any) -> BatchNormalization:
    four = np.arange(1, 5, dtype=np.float32)
    fields = {"gamma": four, "beta": -four, "mean": four / 2, "variance": four * four, "epsilon": 1e-3, **changes}
    return BatchNormalization(
        name="bn", inputs=(tensor("x", 1, 2, 2, 4),), outputs=(tensor("y", 1, 2, 2, 4),), **fields
    )


def test_batch_normalization() -> None:
    operator = normalization()
    operator.check_float()
    x = random.normal(size=(3, 2, 2, 4)).astype(np.float32)
    four = np.arange(1, 5)
    wanted = four * (x - four / 2) / np.sqrt(four**2 + 1e-3) - four
    assert np.allclose(operator.float_spec(x)[0], wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variance": np.zeros(4, np.float32), "epsilon": 0.0}, "channel 0: variance plus epsilon 0 is not positive"),
        ({"mean": np.full(4, np.nan, np.float32)}, "mean holds NaN"),
        ({"gamma": np.ones(3, np.float32)}, "gamma has shape"),
    ],
)
def test_batch_normalization_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        normalization(**changes).check_float()


def test_batch_normalization_is_never_compiled() -> None:
    with pytest.raises(ModelError, match="must be folded"):
        normalization().check()
