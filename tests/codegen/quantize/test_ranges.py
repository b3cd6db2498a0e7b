"""Range choices and the quantisation made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from driftc.codegen.quantize.ranges import CHOICES, Histogram, quantization

random = np.random.default_rng(0)


def seen(*batches: NDArray[Any]) -> Histogram:
    found = Histogram()
    for batch in batches:
        found.add(batch.astype(np.float32))
    return found


def test_histogram_grows_and_keeps_its_counts() -> None:
    values = random.normal(size=5000)
    grown = seen(values * 1e-3, values, values * 50)
    assert grown.counts.sum() == 15000
    assert (grown.low, grown.high) == (float(np.float32(values.min() * 50)), float(np.float32(values.max() * 50)))
    at_once = seen(np.concatenate([values * 1e-3, values, values * 50]))
    assert at_once.width == grown.width
    assert np.abs(at_once.counts - grown.counts).max() <= 2  # bins merge in pairs; float32 decides at their edges
    assert np.average(grown.centres, weights=grown.counts) == pytest.approx(values.mean() * 51.001 / 3, abs=grown.width)


def test_minmax_covers_and_the_others_leave_outliers_out() -> None:
    values = random.normal(size=200_000)
    values[0] = 12.0
    found = {name: choose(seen(values)) for name, choose in CHOICES.items()}
    assert found["minmax"] == (float(np.float32(values.min())), 12.0)
    for name in ("percentile", "mse"):
        low, high = found[name]
        assert -6 < low < -3
        assert 3 < high < 9, name


def test_mse_is_the_least_of_the_three() -> None:
    values = np.maximum(random.standard_t(4, size=100_000), 0).astype(np.float32)

    def error(low: float, high: float) -> float:
        made = quantization(low, high)
        steps = np.clip(np.rint(values / made.scale[0]) + made.zero_point[0], -128, 127)
        return float(np.mean((values - (steps - made.zero_point[0]) * made.scale[0]) ** 2))

    errors = {name: error(*choose(seen(values))) for name, choose in CHOICES.items()}
    assert errors["mse"] <= 1.02 * min(errors.values())
    assert errors["mse"] < 0.97 * errors["minmax"]


def test_a_constant_tensor_has_a_range() -> None:
    for choose in CHOICES.values():
        low, high = choose(seen(np.zeros(100)))
        assert quantization(low, high).scale[0] > 0


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-3.0, 0.0), (2.0, 5.0), (-0.001, 9.0)])
def test_zero_is_exact_and_the_ends_are_reached(low: float, high: float) -> None:
    made = quantization(low, high)
    scale, zero = float(made.scale[0]), int(made.zero_point[0])
    assert -128 <= zero <= 127
    assert (-128 - zero) * scale <= min(low, 0) + 0.51 * scale
    assert (127 - zero) * scale >= max(high, 0) - 0.51 * scale


def test_relu_wastes_nothing() -> None:
    assert quantization(0.0, 5.0).zero_point[0] == -128


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_values_without_a_bin(value: float) -> None:
    """Bins were widened for ever."""
    with pytest.raises(ValueError, match="finite"):
        seen(np.array([1.0, value], np.float32))


def test_largest_values() -> None:
    found = seen(np.array([-3.4e38, 3.4e38], np.float32))
    assert found.counts.sum() == 2
    assert np.isfinite(quantization(*CHOICES["mse"](found)).scale).all()
