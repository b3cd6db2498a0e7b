"""What a kernel is: the loop nest that computes a Call, and all that the planner and the templates must know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from driftc.boards.cores import Core
from driftc.boards.timing import Mix, Timing, pace
from driftc.codegen.kernels.walk import Walk
from driftc.codegen.operators.base import Operator
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call


@dataclass(frozen=True)
class Shared:
    """A C function that several layers call: rendered once, by its `name`, from a template with `values`."""

    name: str
    template: str
    values: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Changing:
    """Which of a kernel's `constants` lie in RAM where the layer is updatable, and how they hold a channel's numbers.

    `layout` is driftc_put_LAYOUT of firmware/driftc_update.h, which writes them; with "_apart" behind it where channels
    that fill no four are at the end of the last.
    """

    layout: str
    keys: tuple[str, ...]


PLAIN = Changing("plain", ("bias", "multiplier", "shift"))


class Kernel:
    """Derived classes are found by their module's being in a folder of codegen/kernels, and set `name`.

    A Plan holds one of these for each Call; which one is the planner's choice (codegen/plan/select.py): of those that
    serve all calls of an operator the cheapest whose scratch and walk the arena has room for.
    """

    name: ClassVar[str]  # FOLDER/NAME, for reports
    needs: ClassVar[frozenset[str]] = frozenset()  # instructions that the core has, as boards/cores/*.toml names them
    prefers: ClassVar[frozenset[str]] = frozenset()  # other features: cores without run it too, but are never given it
    unpacks: ClassVar[bool] = False  # it reads weights of int4, two a byte, and no others
    header: ClassVar[str | None] = None  # a file of firmware/ that its C includes besides driftc.h
    granted: ClassVar[bool] = False  # only for layers whose larger constants --flash-for-speed allows
    mix: ClassVar[Mix]  # counted on the emulated Cortex-M4, of MVE on the M55 (gcc 12 -O2)

    def __init__(self, core: Core | None = None, layers: frozenset[str] | None = None) -> None:
        """For `core`; where it is `granted`, for these operators alone, by name (None: for all)."""
        self.core, self.layers = core, layers

    def serves(self, call: Call) -> bool:
        """Whether it computes this call: operator, shapes, strides, ranges, epilogue, scales."""
        raise NotImplementedError

    def computes(self, call: Call) -> bool:
        """`serves`, the weights lie in flash as it reads them, and it is there for this layer."""
        if self.layers is not None and call.operator.name not in self.layers:
            return False
        if self.unpacks != call.computed.packed or not self.serves(call):
            return False
        return not call.operator.updatable or self.changing(call.operator) is not None

    def template(self, call: Call) -> str:
        """The file in driftc.templates with the layer's function; it sees `fn` and, as `k`, `values(call)`."""
        raise NotImplementedError

    def values(self, call: Call) -> dict[str, Any]:
        """Plain numbers and names, so that the template decides nothing."""
        return {}

    def shared(self, call: Call) -> tuple[Shared, ...]:
        """What the layer's function calls besides driftc.h; those before may be used by those behind."""
        return ()

    def constants(self, operator: Operator) -> dict[str, Array]:
        """Arrays in flash, in the layout and order in which it reads them. Equal keys mean equal data."""
        return {}

    def changing(self, operator: Operator) -> Changing | None:
        """Of its constants, those that an update changes; None: it computes no layer that is updatable."""
        return None

    def scratch(self, call: Call) -> int:
        """Bytes of RAM that it needs while the call runs, aligned to words; nothing is kept in them."""
        return 0

    def walk(self, operator: Operator, backward: bool = False) -> Walk | None:
        """The order in which it reads and writes all of `operator`, where an output may lie over a dying input."""
        return None

    def reverses(self, operator: Operator) -> bool:
        """It can also take rows and pixels from the last to the first."""
        return False

    def cost(self, call: Call) -> float:
        """About how many instructions the call takes."""
        raise NotImplementedError

    def mix_of(self, call: Call) -> Mix:
        """What these instructions are, where all parts of the kernel are much alike."""
        return self.mix

    @property
    def timing(self) -> Timing | None:
        """Of its core, if anything is known of that."""
        return self.core.timing if self.core else None

    def kinds(self, call: Call) -> Mapping[Mix, float]:
        """The instructions of `cost`, by what they are."""
        return {self.mix_of(call): self.cost(call)}

    def cycles(self, call: Call, timing: Timing | None) -> float:
        """About how many cycles the call takes on a core of this `timing`; where nothing is known of it, one each."""
        return sum(count * pace(timing, mix) for mix, count in self.kinds(call).items())
