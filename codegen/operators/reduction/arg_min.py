"""ARG_MIN: out = the index of the smallest raw value along an axis."""

from __future__ import annotations

from dataclasses import dataclass

from driftc.codegen.operators.reduction.arg_extreme import ArgExtreme


@dataclass(frozen=True, eq=False, kw_only=True)
class ArgMin(ArgExtreme):
    """The index of the smallest value, int32."""

    codes = ("ARG_MIN",)
    ufunc = "argmin"
    sign = "<"
    arithmetic = "The index of the smallest raw value as int32, the first of equal ones."
