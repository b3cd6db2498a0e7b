"""LESS: out = a < b."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.comparison import ARITHMETIC, Comparison


@dataclass(frozen=True, eq=False, kw_only=True)
class Less(Comparison):
    """a < b, with broadcasting."""

    codes = ("LESS",)
    options = "LessOptions"
    ufunc = np.less
    sign = "<"
    arithmetic = ARITHMETIC
