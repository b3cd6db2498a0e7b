"""RELU_0_TO_1: out = min(max(in, 0), 1)."""

from __future__ import annotations

from dataclasses import dataclass

from driftc.codegen.operators.elementwise.clamped_relu import ARITHMETIC, ClampedRelu


@dataclass(frozen=True, eq=False, kw_only=True)
class Relu0To1(ClampedRelu):
    """Real values clamped to 0..1."""

    codes = ("RELU_0_TO_1",)
    low = 0.0
    arithmetic = ARITHMETIC.format(0)
