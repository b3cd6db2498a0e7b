"""REDUCE_MIN: out = the smallest raw value along the axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.reduction.reduce_extreme import ReduceExtreme


@dataclass(frozen=True, eq=False, kw_only=True)
class ReduceMin(ReduceExtreme):
    """The smallest value along `axes`."""

    codes = ("REDUCE_MIN",)
    ufunc = np.minimum
    sign = "<"
    arithmetic = "Smallest raw value. Refused where input and output are quantised differently, as TFLite Micro does."
