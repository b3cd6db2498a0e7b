"""NOT_EQUAL: out = a != b."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.comparison import Comparison


@dataclass(frozen=True, eq=False, kw_only=True)
class NotEqual(Comparison):
    """a != b, with broadcasting."""

    codes = ("NOT_EQUAL",)
    options = "NotEqualOptions"
    ufunc = np.not_equal
    sign = "!="
    arithmetic = "As EQUAL, with its own sign."
    kinds = (np.int8, np.int32, np.bool_)
