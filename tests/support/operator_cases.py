"""What the operators' property tests draw from: scales, zero points, shapes and images that no converter would make."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from models import Activation, ModelBuilder, Tensor
from numpy.typing import NDArray


def examples(count: int, *, shrink: bool = True) -> settings:
    """Settings for `count` examples; DRIFTC_EXAMPLES=500 for a long run by hand. Shrink only what runs fast."""
    return settings(
        max_examples=int(os.environ.get("DRIFTC_EXAMPLES", count)),
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if shrink else [])],
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


few = examples(25)

seeds = st.integers(0, 2**32 - 1)
zero_points = st.one_of(st.sampled_from([-128, 0, 127]), st.integers(-128, 127))
activations = st.sampled_from([Activation.NONE, Activation.RELU, Activation.RELU_N1_TO_1, Activation.RELU6])
# Round numbers make ties, powers of two make exact factors, the rest is anything.
scales = st.one_of(
    st.sampled_from([0.5, 0.25, 1 / 256, 0.05, 0.1, 0.2, 0.3, 1.0, 3.0]),
    st.floats(-9.0, 3.0).map(lambda power: float(np.float32(np.exp2(power)))),
)
ratios = st.one_of(st.sampled_from([1.0, 0.5, 2.0]), st.floats(-4.0, 4.0).map(lambda power: float(np.exp2(power))))


def shapes(least: int = 1, most: int = 4, largest: int = 5) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(1, largest), min_size=least, max_size=most).map(tuple)


def pairs(largest: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(1, largest), st.integers(1, largest))


@dataclass(frozen=True)
class Image:
    """An [1, H, W, C] input of a model that is being built."""

    builder: ModelBuilder
    tensor: Tensor
    random: np.random.Generator

    def weights(self, *shape: int) -> NDArray[np.int8]:
        return self.random.integers(-127, 128, shape, dtype=np.int8)

    def bias(self, channels: int, size: int) -> NDArray[np.int32]:
        return self.random.integers(-size, size + 1, channels, dtype=np.int32)


@st.composite
def images(draw: st.DrawFn, largest: int = 9, channels: int = 8) -> Image:
    builder = ModelBuilder()
    shape = (1, draw(st.integers(1, largest)), draw(st.integers(1, largest)), draw(st.integers(1, channels)))
    tensor = builder.input("x", shape, scale=draw(scales), zero_point=draw(zero_points))
    return Image(builder, tensor, np.random.default_rng(draw(seeds)))


@st.composite
def inputs(draw: st.DrawFn, builder: ModelBuilder, shape: tuple[int, ...], name: str = "x") -> Tensor:
    return builder.input(name, shape, scale=draw(scales), zero_point=draw(zero_points))


@st.composite
def results(draw: st.DrawFn) -> dict[str, Any]:
    """Scale and zero point of an output, as keyword arguments."""
    return {"out_scale": draw(scales), "out_zero_point": draw(zero_points)}
