"""Small float models with random weights, built as a frontend builds them, and samples to calibrate them with."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from driftc.codegen.frontends.builder import FloatBuilder
from driftc.codegen.graph import Graph
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.elementwise.mul import Mul
from driftc.codegen.tensor import Tensor

Array = NDArray[Any]


def needs(module: str, extra: str) -> pytest.MarkDecorator:
    """A mark for tests of a framework, which may be absent unless DRIFTC_REQUIRE_EXTRAS names its extra."""
    return pytest.mark.skipif(_absent(module, extra), reason=f"extra absent: {extra}")


def skip_without(module: str, extra: str) -> None:
    """The same for a whole module of tests, called before it imports what needs the extra."""
    if _absent(module, extra):
        pytest.skip(f"extra absent: {extra}", allow_module_level=True)


def _absent(module: str, extra: str) -> bool:
    return find_spec(module) is None and extra not in os.environ.get("DRIFTC_REQUIRE_EXTRAS", "").split(",")


class Net(FloatBuilder):
    """FloatBuilder with random weights of a sensible size."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__("net", "net.h5", "0" * 64)
        self.random = np.random.default_rng(seed)

    def weights(self, *shape: int) -> Array:
        fan = float(np.prod(shape[1:]))
        return np.asarray(self.random.normal(size=shape) * np.sqrt(2 / fan), np.float32)

    def convolve(self, x: Tensor, channels: int, kernel: int = 3, groups: int = 1, **window: Any) -> Tensor:
        filters = self.weights(channels, kernel, kernel, x.shape[3] // groups)
        bias = self.random.normal(size=channels, scale=0.1)
        return self.conv(f"conv_{len(self._operators)}", x, filters, bias, groups=groups, **window)

    def depthwise(self, x: Tensor, kernel: int = 3, **window: Any) -> Tensor:
        return self.convolve(x, x.shape[3], kernel, x.shape[3], **window)

    def connect(self, x: Tensor, outputs: int) -> Tensor:
        matrix = self.weights(outputs, x.shape[-1])
        return self.dense(f"dense_{len(self._operators)}", x, matrix, self.random.normal(size=outputs, scale=0.1))

    def normalize(self, x: Tensor, spread: float = 1.0) -> Tensor:
        channels = x.shape[-1]
        return self.batch_norm(
            f"norm_{len(self._operators)}",
            x,
            gamma=self.random.uniform(0.3, 1.5, channels),
            beta=self.random.normal(size=channels, scale=0.3),
            mean=self.random.normal(size=channels, scale=0.3 * spread),
            variance=self.random.uniform(0.3, 2, channels) * spread**2,
            epsilon=1e-3,
        )

    def activate(self, x: Tensor, name: str = "relu", alpha: float = 0.0) -> Tensor:
        return self.activation(f"{name}_{len(self._operators)}", x, name, alpha)

    def plus(self, a: Tensor, b: Tensor) -> Tensor:
        return self.binary(f"add_{len(self._operators)}", Add, a, b)


def samples(count: int = 64, seed: int = 1, shape: tuple[int, ...] = (12, 10, 3)) -> Array:
    return np.random.default_rng(seed).uniform(-1, 1, (count, *shape)).astype(np.float32)


def residual() -> Graph:
    """Normalisation after convolutions, after an addition, as the first layer and before a dense one."""
    net = Net()
    x = net.normalize(net.input("image", (1, 12, 10, 3)))
    x = net.activate(net.normalize(net.convolve(x, 8, padding="same")))
    y = net.normalize(net.depthwise(x, padding=(1, 1, 1, 1)))
    y = net.normalize(net.convolve(y, 8, 1))
    x = net.activate(net.normalize(net.plus(x, y)), "relu6")
    x = net.convolve(x, 8, stride=(2, 2), padding=(1, 1, 1, 1), groups=2)
    x = net.activate(net.normalize(x), "leaky_relu", 0.1)
    x = net.pool("pool", x, "max", (3, 3), (2, 2), (1, 1, 1, 1))
    x = net.reshape("flatten", x, (1, -1))
    return net.graph([net.activate(net.connect(net.normalize(x), 5), "softmax")])


def separable() -> Graph:
    """Depthwise blocks whose channels reach very differently far, hard swish and averages."""
    net = Net(3)
    x = net.activate(net.normalize(net.convolve(net.input("image", (1, 12, 10, 3)), 8, stride=(2, 2), padding="same")))
    for _ in range(2):
        y = net.depthwise(x, padding="same")
        y = net.batch_norm(
            f"wide_{len(net._operators)}",
            y,
            gamma=np.geomspace(0.02, 4, 8),
            beta=np.zeros(8),
            mean=np.zeros(8),
            variance=np.ones(8),
            epsilon=1e-3,
        )
        x = net.activate(net.normalize(net.convolve(net.activate(y), 8, 1)))
    x = net.mean("mean", net.activate(x, "hard_swish"), (1, 2), keep_dims=False)
    return net.graph([net.connect(x, 4)])


def joined() -> Graph:
    """Concatenations of tensors with quantisations of their own, slices, padding, products with constants."""
    net = Net(5)
    x = net.input("image", (1, 12, 10, 3))
    a = net.activate(net.convolve(x, 4, padding="same"), "sigmoid")
    b = net.activate(net.convolve(x, 4, padding="same"))
    y = net.concat("join", [a, b, net.activate(b, "tanh")], 3)
    y = net.slice("every_other", y, [range(1), range(0, 12, 2), range(1, 10, 2), range(12)])
    y = net.pad("more_channels", y, ((0, 0), (1, 0), (0, 0), (2, 2)))
    y = net.affine("scaled", y, np.linspace(0.5, 2, 16), np.linspace(-1, 1, 16))
    y = net.binary("squared", Mul, y, y)
    y = net.pool("pool", y, "average", (7, 5), (1, 1), "valid")
    return net.graph([net.activate(net.connect(net.reshape("flat", y, (1, 16)), 3))])


MODELS: dict[str, Callable[[], Graph]] = {"residual": residual, "separable": separable, "joined": joined}
