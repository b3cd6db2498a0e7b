"""Errors through a convolution that learns, without their sums."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from driftc.codegen.kernels.portable.loops import results_of
from driftc.codegen.kernels.portable.loops.learn import UnorderedLoops, differing
from driftc.codegen.operators.learn.gradient_errors import GradientErrors
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

# Instructions of a tap of a window, of an error that is read there, and of its product with a weight.
TAP, ERROR, PRODUCT = 12.0, 9.0, 2.3


class GradientErrorsLoops(UnorderedLoops[GradientErrors]):
    """Scales of the channels, where they differ."""

    operators = (GradientErrors,)

    def work(self, op: GradientErrors, call: Call) -> float:
        """Once to find the largest, once to shift each: by what was counted on a Cortex-M4."""
        filters, rows, columns, depth = op.gradient.filters
        at_once = 4 if depth % 4 == 0 else 2 if depth % 2 == 0 else 1
        taps = results_of(call) // at_once * rows * columns
        share = filters // op.gradient.groups / prod(op.gradient.layer.stride)
        return 2 * taps * (TAP + share * (ERROR + at_once * PRODUCT))

    def constants(self, op: GradientErrors) -> dict[str, Array]:
        return differing({"scale": op.gradient.scale})
