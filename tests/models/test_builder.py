"""Every operator of the builder is a model that TFLite Micro runs, with the shape the builder worked out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from driftc.simulator.references import TflmReference
from models import Activation, ModelBuilder, Tensor, autoencoder_model, keyword_model, residual_model

RANDOM = np.random.default_rng(1)
IMAGE = (1, 6, 7, 4)
Build = Callable[[ModelBuilder, Tensor], Tensor | list[Tensor]]


def weights(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    return RANDOM.integers(-127, 128, shape, dtype=np.int8)


OPERATORS: dict[str, Build] = {
    "conv_2d": lambda m, x: m.conv_2d(x, weights(5, 3, 2, 4), [1, 2, 3, 4, 5], weight_scale=[0.01] * 5, out_scale=0.5),
    "conv_2d grouped": lambda m, x: m.conv_2d(x, weights(6, 1, 1, 2), weight_scale=0.01, out_scale=0.5),
    "conv_2d strided": lambda m, x: m.conv_2d(
        x, weights(2, 3, 3, 4), weight_scale=0.01, stride=(2, 3), padding="VALID", out_scale=0.5
    ),
    "conv_2d dilated": lambda m, x: m.conv_2d(
        x, weights(2, 3, 3, 4), weight_scale=0.01, dilation=2, activation=Activation.RELU6, out_scale=0.5
    ),
    "depthwise_conv_2d": lambda m, x: m.depthwise_conv_2d(x, weights(1, 3, 3, 8), weight_scale=0.01, out_scale=0.5),
    "fully_connected": lambda m, x: m.fully_connected(x, weights(3, 168), weight_scale=0.01, out_scale=0.5),
    "fully_connected per channel": lambda m, x: m.fully_connected(
        x, weights(3, 4), [1, 2, 3], weight_scale=[0.1, 0.2, 0.3], keep_num_dims=True, out_scale=0.5
    ),
    "add": lambda m, x: m.add(x, x, out_scale=0.2),
    "sub a constant": lambda m, x: m.sub(x, m.constant(weights(4), scale=0.3), out_scale=0.2),
    "mul": lambda m, x: m.mul(x, m.constant(weights(1), scale=0.3), out_scale=0.2, activation=Activation.RELU),
    "average_pool_2d": lambda m, x: m.average_pool_2d(x, (2, 3), stride=2, padding="SAME"),
    "max_pool_2d": lambda m, x: m.max_pool_2d(x, 2),
    "mean": lambda m, x: m.mean(x, [1, 2]),
    "mean kept": lambda m, x: m.mean(x, [-1], keep_dims=True, out_scale=0.2),
    "pad": lambda m, x: m.pad(x, [(0, 0), (1, 2), (3, 0), (0, 1)]),
    "padv2": lambda m, x: m.pad(x, [(0, 0), (1, 2), (3, 0), (0, 0)], value=-9),
    "reshape": lambda m, x: m.reshape(x, (1, -1)),
    "squeeze": lambda m, x: m.squeeze(x),
    "expand_dims": lambda m, x: m.expand_dims(x, -1),
    "transpose": lambda m, x: m.transpose(x, (0, 3, 1, 2)),
    "concatenation": lambda m, x: m.concatenation([x, x], axis=2),
    "strided_slice": lambda m, x: m.strided_slice(
        x, [0, -1, 0, 1], [1, 0, 9, 3], [1, -2, 3, 1], end_mask=2, begin_mask=4, shrink_axis_mask=1
    ),
    "split": lambda m, x: m.split(x, 2, axis=3),
    "softmax": lambda m, x: m.softmax(x),
    "logistic": lambda m, x: m.logistic(x),
    "tanh": lambda m, x: m.tanh(x),
    "relu": lambda m, x: m.relu(x, out_scale=0.2),
    "relu6": lambda m, x: m.relu6(x),
    "hard_swish": lambda m, x: m.hard_swish(x),
    "leaky_relu": lambda m, x: m.leaky_relu(x, 0.2),
    "quantize": lambda m, x: m.quantize(x, out_scale=0.3),
    "dequantize and quantize": lambda m, x: m.quantize(m.dequantize(x), out_scale=0.3),
    "gather": lambda m, x: m.gather(x, m.constant([2, 0, 1], dtype=np.int32), axis=-1),
    "embedding_lookup": lambda m, x: m.embedding_lookup(
        m.constant([2, 0], dtype=np.int32), m.constant(weights(3, 4), scale=0.1)
    ),
}


@pytest.fixture(scope="module")
def tflm() -> TflmReference:
    reference = TflmReference()
    if (reason := reference.missing()) is not None:
        pytest.skip(reason)
    return reference


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_runs_with_the_shape_worked_out(name: str, tflm: TflmReference, tmp_path: Path) -> None:
    m = ModelBuilder()
    built = OPERATORS[name](m, m.input("x", IMAGE, scale=0.1, zero_point=-3))
    m.output(*(built if isinstance(built, list) else [built]))
    model = tmp_path / "model.tflite"
    model.write_bytes(m.build())
    (tensors,) = tflm.run(model, [[weights(*IMAGE)]])
    for tensor in m.outputs:
        assert tensors[tensor.index].shape == tensor.shape
        assert tensors[tensor.index].dtype == tensor.dtype


@pytest.mark.parametrize(
    ("build", "shape"),
    [(keyword_model, (1, 49, 10, 1)), (residual_model, (1, 16, 16, 3)), (autoencoder_model, (1, 64))],
    ids=["keyword", "residual", "autoencoder"],
)
def test_ready_made_models_are_repeatable_and_not_saturated(
    build: Callable[[], bytes], shape: tuple[int, ...], tflm: TflmReference, tmp_path: Path
) -> None:
    data = build()
    assert data == build()
    model = tmp_path / "model.tflite"
    model.write_bytes(data)
    random = np.random.default_rng(5)  # of its own: whatever ran before
    sample = np.clip(np.rint(random.normal(scale=36, size=shape)), -128, 127).astype(np.int8)
    (tensors,) = tflm.run(model, [[sample]])
    for tensor in tensors.values():
        assert len(np.unique(tensor)) > min(4, tensor.size - 1)
        assert np.mean(tensor == 127) < 0.2
