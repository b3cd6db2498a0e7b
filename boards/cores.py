"""Cores: how to compile for each, and which emulated machine stands in for it. One TOML per core in `cores/`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from driftc.boards.board import Board, Uart
from driftc.boards.timing import Timing, timing_of
from driftc.codegen.errors import UsageError

FOLDER = Path(__file__).parent / "cores"
# A core runs the code of those before it; Armv8-M has what Armv7E-M has, but for its floating point.
LADDER = ("armv6-m", "armv7-m", "armv7e-m", "armv8-m.main", "armv8.1-m.main")
BOOT_BYTES = 256  # of an RP2040, before the vector table
DIRECT_BYTES = 64  # of an ESP32, before the program
DIRECT_FLASH = 4 << 20  # what its ROM maps (github.com/espressif/esp32c3-direct-boot-example, README)
TABLE_BYTES = 1024  # kept for the vector table
STACK_BYTES = 16384  # as in firmware/ports/*.ld; less where RAM is short


@dataclass(frozen=True)
class Region:
    """A range of the machine's address space."""

    base: int
    bytes: int


@dataclass(frozen=True)
class Machine:
    """The QEMU machine that runs the core's programs."""

    system: str  # arm or riscv32: qemu-system-SYSTEM
    machine: str
    options: tuple[str, ...]
    tick_hz: int | None  # SysTick's clock; None where retired instructions are counted instead
    uart: Uart  # the first serial port


@dataclass(frozen=True)
class Core:
    """Facts of one core, from its TOML; every number there names its source."""

    id: str  # the file's name: cortex-m4
    name: str
    architecture: str
    port: str  # firmware/ports/port_PORT.c and PORT.ld
    features: frozenset[str]  # what kernels may need (dsp, mve) or prefer (low-and-high-registers)
    timing: Timing | None  # None: too little is known of it
    parts: tuple[int, ...]  # PartNo in CPUID of the Arm cores that run its code and go by its name
    flags: dict[str, tuple[str, ...]]  # compiler kind (gcc, clang, zig) -> what selects the core
    vectors: Region | None  # where the vector table must be, when that is not the start of `code`
    code: Region
    ram: Region
    unicorn_model: str | None  # UC_CPU_ARM_<this>; None where unicorn has no such core
    qemu: Machine | None


def core_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@cache
def load_core(name: str) -> Core:
    """The core called `name`; UsageError lists the known ones."""
    if name not in core_names():
        close = get_close_matches(name, core_names(), 1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(core_names())}"
        raise UsageError(f"--core {name}: no such core; {hint}")
    with (FOLDER / f"{name}.toml").open("rb") as file:
        facts = tomllib.load(file)
    memory, qemu = facts["memory"], facts.get("qemu")
    return Core(
        id=name,
        name=facts["name"],
        architecture=facts["architecture"],
        port=facts["port"],
        features=frozenset(facts.get("features", ())),
        timing=timing_of(facts["cycles"]) if "cycles" in facts else None,
        parts=tuple(facts.get("parts", ())),
        flags={kind: tuple(facts[kind]) for kind in ("gcc", "clang", "zig")},
        vectors=_region(memory["vectors"]) if "vectors" in memory else None,
        code=_region(memory["code"]),
        ram=_region(memory["ram"]),
        unicorn_model=facts.get("unicorn", {}).get("model"),
        qemu=None if qemu is None else _machine(qemu),
    )


def _machine(fact: dict[str, Any]) -> Machine:
    uart = Uart(fact["uart"]["driver"], fact["uart"]["base"])
    return Machine(fact["system"], fact["machine"], tuple(fact.get("options", ())), fact.get("tick_hz"), uart)


def _region(fact: dict[str, Any]) -> Region:
    return Region(fact["base"], fact["bytes"])


def memory_script(core: Core) -> str:
    """`memory.ld`, which the port's linker script includes: the memories of the core's emulated machine."""
    table = core.vectors or Region(core.code.base, TABLE_BYTES)
    code = core.code if core.vectors else _behind(core.code, TABLE_BYTES)
    regions = {"vectors (rx)": table, "code (rx)": code, "ram (rwx)": core.ram}
    if core.port == "riscv":  # has no table; execution starts at the first byte of `code`
        regions = {"code (rx)": core.code, "ram (rwx)": core.ram}
    return _script(core.name, regions)


def board_script(board: Board, core: Core) -> str:
    """As `memory_script`, of a board's own memories: the start of its flash, and its largest RAM."""
    flash = Region(board.flash.base, board.flash.bytes)
    ram = Region(board.largest.base, board.largest.bytes)
    regions, sections = {}, []
    if board.start == "rp2040":
        regions["boot (rx)"] = Region(flash.base, BOOT_BYTES)
        sections.append(".boot2 : { KEEP(*(.boot2)) } > boot")
        flash = _behind(flash, BOOT_BYTES)
    elif board.start in ("esp32c3", "esp32c6"):
        regions["boot (rx)"] = Region(flash.base, DIRECT_BYTES)
        sections.append(f".boot : {{ KEEP(*(.boot)) . = ALIGN({DIRECT_BYTES}); }} > boot")
        flash = _behind(Region(flash.base, min(flash.bytes, DIRECT_FLASH)), DIRECT_BYTES)
    if board.constants is not None:  # first of all, so that both buses have them at the same distance
        regions["constants (r)"] = Region(board.constants + flash.base - board.flash.base, flash.bytes)
        read_only = ".rodata .rodata.* .srodata .srodata.*"
        sections.append(f".constants : {{ *({read_only}) . = ALIGN(16); }} > constants AT > code")
    if core.port == "cortex_m":
        regions["vectors (rx)"] = Region(flash.base, TABLE_BYTES)
        flash = _behind(flash, TABLE_BYTES)
    regions |= {"code (rx)": flash, "ram (rwx)": ram}
    stack = min(STACK_BYTES, board.largest.bytes // 8 & ~7)
    first = "".join(f"SECTIONS {{ {section} }}\n" for section in sections)
    return _script(board.name, regions) + f"port_stack_bytes = {stack};\n{first}"


def _behind(region: Region, count: int) -> Region:
    return Region(region.base + count, region.bytes - count)


def _script(name: str, regions: dict[str, Region]) -> str:
    lines = [f"  {name} : ORIGIN = {r.base:#010x}, LENGTH = {r.bytes:#x}" for name, r in regions.items()]
    return f"/* {name}; made by driftc. */\nMEMORY\n{{\n" + "\n".join(lines) + "\n}\n"
