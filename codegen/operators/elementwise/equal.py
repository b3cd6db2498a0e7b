"""EQUAL: out = a == b."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.comparison import Comparison


@dataclass(frozen=True, eq=False, kw_only=True)
class Equal(Comparison):
    """a == b, with broadcasting."""

    codes = ("EQUAL",)
    options = "EqualOptions"
    ufunc = np.equal
    sign = "=="
    arithmetic = "As LESS, and of bool."
    kinds = (np.int8, np.int32, np.bool_)
