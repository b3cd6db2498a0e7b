"""The rank term's real constants as ADAPT_RANK and ADAPT_STATISTICS take them (`calibrated` with --adapt-rank)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.adaptation.constants import Constants, Rank
from driftc.codegen.adaptation.linear import floors, int16, scaled
from driftc.codegen.operators.adapt.adapt_rank import COLUMNS, FRACTION, FRACTIONS, REACH
from driftc.codegen.operators.adapt.adapt_statistics import LARGEST_HIDDEN, MEAN_FRACTION
from driftc.codegen.operators.elementwise.powers import EXPONENT_FRACTION

INT8_MAX = 127


def hidden(pixels: int, largest: int, known: Constants, step: Any, centre: Any) -> dict[str, Any]:
    """The fields of ADAPT_RANK. x = step * (accumulator + centre); var + eps = step^2 / pixels of the spread."""
    rank = known.rank
    assert rank is not None
    slope, shift = scaled(step / (pixels * rank.deviation) * 2.0**FRACTION)
    columns = {
        "floor": floors(pixels, known, step).astype(np.int16),
        "slope": slope.astype(np.int16),
        "rest": int16((rank.mean - step * centre) / rank.deviation, "rest", FRACTIONS),
        "log_centre": int16(rank.log_mean + np.log2(pixels / step**2), "log_centre", FRACTIONS),
        "log_slope": int16(1 / rank.log_deviation, "log_slope", FRACTIONS),
    }
    units = _units(rank)
    down = np.rint(rank.down / units[:, None]).astype(np.int8)
    return {
        "pixels": pixels,
        "table": np.stack([columns[name] for name in COLUMNS], axis=1),
        "down": np.ascontiguousarray(down.reshape(len(units), 2, -1).transpose(2, 0, 1)),
        "start": np.rint(rank.start / units * 2.0**FRACTION).astype(np.int32),
        "shift": shift,
        "largest_sum": pixels * largest,
    }


def raised(table: NDArray[np.int32], rank: Rank, unit: Any) -> dict[str, Any]:
    """The fields of ADAPT_STATISTICS that it adds; `unit` is what a step of the int8 values is worth."""
    one = _units(rank) / 2.0**FRACTION  # of h
    mean, log = (rank.up * one).reshape(2, table.shape[0], -1)
    mean_up, mean_rate, mean_shift = _rows(mean * (rank.deviation / unit * 2.0**MEAN_FRACTION)[:, None])
    log_up, log_rate, log_shift = _rows(log * (rank.log_deviation / 2 * 2.0**EXPONENT_FRACTION)[:, None])
    return {
        "table": np.concatenate([table, np.stack([mean_rate, log_rate], axis=1)], axis=1),
        "up": np.stack([mean_up, log_up], axis=1),
        "up_shifts": (mean_shift, log_shift),
    }


def _units(rank: Rank) -> NDArray[np.float64]:
    """What 1 in each row of the int8 A is worth: not so little that h could leave its range."""
    most = np.abs(rank.start) + REACH * np.abs(rank.down).sum(axis=1)
    units = np.maximum(np.abs(rank.down).max(axis=1) / INT8_MAX, most * 2.0**FRACTION / (LARGEST_HIDDEN / 2))
    return np.asarray(np.where(units > 0, units, 1.0))


def _rows(real: Any) -> tuple[NDArray[np.int8], NDArray[np.int32], int]:
    """As int8 with a factor for each row, int16 times 2^-shift."""
    factor = np.abs(real).max(axis=1) / INT8_MAX
    rate, shift = scaled(factor)
    return np.rint(real / np.where(factor > 0, factor, 1.0)[:, None]).astype(np.int8), rate, shift
