"""Estimated cycles: what a core's blocks hold of each event (boards/timing.py), weighed by its timing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from driftc.simulator.packages import package

# Beginnings of mnemonics; the first that fits decides.
KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("double", ("ldrd", "strd")),
    ("multiple", ("ldm", "stm", "push", "pop", "vldm", "vstm", "vpush", "vpop")),
    ("load", ("ldr", "vldr")),
    ("store", ("str", "vstr")),
    ("divide", ("sdiv", "udiv")),
    ("long", ("smull", "umull", "smlal", "umlal", "umaal", "smlsl")),
    ("accumulate", ("mla", "mls", "smla", "smls", "smmla", "smmls", "usada8")),
    ("multiply", ("mul", "smul", "smmul", "smuad", "smusd", "usad8")),
)
UNITS = {"load": "memory", "store": "memory", "multiply": "multiply", "accumulate": "multiply", "long": "multiply"}
LIMITED = (
    "sxt",
    "uxt",
    "ssat",
    "usat",
    "bf",
    "sbfx",
    "ubfx",
    "pkh",
    "rev",
    "rbit",
    "clz",
    "sel",
    "q",
    "sadd",
    "ssub",
    "uadd",
    "usub",
)
ALONE = ("double", "multiple", "divide")  # never issued beside another


@dataclass(frozen=True)
class Decoded:
    """What the events of its block depend on."""

    kind: str
    unit: str
    reads: frozenset[int]
    writes: frozenset[int]
    registers: int  # of LDM and its like


def decode(code: bytes, address: int) -> list[Decoded]:
    """The Thumb instructions of a block. Raises ToolError where capstone is missing."""
    capstone = package("capstone", "capstone")
    disassembler = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB + capstone.CS_MODE_MCLASS)
    disassembler.detail = True
    disassembler.skipdata = True
    return [_decoded(instruction) for instruction in disassembler.disasm(code, address)]


def _decoded(instruction: Any) -> Decoded:
    name: str = instruction.mnemonic
    kind = next((kind for kind, starts in KINDS if name.startswith(starts)), "plain")
    unit = UNITS.get(kind) or ("limited" if name.startswith(LIMITED) else "plain")
    if instruction.id == 0:  # data that no instruction is
        return Decoded(kind, unit, frozenset(), frozenset(), 0)
    reads, writes = instruction.regs_access()
    registers = sum(operand.type == 1 for operand in instruction.operands)  # ARM_OP_REG
    if kind == "multiple" and not name.startswith(("push", "pop", "vpush", "vpop")):
        registers -= 1  # the address
    return Decoded(kind, unit, frozenset(reads), frozenset(writes), registers)


def events(block: Iterable[Decoded]) -> Counter[str]:
    """Of one execution, but for whether it ends in a branch that is taken."""
    block = list(block)
    found = Counter(instruction.kind for instruction in block)
    for before, after in pairwise(block):
        if before.kind != "load":
            continue
        used = after.kind != "store" and bool(before.writes & after.reads)
        found["used"] += used
        if after.kind in ("load", "store") and not used:
            found[after.kind] -= 1
            found["chained"] += 1
    found["register"] = sum(each.registers for each in block if each.kind == "multiple")
    found["pair"] = sum(1 for _ in _pairs(block))
    return +found


def _pairs(block: list[Decoded]) -> Iterator[tuple[Decoded, Decoded]]:
    """Neighbours that a core with two pipelines could issue together, each once."""
    place = 0
    while place + 1 < len(block):
        first, second = block[place], block[place + 1]
        apart = not first.writes & second.reads and not first.writes & second.writes
        units = first.unit != second.unit or first.unit == "plain"
        if apart and units and first.kind not in ALONE and second.kind not in ALONE:
            yield first, second
            place += 1
        place += 1
