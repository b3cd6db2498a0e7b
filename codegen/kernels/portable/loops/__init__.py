"""How the portable templates go through operators: their constants, their order, and about what they take.

A module a family of operators; its classes are registered by being there. Of an operator the loops are those of the
nearest of its classes that has some.

What they take was fitted to the counts of the emulated Cortex-M4 (gcc 12 -O2) on 287 layers of eleven published models
and the shapes of benchmarks/kernels, of which nine in ten are within 15 %. It is to tell dear plans from cheap ones:
what is reported as measured is always counted.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from driftc.boards.timing import Mix
from driftc.codegen.kernels.walk import Walk
from driftc.codegen.operators.base import Operator
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call

Kind = TypeVar("Kind", bound=Operator)
Operators = tuple[type[Operator], ...]

# Instructions.
CALL, ROW = 40.0, 12.0
MAC = 2.55  # of a convolution or a dense layer, besides what `weighted` adds
RESULT = 11.0  # start of a sum, requantising and storing it
SIMPLE = 29.0  # an element of anything else


class Loops(Generic[Kind]):
    """Those of templates/OPERATOR/portable.c.j2 for `operators`; the tests hold the C to them."""

    operators: ClassVar[Operators] = (Operator,)
    mix: ClassVar[Mix] = Mix.of(store=0.019, load=0.099, chained=0.014, long=0.034, used=0.033, taken=0.087, pair=0.332)

    def constants(self, op: Kind) -> dict[str, Array]:
        """Arrays in flash, in the layout and order in which they are read."""
        return {}

    def walk(self, op: Kind, backward: bool = False) -> Walk | None:
        """The order in which all of `op` is read and written; None: no output may lie over an input."""
        return None

    @property
    def ordered(self) -> bool:
        """It has a `walk`."""
        return type(self).walk is not Loops.walk

    def reverses(self, op: Kind) -> bool:
        """Rows and pixels can also be taken from the last to the first."""
        return False

    def mix_of(self, call: Call) -> Mix:
        """What instructions of `call` are."""
        return self.mix

    def cost(self, call: Call) -> float:
        """Instructions of one execution of `call`."""
        op: Any = call.computed
        return CALL + ROW * call.rows.count + self.work(op, call)

    def work(self, op: Kind, call: Call) -> float:
        """The same besides those of a call and of its rows."""
        return op.macs * share_of(call) * MAC + results_of(call) * SIMPLE


def results_of(call: Call) -> int:
    """Elements that it computes."""
    return call.rows.count * call.outputs[0].shape[1] * call.channels.count


def share_of(call: Call) -> float:
    """Of all elements of its output."""
    height, _, channels = call.outputs[0].shape
    return call.rows.count * call.channels.count / (height * channels)


def loops_of(kind: type[Operator]) -> Loops[Any]:
    """Those of the nearest of its classes that has some."""
    known = _registry()
    return next(known[each] for each in kind.__mro__ if each in known)


@cache
def _registry() -> dict[type, Loops[Any]]:
    found: dict[type, Loops[Any]] = {Operator: Loops()}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for value in vars(import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Loops) and "operators" in vars(value):
                found |= dict.fromkeys(value.operators, value())
    return found
