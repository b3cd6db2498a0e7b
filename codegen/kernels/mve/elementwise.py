"""ADD, SUB and MUL of tensors of one shape: four elements at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driftc.boards.timing import Mix
from driftc.codegen.kernels.dsp import elementwise
from driftc.codegen.kernels.kernel import Shared
from driftc.codegen.operators.elementwise.elementwise import Elementwise

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call


class InVectors(elementwise.Alike):
    """One function for each operator and rounding, which the layers share."""

    needs = frozenset({"mve"})
    header = "driftc_mve.h"
    mix = Mix.of(vector=0.72, overlapped=0.21, taken=0.05)

    def template(self, call: Call) -> str:
        return "mve/elementwise.c.j2"

    def values(self, call: Call) -> dict[str, Any]:
        """`numbers`: the fields of driftc_mve_pair_t."""
        op, known = call.computed, super().values(call)
        assert isinstance(op, Elementwise)
        bits, terms = (20, known["terms"]) if known["terms"] else (0, [(0, 0)] * 2)
        numbers: list[int] = []
        for zero, (multiplier, shift) in zip(known["zeros"], terms, strict=True):
            numbers += [-zero << bits, multiplier, -shift]
        multiplier, shift = known["result"]
        numbers += [multiplier, -shift, op.outputs[0].zero_point, *op.range]
        about = self._variant(call)
        return {"numbers": numbers, "function": self._name(about)} | {key: known[key] for key in ("joined", "length")}

    def shared(self, call: Call) -> tuple[Shared, ...]:
        about = self._variant(call)
        return (Shared(self._name(about), "mve/elementwise_lanes.c.j2", about),)

    def _variant(self, call: Call) -> dict[str, Any]:
        op, known = call.computed, super().values(call)
        assert isinstance(op, Elementwise)
        shifted = [shift > 0 for _, shift in known["terms"]] if known["terms"] else [False, False]
        return {
            "operation": known.get("sign", "*"),
            "first": shifted[0],
            "second": shifted[1],
            "signed": op.range[0] < op.outputs[0].zero_point,
            "clamped": op.range != (-128, 127),
        }

    def _name(self, about: dict[str, Any]) -> str:
        marks = [mark for mark, is_so in about.items() if is_so and mark != "operation"]
        operation = {"+": "add", "-": "sub", "*": "mul"}[about["operation"]]
        return "_".join([f"driftc_{operation}_lanes", *marks])


class SummedInVectors(InVectors, elementwise.Summed):
    """Each input by its own scale."""

    name = "mve/sum"
    mix = InVectors.mix
    element = 5.6


class ProductInVectors(InVectors, elementwise.Product):
    """The product of values without zero points."""

    name = "mve/mul"
    mix = InVectors.mix
    element = 4.0
