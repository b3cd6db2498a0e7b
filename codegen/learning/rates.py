"""Learning rates of real weights as the integers of an update."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.errors import UsageError
from driftc.codegen.learning.fixed import mantissas
from driftc.codegen.learning.layers import Normalised
from driftc.codegen.operators.learn.conv_update import LARGEST_EXPONENT, MOST_SHIFT
from driftc.codegen.operators.learn.master_sums import BIAS_FRACTION, FRACTION
from driftc.codegen.operators.learn.meta_update import Factor
from driftc.codegen.operators.learn.trained_conv import Convolution
from driftc.codegen.operators.learn.trained_norm import OCTAVE_BITS, OFFSET_FRACTION

WIDEST = 1 << 14  # of a layer's rates, the largest by the smallest: a channel beyond learns more slowly


def slopes(layer: Convolution, unit: float) -> NDArray[np.float64]:
    """What a unit of an error, times a step of the input, is of the loss by a real weight of each channel."""
    scales = np.broadcast_to(layer.quantization.scale.astype(np.float64), (layer.channels,))
    real = np.broadcast_to(layer.real_multiplier, (layer.channels,))
    return np.asarray(unit * real / scales, np.float64)


def rates_of(layer: Convolution, unit: float, rate: float) -> tuple[NDArray[np.int32], int, NDArray[np.int32], int]:
    """CONV_UPDATE's constants for a learning rate of real weights; of 0 nothing is learnt. `unit`: of errors.

    Raises UsageError where it is out of range.
    """
    if rate == 0:
        none = np.zeros(layer.channels, np.int32)
        return none, MOST_SHIFT, none, MOST_SHIFT
    scales = np.broadcast_to(layer.quantization.scale.astype(np.float64), (layer.channels,))
    slope, step = slopes(layer, unit), float(layer.inputs[0].scale)
    try:
        weights = mantissas(_within(rate * slope / scales * 2.0**FRACTION), MOST_SHIFT)
        biases = mantissas(_within(rate * slope / scales / step**2 * 2.0**BIAS_FRACTION), MOST_SHIFT)
    except ValueError:
        weights = biases = (np.zeros(0, np.int32), 0)
    if min(weights[1], biases[1]) <= LARGEST_EXPONENT:
        _refuse(layer)
    return (*weights, *biases)


def norm_slopes(layer: Normalised, unit: float) -> tuple[float, float]:
    """What units of NORM_UPDATE's sums are of the loss by its real parameters: the natural logarithm of a gain, and an
    offset in quarters of the output's range, so that both move the output by about as much.
    """
    low, high = layer.affine.bounds
    return unit, unit * (high - low) / 4


def norm_rates(layer: Normalised, unit: float, rate: float) -> tuple[Factor, Factor]:
    """NORM_UPDATE's factors for a learning rate of these. Raises UsageError where it is out of range."""
    if rate == 0:
        return (0, MOST_SHIFT), (0, MOST_SHIFT)
    gain, offset = norm_slopes(layer, unit)
    quarter = offset / unit
    try:
        return (
            _factor(rate * gain * 2.0 ** (OCTAVE_BITS + FRACTION) / np.log(2)),
            _factor(rate * offset * quarter * 2.0 ** (OFFSET_FRACTION + BIAS_FRACTION)),
        )
    except ValueError:
        _refuse(layer)


def _factor(real: float) -> Factor:
    found, shift = mantissas(np.array([real]), MOST_SHIFT)
    return int(found[0]), shift


def _refuse(layer: Convolution | Normalised) -> NoReturn:
    raise UsageError(f"--learn-rate: out of range for the scales of layer '{layer.label or layer.name}'")


def _within(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.minimum(rates, rates.min() * WIDEST), np.float64)
