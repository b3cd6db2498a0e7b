"""GREATER: out = a > b."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.operators.elementwise.comparison import Comparison


@dataclass(frozen=True, eq=False, kw_only=True)
class Greater(Comparison):
    """a > b, with broadcasting."""

    codes = ("GREATER",)
    options = "GreaterOptions"
    ufunc = np.greater
    sign = ">"
    arithmetic = "As LESS, with its own sign."
