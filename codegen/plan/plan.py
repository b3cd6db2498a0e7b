"""The Plan: buffers, and a program of kernel calls on them. C is made from it alone; nothing below reads the Graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from driftc.codegen.plan.buffer import PARAMETERS, STATE, Buffer
from driftc.codegen.plan.call import Call, Statement, static_calls, unrolled
from driftc.codegen.plan.changing import KeptLayer, kept_layers
from driftc.codegen.plan.place import aligned
from driftc.codegen.tensor import Array, Tensor


@dataclass(frozen=True)
class Region:
    """RAM that the caller gives: `bytes`, aligned to `align`; `memory` is the board's name for where it belongs."""

    name: str
    bytes: int
    align: int = 4
    memory: str = ""


@dataclass(frozen=True)
class Piece:
    """What was scheduled and placed as one: statements [first, stop) of the program.

    `kind` is "" for an operator on whole tensors, else how the operators are cut; `private` bytes live only here;
    `macs` counts what is computed twice twice.
    """

    kind: str
    first: int
    stop: int
    operators: tuple[str, ...]
    private: int
    macs: int


@dataclass(frozen=True, eq=False)
class StateBuffer:
    """The same bytes of STATE twice: a state as its readers know it, and as the operator that writes it does."""

    before: Buffer
    after: Buffer
    initial: Array
    label: str  # the model's own name, for comments and reports


@dataclass(frozen=True, eq=False)
class Plan:
    """`layers[i]` is the tensor whose rows the hook shows as layer i; `views` are other names for the same bytes.

    `fed` is the number of the input that arrives row by row (codegen/plan/feed.py); its buffer is where rows are kept.
    `regions` are the arena, which only an inference needs; `states` lie in a region of their own, `kept` in another.
    `planner` placed the buffers; no placement of them, with their lifetimes, needs fewer than `bound` bytes.
    """

    name: str
    regions: tuple[Region, ...]
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    program: tuple[Statement, ...]
    layers: tuple[Tensor, ...]
    input_tensors: tuple[Tensor, ...]
    output_tensors: tuple[Tensor, ...]
    views: dict[str, str] = field(default_factory=dict)  # tensor name -> name of the tensor that holds its bytes
    planner: str = ""
    bound: int = 0
    pieces: tuple[Piece, ...] = ()
    fed: int | None = None
    states: tuple[StateBuffer, ...] = ()
    held: tuple[Buffer, ...] = ()  # what the caller may read after an inference, besides the outputs

    @property
    def memory(self) -> tuple[Region, ...]:
        """All RAM that the caller gives: the arena's regions, and those of states and of what updates change."""
        states = [Region(STATE, self.state_bytes)] if self.states else []
        kept = [Region(PARAMETERS, self.parameter_bytes)] if self.kept else []
        return (*self.regions, *states, *kept)

    @cached_property
    def kept(self) -> tuple[KeptLayer, ...]:
        """The layers whose constants lie in RAM, where an update changes them."""
        return kept_layers(self.program)

    @property
    def parameter_bytes(self) -> int:
        return max((array.end for layer in self.kept for array in layer.arrays), default=0)

    @property
    def state_bytes(self) -> int:
        return max((aligned(state.before.offset + state.before.bytes) for state in self.states), default=0)

    @property
    def given(self) -> list[tuple[int, Buffer]]:
        """The inputs that the caller writes whole before the first statement, with their numbers."""
        return [(number, buffer) for number, buffer in enumerate(self.inputs) if number != self.fed]

    def calls(self) -> Iterator[tuple[Call, dict[str, int]]]:
        """Every call in the order of execution, with the values of the loop variables."""
        yield from unrolled(self.program, {})

    def buffers(self) -> list[Buffer]:
        """Each buffer once, in order of first use."""
        found: dict[int, Buffer] = {id(b): b for b in self.inputs}
        found |= {id(state.before): state.before for state in self.states}
        for call in static_calls(self.program):
            found.update({id(b.storage): b.storage for b in call.buffers})
        return list(found.values())

    @property
    def arena_bytes(self) -> int:
        return sum(region.bytes for region in self.regions)
