"""Operators that compute each element by itself, besides those of `arithmetic`: extremes, comparisons, choice."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from models.arithmetic import ArithmeticOperators
from models.core import BinaryResult, Result
from models.schema import OptionValue, Tensor

UNARY_OPTIONS = {code: f"{code.title()}Options" for code in ("ABS", "EXP", "GELU", "NEG", "SQUARE", "COS")}
FIRST_VERSION = ("NEG", "SQUARE", "SIN", "COS", "CEIL", "FLOOR", "ROUND", "RELU_N1_TO_1", "RELU_0_TO_1")


class ElementwiseOperators(ArithmeticOperators):
    def div(self, a: Tensor, b: Tensor, **result: Unpack[BinaryResult]) -> Tensor:
        return self._binary("DIV", "DivOptions", a, b, **result)

    def maximum(self, a: Tensor, b: Tensor, **result: Unpack[Result]) -> Tensor:
        return self._pair("MAXIMUM", "MaximumMinimumOptions", a, b, **result)

    def minimum(self, a: Tensor, b: Tensor, **result: Unpack[Result]) -> Tensor:
        return self._pair("MINIMUM", "MaximumMinimumOptions", a, b, **result)

    def squared_difference(self, a: Tensor, b: Tensor, **result: Unpack[Result]) -> Tensor:
        return self._pair("SQUARED_DIFFERENCE", "SquaredDifferenceOptions", a, b, **result)

    def prelu(self, x: Tensor, alpha: Tensor, **result: Unpack[Result]) -> Tensor:
        y = self.result(result.get("name"), x.shape, x, result.get("out_scale"), result.get("out_zero_point"))
        self.operator("PRELU", [x, alpha], [y])
        return y

    def add_n(self, *operands: Tensor, **result: Unpack[Result]) -> Tensor:
        a = operands[0]
        y = self.result(result.get("name"), a.shape, a, result.get("out_scale"), result.get("out_zero_point"))
        self.operator("ADD_N", operands, [y], "AddNOptions")
        return y

    def compare(self, code: str, a: Tensor, b: Tensor, *, name: str | None = None) -> Tensor:
        """`code`: EQUAL, NOT_EQUAL, GREATER, GREATER_EQUAL, LESS or LESS_EQUAL."""
        table = f"{''.join(part.title() for part in code.split('_'))}Options"
        y = self.tensor(name, np.broadcast_shapes(a.shape, b.shape), dtype=np.bool_)
        self.operator(code, [a, b], [y], table, version=2)
        return y

    def logical(self, code: str, *operands: Tensor, name: str | None = None) -> Tensor:
        """`code`: LOGICAL_AND, LOGICAL_OR or, of one operand, LOGICAL_NOT."""
        table = f"{''.join(part.title() for part in code.split('_'))}Options"
        y = self.tensor(name, np.broadcast_shapes(*(t.shape for t in operands)), dtype=np.bool_)
        self.operator(code, operands, [y], table)
        return y

    def select(
        self, condition: Tensor, a: Tensor, b: Tensor, *, code: str = "SELECT_V2", name: str | None = None
    ) -> Tensor:
        y = self.result(name, np.broadcast_shapes(condition.shape, a.shape, b.shape), a)
        self.operator(code, [condition, a, b], [y], "SelectV2Options" if code == "SELECT_V2" else "SelectOptions")
        return y

    def unary(
        self, code: str, x: Tensor, *, options: dict[str, OptionValue] | None = None, **result: Unpack[Result]
    ) -> Tensor:
        """ABS, EXP, GELU and the like, of int8 or float32."""
        table = UNARY_OPTIONS.get(code)
        return self._unary(code, x, table, version=1 if code in FIRST_VERSION else 2, options=options, **result)

    def _pair(self, code: str, table: str, a: Tensor, b: Tensor, **result: Unpack[Result]) -> Tensor:
        y = self.result(
            result.get("name"),
            np.broadcast_shapes(a.shape, b.shape),
            a,
            result.get("out_scale"),
            result.get("out_zero_point"),
        )
        self.operator(code, [a, b], [y], table, version=2)
        return y
