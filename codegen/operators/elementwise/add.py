"""ADD: out = clamp(requantise(rescale(a - zero_a) + rescale(b - zero_b)))."""

from __future__ import annotations

from dataclasses import dataclass

from driftc.codegen.operators.elementwise.elementwise import Sum


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Sum):
    """Elementwise sum with broadcasting."""

    codes = ("ADD",)
    options = "AddOptions"
    arithmetic = (
        "Both inputs without zero point, shifted left by 20, times scale / (2 * larger scale); their sum times "
        "2 * larger scale / (2^20 * scale_out); all factors from float64 as Q0.31 and shift; double rounding each; "
        "zero point; clamp to the fused activation's int8 range. Refused where a factor is not below 1."
    )
