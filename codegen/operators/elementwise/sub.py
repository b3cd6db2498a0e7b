"""SUB: out = clamp(requantise(rescale(a - zero_a) - rescale(b - zero_b)))."""

from __future__ import annotations

from dataclasses import dataclass

from driftc.codegen.operators.elementwise.elementwise import Sum


@dataclass(frozen=True, eq=False, kw_only=True)
class Sub(Sum):
    """Elementwise difference with broadcasting."""

    codes = ("SUB",)
    options = "SubOptions"
    sign = -1
    arithmetic = "As ADD, with a minus."
