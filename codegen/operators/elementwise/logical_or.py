"""LOGICAL_OR: out = a || b."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.logical import Logical


@dataclass(frozen=True, eq=False, kw_only=True)
class LogicalOr(Logical):
    """a || b, with broadcasting."""

    codes = ("LOGICAL_OR",)
    options = "LogicalOrOptions"
    ufunc = np.logical_or
    sign = "||"
    arithmetic = "bool, one byte of 0 or 1 each; on the way in any byte but 0 is true."
