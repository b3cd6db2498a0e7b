"""LESS_EQUAL: out = a <= b."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.comparison import Comparison


@dataclass(frozen=True, eq=False, kw_only=True)
class LessEqual(Comparison):
    """a <= b, with broadcasting."""

    codes = ("LESS_EQUAL",)
    options = "LessEqualOptions"
    ufunc = np.less_equal
    sign = "<="
    arithmetic = "As LESS, with its own sign."
