"""RELU_N1_TO_1: out = min(max(in, -1), 1)."""

from __future__ import annotations

from dataclasses import dataclass

from driftc.codegen.operators.elementwise.clamped_relu import ARITHMETIC, ClampedRelu


@dataclass(frozen=True, eq=False, kw_only=True)
class ReluN1To1(ClampedRelu):
    """Real values clamped to -1..1."""

    codes = ("RELU_N1_TO_1",)
    low = -1.0
    arithmetic = ARITHMETIC.format(-1)
