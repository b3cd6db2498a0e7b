"""MAXIMUM: out = the larger of a and b."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.extreme import Extreme


@dataclass(frozen=True, eq=False, kw_only=True)
class Maximum(Extreme):
    """Elementwise maximum with broadcasting."""

    codes = ("MAXIMUM",)
    ufunc = np.maximum
    sign = ">"
    arithmetic = (
        "The larger of the raw values. Refused where the tensors are quantised differently, for TFLite Micro does not "
        "requantise here."
    )
