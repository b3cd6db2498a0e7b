"""The linear form's real constants as ADAPT_STATISTICS and ADAPT_TRUST take them (lean, iabn)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.adaptation.constants import Constants
from driftc.codegen.operators.adapt_statistics import (
    LINEAR,
    LINEAR_FRACTIONS,
    LINEAR_MEAN_FRACTION,
    OUTPUT_FRACTION,
    SHRUNK,
)
from driftc.codegen.operators.powers import LOG_FRACTION, POWER_FRACTION, bit_length

DEVIATION_FRACTION = 10  # of the distance of a channel's mean, in standard deviations


def fixed_point(
    pixels: int, largest: int, known: Constants, step: Any, centre: Any, unit: Any, scale: float, zero: int
) -> dict[str, Any]:
    """x = step * (accumulator + centre) = unit * p + step * centre. The source moves nothing."""
    form = known.form
    rest, left = _rest(known, step, centre), known.mean - step * centre
    gain, shift = scaled(known.dm * step / (pixels * unit) * 2.0**LINEAR_MEAN_FRACTION)
    floor = floors(pixels, known, step)
    source = np.rint(known.var * pixels / step**2).astype(np.int64) + (np.int64(1) << floor)
    lift = bit_length(source) - 21  # what is left of the source's is from 2^20 to 2^21
    level = np.log2(known.gamma / np.sqrt(known.var + known.eps) * unit / scale) + (OUTPUT_FRACTION - POWER_FRACTION)
    error = np.sqrt((known.var + known.eps) / pixels)  # of the mean of so many pixels
    columns = {
        "floor": floor,
        "level": int16(level, "level"),
        "lift": lift,
        "ratio": np.rint(2.0 ** (35 + lift) / source).clip(0, 2**15 - 1),
        "belief": int16(known.dv, "belief"),
        "base": int16(zero + known.beta / scale + 0.5, "base"),
        "centre": int16(left / unit, "centre"),
        "gain": gain,
        "rest": int16(rest / unit, "rest"),
        "calm": int16(form.shrink * error / unit, "calm"),
    }
    names = SHRUNK if not form.trust else LINEAR
    calm = form.shrink * np.sqrt(2 / (pixels - 1)) * 2.0**16 if form.shrink else 0
    return {
        "pixels": pixels,
        "table": np.stack([columns[name].astype(np.int16) for name in names], axis=1),
        "power": 16 << LOG_FRACTION,
        "shift": shift,
        "largest_sum": pixels * largest,
        "linear": True,
        "calm": int(min(round(calm), 2**30 - 1)),
    }


def trust(pixels: int, largest: int, known: Constants, step: Any, centre: Any) -> dict[str, Any]:
    """The fields of ADAPT_TRUST."""
    deviation = np.sqrt(known.var + known.eps)
    one = 2.0**DEVIATION_FRACTION
    slope, shift = scaled(known.dm * step / (pixels * deviation) * one)
    rest = np.rint(_rest(known, step, centre) / deviation * one).clip(-(2**24), 2**24)
    real = np.log2(np.e) / (len(slope) if known.form.mean else 1)
    right = 15 - int(np.frexp(real)[1])
    return {
        "table": np.stack([slope, rest], axis=1).astype(np.int32),
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


def int16(real: Any, column: str, fractions: Mapping[str, int] = LINEAR_FRACTIONS) -> NDArray[np.int16]:
    """Rounded to the column's fraction, saturated."""
    return np.asarray(np.rint(real * 2.0 ** fractions[column]).clip(-(2**15), 2**15 - 1), np.int16)


def floors(pixels: int, known: Constants, step: Any) -> NDArray[np.int64]:
    """2^floor is eps in units of the spread."""
    return np.asarray(np.rint(np.log2(known.eps * pixels / step**2)).clip(0, 61), np.int64)


def _rest(known: Constants, step: Any, centre: Any) -> Any:
    """What the mean of a sample whose sums are 0 moves the layer's by, less, real."""
    return known.dm * (known.mean - step * centre) - (known.cm - known.mean + known.dm * known.mean)
