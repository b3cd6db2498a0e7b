"""ARG_MAX: out = the index of the largest raw value along an axis."""

from __future__ import annotations

from dataclasses import dataclass

from driftc.codegen.operators.reduction.arg_extreme import ArgExtreme


@dataclass(frozen=True, eq=False, kw_only=True)
class ArgMax(ArgExtreme):
    """The index of the largest value, int32."""

    codes = ("ARG_MAX",)
    ufunc = "argmax"
    sign = ">"
    arithmetic = "The index of the largest raw value as int32, the first of equal ones."
