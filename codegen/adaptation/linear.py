"""The linear form's real constants as ADAPT_LINEAR and ADAPT_TRUST take them (lean, iabn)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.adaptation.constants import Constants
from driftc.codegen.operators.adapt.adapt_kernel import OUTPUT_FRACTION
from driftc.codegen.operators.adapt.adapt_linear import (
    BELIEF_FRACTION,
    CALM_FRACTION,
    COLUMNS,
    FRACTIONS,
    LIFTED,
    MEAN_FRACTION,
    SHRUNK,
    VARIANCE_FRACTION,
)
from driftc.codegen.operators.adapt.adapt_trust import LARGEST_AWAY
from driftc.codegen.operators.elementwise.powers import bit_length

DEVIATION_FRACTION = 10  # of the distance of a channel's mean, in standard deviations


def fixed_point(
    pixels: int, largest: int, known: Constants, step: Any, centre: Any, unit: Any, scale: float, zero: int
) -> dict[str, Any]:
    """The fields of ADAPT_LINEAR. x = step * (accumulator + centre) = unit * p + step * centre.

    `level` makes the multiplier exact where the sample moves nothing.
    """
    form = known.form
    left = known.mean - step * centre
    gain, shift = scaled(known.dm * step / (pixels * unit) * 2.0**MEAN_FRACTION)
    one = pixels / step**2  # a variance of 1, as the sum of squares of accumulators
    spread = as_int64(known.var * one)
    whole = np.maximum(spread + as_int64(known.eps * one), 1)
    lift = np.maximum(bit_length(whole) - LIFTED, 0)
    source = np.maximum(whole >> lift, 1)
    deviation = np.sqrt(known.var + known.eps)
    multiplier = known.gamma / deviation * unit / scale * 2.0**OUTPUT_FRACTION
    level, right = _halves(multiplier * np.sqrt(source * 2.0**VARIANCE_FRACTION))
    columns = {
        "shifts": lift + (right << 6),
        "source": source,
        "spread": np.minimum(spread >> lift, source - 1),
        "level": level,
        "base": int16(zero + known.beta / scale + 0.5, "base"),
        "centre": int16(left / unit, "centre"),
        "gain": gain,
        "rest": int16(_rest(known, pixels, step, centre, gain * 2.0 ** -(shift + MEAN_FRACTION), unit), "rest"),
        "calm": int16(form.shrink * deviation / np.sqrt(pixels) / unit, "calm"),  # standard errors of the mean
    }
    names = SHRUNK if not form.trust else COLUMNS
    calm = form.shrink * np.sqrt(2 / (pixels - 1)) if form.shrink else 0
    return {
        "pixels": pixels,
        "table": np.stack([columns[name].astype(np.int16) for name in names], axis=1),
        "shift": shift,
        "largest_sum": pixels * largest,
        "belief": round(float(known.dv[0]) * 2.0**BELIEF_FRACTION),
        "calm": round(min(calm, 16.0) * 2.0**CALM_FRACTION),
    }


def _halves(real: Any) -> tuple[Any, Any]:
    """As a number of 15 bits, times 2^(30 - right), right at most 31."""
    right = np.minimum(45 - np.frexp(real)[1].astype(np.int64), 31)
    return np.rint(real * np.exp2(right - 30.0)).clip(0, 2**15 - 1).astype(np.int64), right


def trust(pixels: int, largest: int, known: Constants, step: Any, centre: Any) -> dict[str, Any]:
    """The fields of ADAPT_TRUST."""
    deviation = np.sqrt(known.var + known.eps)
    one = 2.0**DEVIATION_FRACTION
    slope, shift = scaled(known.dm * step / (pixels * deviation) * one)
    most = min(((LARGEST_AWAY - 2) << shift) // (pixels * largest), 2**15 - 1)  # reached where it hardly varies
    slope = slope.clip(-most, most)
    rest = np.rint(_rest(known, pixels, step, centre, slope * 2.0**-shift / one, deviation) * one)
    real = np.log2(math.e) / (len(slope) if known.form.mean else 1)
    right = 15 - int(np.frexp(real)[1])
    return {
        "table": np.stack([slope, rest.clip(-(2**15), 2**15 - 1)], axis=1).astype(np.int16),
        "shift": shift,
        "factor": min(round(float(real) * 2.0**right), 2**15 - 1),
        "right": right,
        "rate": round(known.form.rate * 2**14),
        "power": known.form.trust == "power",
        "largest_sum": pixels * largest,
    }


def scaled(real: Any, bits: int = 15) -> tuple[NDArray[np.int32], int]:
    """As integers of so many bits and a sign, times 2^-shift, the same shift for all, 1 to 61."""
    shift = min(max(bits - int(np.frexp(np.abs(real).max())[1]), 1), 61)
    return np.rint(real * 2.0**shift).clip(-(2.0**bits), 2.0**bits - 1).astype(np.int32), shift


def int16(real: Any, column: str, fractions: Mapping[str, int] = FRACTIONS) -> NDArray[np.int16]:
    """Rounded to the column's fraction, saturated."""
    return np.asarray(np.rint(real * 2.0 ** fractions[column]).clip(-(2**15), 2**15 - 1), np.int16)


def as_int64(real: Any) -> NDArray[np.int64]:
    """Rounded; up to 2^61, which the squares of a dead channel's tiny steps would leave."""
    return np.asarray(np.rint(np.minimum(real, 2.0**61)), np.int64)


def floors(pixels: int, known: Constants, step: Any) -> NDArray[np.int64]:
    """2^floor is eps in units of the spread."""
    return np.asarray(np.rint(np.log2(known.eps * pixels / step**2)).clip(0, 61), np.int64)


def _rest(known: Constants, pixels: int, step: Any, centre: Any, gain: Any, unit: Any) -> Any:
    """What `gain`, rounded, times the sum moves the mean by too much: at the source's mean exactly. In `unit`."""
    sums = pixels * (known.mean / step - centre)
    return gain * sums - (known.dm * known.mean + known.cm - known.mean) / unit
