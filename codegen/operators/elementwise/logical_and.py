"""LOGICAL_AND: out = a && b."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.logical import Logical


@dataclass(frozen=True, eq=False, kw_only=True)
class LogicalAnd(Logical):
    """a && b, with broadcasting."""

    codes = ("LOGICAL_AND",)
    options = "LogicalAndOptions"
    ufunc = np.logical_and
    sign = "&&"
    arithmetic = "bool, one byte of 0 or 1 each; on the way in any byte but 0 is true."
