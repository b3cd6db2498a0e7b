"""Weights rounded together lose less than weights rounded each for itself, in every kind of layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from float_models import Net

from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.passes.dequantize import float_operator
from driftc.codegen.quantize.ranges import quantization
from driftc.codegen.quantize.rounding import compensate
from driftc.codegen.tensor import Quantization, Tensor

LAYERS: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "conv": lambda net, x: net.convolve(x, 8, padding="same", stride=(2, 2)),
    "grouped": lambda net, x: net.convolve(x, 8, groups=2, dilation=(2, 1)),
    "depthwise": lambda net, x: net.depthwise(x, padding="same"),
    "multiplied": lambda net, x: net.convolve(x, 8, groups=4),
    "dense": lambda net, x: net.connect(x, 5),
}


def layer(name: str) -> Weighted:
    net = Net(2)
    operator = net.graph([LAYERS[name](net, net.input("x", (1, 9, 8, 4)))]).operators[0]
    assert isinstance(operator, Weighted)
    return operator


def quantized(operator: Weighted, x: np.ndarray) -> Weighted:
    def made(tensor: Tensor, found: Quantization) -> Tensor:
        return replace(tensor, dtype=np.dtype(np.int8), quantization=found)

    reach = quantization(float(x.min()), float(x.max()))
    return operator.quantized((made(operator.inputs[0], reach),), (made(operator.outputs[0], reach),))


def noise(real: Operator, made: Weighted, x: np.ndarray) -> float:
    wanted, found = (operator.float_spec(x)[0] for operator in (real, float_operator(made)))
    return float((wanted - found).reshape(-1, wanted.shape[-1]).var(axis=0).mean())


def correlated(seed: int) -> np.ndarray:
    """Neighbours and channels alike, as in images."""
    random = np.random.default_rng(seed)
    whole = random.normal(size=(64, 1, 1, 1)) + random.normal(size=(64, 9, 1, 4))
    return (whole + 0.3 * random.normal(size=(64, 9, 8, 4))).astype(np.float32)


@pytest.mark.parametrize("name", LAYERS)
def test_less_is_lost_on_other_samples(name: str) -> None:
    real, x = layer(name), correlated(0)
    plain = quantized(real, x)
    better = compensate(real, plain, x)
    assert better.weights.data is not None and better.weights.data.dtype == np.int8
    assert noise(real, better, correlated(1)) < 0.8 * noise(real, plain, correlated(1))


@pytest.mark.parametrize("name", LAYERS)
def test_inputs_that_never_change_leave_the_nearest_weights(name: str) -> None:
    real = layer(name)
    plain = quantized(real, correlated(0))
    same = compensate(real, plain, np.ones((4, 9, 8, 4), np.float32))
    inner = same.padding == (0, 0, 0, 0) if hasattr(same, "padding") else True
    if inner:  # else the border differs from the interior
        assert np.array_equal(same.weights.data, plain.weights.data)  # type: ignore[arg-type]
