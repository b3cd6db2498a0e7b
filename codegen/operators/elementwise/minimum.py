"""MINIMUM: out = the smaller of a and b."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.extreme import Extreme


@dataclass(frozen=True, eq=False, kw_only=True)
class Minimum(Extreme):
    """Elementwise minimum with broadcasting."""

    codes = ("MINIMUM",)
    ufunc = np.minimum
    sign = "<"
    arithmetic = (
        "The smaller of the raw values. Refused where the tensors are quantised differently, for TFLite Micro does not "
        "requantise here."
    )
