"""How long instructions take: cycles of a core by what happens, and what its board's flash adds.

Cycles are a sum over events (EVENTS), each counted in the program and weighed by the core's TOML. It is a model: the
counts can be exact, the weights are those of a document, or assumed where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

EVENTS: dict[str, str] = {
    "plain": "an instruction of none of the other kinds",
    "load": "a load of up to a word",
    "chained": "a load or store right behind such a load, instead of its own",
    "store": "a store of up to a word",
    "double": "LDRD, STRD",
    "multiple": "LDM, STM, PUSH, POP, besides its registers",
    "register": "each of their registers",
    "multiply": "a product of 32 bits, or two of 16",
    "accumulate": "the same, added to a register",
    "long": "a product of 64 bits",
    "divide": "a division",
    "vector": "a vector instruction",
    "overlapped": "one behind a vector instruction of another unit (memory, multiply, the rest), instead of its own",
    "taken": "a branch that is taken, or a return, besides the instruction itself",
    "used": "a load whose value the next instruction uses, besides the load itself",
    "pair": "two neighbours that do not depend on each other and want different units, besides both",
}

BESIDE = ("register", "taken", "used", "pair")  # of instructions that are another event already


@dataclass(frozen=True, eq=False)
class Mix:
    """Events an instruction of some code, on average; what they do not name is plain."""

    shares: Mapping[str, float]

    @classmethod
    def of(cls, **shares: float) -> Mix:
        plain = 1.0 - sum(share for event, share in shares.items() if event not in BESIDE)
        return cls({**shares, "plain": plain})


@dataclass(frozen=True, eq=False)
class Timing:
    """Cycles of each event on a core; below zero where it saves some."""

    cycles: Mapping[str, float]
    source: str
    assumed: tuple[str, ...]  # events whose cycles no source states

    def of(self, events: Mapping[str, float]) -> float:
        """Cycles of so many events."""
        return sum(count * self.cycles[event] for event, count in events.items())

    @property
    def doubles(self) -> bool:
        """Four words in two instructions take no more cycles than one by one."""
        return 2 * self.cycles["double"] <= self.cycles["load"] + 3 * self.cycles["chained"]


@cache
def pace(timing: Timing | None, mix: Mix) -> float:
    """Cycles an instruction of such code takes; where nothing is known of the core, one."""
    return 1.0 if timing is None else timing.of(mix.shares)


@dataclass(frozen=True)
class Access:
    """How code and constants come from flash. Lines are of `line` bytes; so many of code and of data are kept."""

    wait_states: int
    line: int
    code_lines: int
    data_lines: int
    prefetch: bool  # the line behind the one that runs is read ahead
    source: str


def timing_of(facts: Mapping[str, Any]) -> Timing:
    """The table [cycles] of a core's file: `source`, `assumed`, and the events that are not one cycle or none."""
    given = {key: float(value) for key, value in facts.items() if key not in ("source", "assumed")}
    unknown = sorted((given.keys() | set(facts.get("assumed", ()))) - EVENTS.keys())
    if unknown:
        raise ValueError(f"[cycles] has '{unknown[0]}'; known are {', '.join(EVENTS)}")
    usual = {event: 0.0 if event in ("multiple", "taken", "used", "pair") else 1.0 for event in EVENTS}
    return Timing(usual | given, facts["source"], tuple(facts.get("assumed", ())))
