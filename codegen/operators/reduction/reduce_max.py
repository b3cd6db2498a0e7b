"""REDUCE_MAX: out = the largest raw value along the axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.reduction.reduce_extreme import ReduceExtreme


@dataclass(frozen=True, eq=False, kw_only=True)
class ReduceMax(ReduceExtreme):
    """The largest value along `axes`."""

    codes = ("REDUCE_MAX",)
    ufunc = np.maximum
    sign = ">"
    arithmetic = "Largest raw value. Refused where input and output are quantised differently, as TFLite Micro does."
