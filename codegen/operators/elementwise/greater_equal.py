"""GREATER_EQUAL: out = a >= b."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.comparison import Comparison


@dataclass(frozen=True, eq=False, kw_only=True)
class GreaterEqual(Comparison):
    """a >= b, with broadcasting."""

    codes = ("GREATER_EQUAL",)
    options = "GreaterEqualOptions"
    ufunc = np.greater_equal
    sign = ">="
    arithmetic = "As LESS, with its own sign."
