"""A board as its TOML states it: core, clock, memories. `load` gives a checked Board or says what is wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.resources import files
from itertools import combinations
from typing import Any

from driftc.boards.timing import Access
from driftc.codegen.errors import UsageError

FPUS = ("fpv4-sp-d16", "fpv5-sp-d16", "fpv5-d16")
EXTENSIONS = ("dsp", "mve")
COLUMNS = ("board", "name", "core", "clock", "flash", "RAM", "emulator")

_SUFFIX = ".toml"
_SCRIPT = re.compile(r"[\w-]+(/[\w-]+)*\.cfg")
_ADDRESS_SPACE = 1 << 32


@dataclass(frozen=True)
class Memory:
    """A range of addresses."""

    base: int
    bytes: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.base + self.bytes


@dataclass(frozen=True)
class RamRegion(Memory):
    """One range of addresses without a gap, as large as the neighbouring RAMs make it."""

    name: str


@dataclass(frozen=True)
class Cache:
    """Bytes; 0 where there is none. `unified` serves instructions and data, as the caches before external flash do."""

    instruction: int = 0
    data: int = 0
    unified: int = 0


@dataclass(frozen=True)
class Programmer:
    """How a program gets in: what is on the board, and what flashing tools call the chip."""

    probe: str
    device: str  # the CMSIS pack's name, esptool's for an ESP32


@dataclass(frozen=True)
class Uart:
    """A serial port: firmware/ports/uart_DRIVER.c, where its registers are, and what makes it ready after a reset."""

    driver: str
    base: int
    divider: int | None = None  # what its rate register takes for 115200 baud, as the driver says; None: is not set
    setup: tuple[tuple[int, int, int], ...] = ()  # address, bits to clear, bits to set: clocks and pins, in order
    core_hz: int | None = None  # the core's clock after a reset, which stays; None: not known

    def slower(self, times: int) -> Uart:
        """At 115200 / `times` baud. An nRF's register holds the rate, others how many clocks a bit takes."""
        if self.divider is None:
            return self
        return replace(self, divider=self.divider // times if self.driver == "nrf" else self.divider * times)


@dataclass(frozen=True)
class Pin:
    """An output that is free: firmware/ports/pin.c."""

    name: str  # as the board prints it, and as the chip's manual does
    setup: tuple[tuple[int, int, int], ...]  # address, bits to clear, bits to set, in order
    low: tuple[int, int]  # address, and what is written there to drive it low
    high: tuple[int, int]


@dataclass(frozen=True)
class FlashTool:
    """A tool that programs the board, by its name in simulator/flash/tools.py, and what it must know."""

    name: str
    fact: Any  # openocd: its scripts; pyocd: the target; uf2: the family; dfu: USB vendor and product; others: nothing


@dataclass(frozen=True)
class Board:
    """Facts of one board. Memories are those a program may use freely: no backup RAM, no RAM at address 0."""

    key: str  # the file's name: what --board takes
    name: str  # as the vendor prints it
    core: str  # the file in cores/ whose code it runs
    cpu: str | None  # the CPU's own name, where it is not the core's
    fpu: str | None  # GNU's -mfpu name; None: no FPU
    extensions: tuple[str, ...]  # those an Arm core may lack: dsp, mve
    clock_hz: int  # the highest
    flash: Memory  # where code and constants lie
    ram: tuple[RamRegion, ...]  # in order of preference
    access: Access | None  # how flash is read at `clock_hz`; None: not known, or behind a cache
    cache: Cache | None  # None: none stated
    programmer: Programmer | None
    flash_with: tuple[FlashTool, ...]  # in order of preference
    start: str | None  # firmware/ports/start_START.c, what the chip's ROM runs first; None: the vector table
    constants: int | None  # where data in flash is read, if not where code is
    counter: int | None  # the CSR that counts cycles, of a RISC-V core that lacks the standard ones
    uart: Uart | None  # the one that reaches the user's computer; None: not known
    pin: Pin | None  # for time stamps as edges; None: not known
    emulator: str  # the QEMU machine that stands in for it
    source: str  # where the numbers are from

    @property
    def ram_bytes(self) -> int:
        """All regions together. No single buffer can have more than `largest`."""
        return sum(region.bytes for region in self.ram)

    @property
    def largest(self) -> RamRegion:
        """The region with the most bytes; the preferred one among equals."""
        return max(self.ram, key=lambda region: region.bytes)


def names() -> tuple[str, ...]:
    """Every board that `load` knows, sorted."""
    entries = files("driftc.boards").iterdir()
    return tuple(sorted(entry.name.removesuffix(_SUFFIX) for entry in entries if entry.name.endswith(_SUFFIX)))


def load(name: str) -> Board:
    """The board of that name; UsageError, with the likely meaning, if there is none."""
    known = names()
    if name not in known:
        raise UsageError(f"unknown board '{name}'; {_suggest(name, known)}")
    return _read(name)


def table() -> list[tuple[str, ...]]:
    """One row of text for each board, under COLUMNS: for docs/boards.md and `driftc boards`."""
    return [
        (
            board.key,
            board.name,
            board.core,
            f"{board.clock_hz / 1_000_000:g} MHz",
            _size(board.flash.bytes),
            " + ".join(_size(region.bytes) for region in board.ram),
            board.emulator,
        )
        for board in map(_read, names())
    ]


def parse(key: str, text: str) -> Board:
    """The board that a TOML file's text describes. `key` is the file's name without suffix."""
    try:
        facts = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{key}{_SUFFIX}: {error}") from error
    at = _Table(f"{key}{_SUFFIX}", facts)
    at.allow(
        "name core clock_hz flash ram emulator source",
        "cpu fpu extensions access cache programmer flash_with start constants counter uart pin",
    )
    board = Board(
        key=key,
        name=at.text("name"),
        core=at.text("core"),
        cpu=at.text("cpu") if "cpu" in facts else None,
        fpu=at.choice("fpu", at.text("fpu"), FPUS) if "fpu" in facts else None,
        extensions=tuple(at.choice("extensions", item, EXTENSIONS) for item in at.items("extensions")),
        clock_hz=at.number("clock_hz", least=1_000_000, below=2_000_000_000),
        flash=_flash(at.table("flash")),
        ram=tuple(_region(at.table("ram", item, f"[{index}]")) for index, item in enumerate(at.items("ram"))),
        access=_access(at.table("access")) if "access" in facts else None,
        cache=_cache(at.table("cache")) if "cache" in facts else None,
        programmer=_programmer(at.table("programmer")) if "programmer" in facts else None,
        flash_with=_flash_with(at.table("flash_with")) if "flash_with" in facts else (),
        start=at.text("start") if "start" in facts else None,
        constants=at.number("constants", least=1, below=_ADDRESS_SPACE) if "constants" in facts else None,
        counter=at.number("counter", least=0, below=1 << 12) if "counter" in facts else None,
        uart=_uart(at.table("uart")) if "uart" in facts else None,
        pin=_pin(at.table("pin")) if "pin" in facts else None,
        emulator=at.text("emulator"),
        source=at.text("source"),
    )
    if not board.ram:
        raise at.error("ram", "is empty; a board needs at least one region")
    ranges: list[tuple[str, Memory]] = [("flash", board.flash), *((region.name, region) for region in board.ram)]
    for (first, a), (second, b) in combinations(ranges, 2):
        if first == second:
            raise at.error("ram", f"names '{first}' twice")
        if a.base < b.end and b.base < a.end:
            raise at.error(second, f"overlaps {first}")
    return board


def _read(name: str) -> Board:
    return parse(name, files("driftc.boards").joinpath(name + _SUFFIX).read_text(encoding="utf-8"))


def _suggest(name: str, known: tuple[str, ...]) -> str:
    """What may have been meant: a board or chip whose name holds these letters, or else a spelling close by."""
    wanted = name.strip().lower().replace("_", "-").replace(" ", "-")
    found = [wanted] if wanted in known else []
    if not found and len(wanted) > 2:
        found = [key for key in known if any(wanted in text.lower() for text in _spellings(_read(key)))]
    if not found:
        found = get_close_matches(wanted, known, n=3, cutoff=0.75)
    if found:
        return f"did you mean {' or '.join(found)}? 'driftc boards' lists all"
    return f"known are {', '.join(known)}"


def _spellings(board: Board) -> tuple[str, ...]:
    return (board.key, board.name, board.programmer.device if board.programmer else "")


def _size(count: int) -> str:
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count % factor == 0:
            return f"{count // factor:,} {unit}"
    return f"{count:,} B"


def _flash(at: _Table) -> Memory:
    at.allow("base bytes")
    return Memory(*at.range())


def _region(at: _Table) -> RamRegion:
    at.allow("name base bytes")
    base, count = at.range()
    if base == 0:
        raise at.error("base", "is 0; an arena there would be a null pointer")
    return RamRegion(base, count, at.text("name"))


def _access(at: _Table) -> Access:
    at.allow("wait_states line code_lines data_lines prefetch source")
    if not isinstance(at.facts["prefetch"], bool):
        raise at.error("prefetch", "must be true or false")
    return Access(
        wait_states=at.number("wait_states", least=1, below=64),
        line=at.number("line", least=4, below=257),
        code_lines=at.number("code_lines", least=1, below=65),
        data_lines=at.number("data_lines", least=1, below=65),
        prefetch=at.facts["prefetch"],
        source=at.text("source"),
    )


def _cache(at: _Table) -> Cache:
    at.allow("", "instruction data unified")
    return Cache(**{key: at.number(key, least=1, below=1 << 20) for key in at.facts})


def _programmer(at: _Table) -> Programmer:
    at.allow("probe device")
    return Programmer(at.text("probe"), at.text("device"))


def _uart(at: _Table) -> Uart:
    at.allow("driver base", "divider setup core_hz")
    driver = at.text("driver")
    if not driver.isalnum():
        raise at.error("driver", "must be the end of a file's name in firmware/ports: uart_DRIVER.c")
    return Uart(
        driver,
        at.number("base", least=1, below=_ADDRESS_SPACE),
        at.number("divider", least=1, below=_ADDRESS_SPACE) if "divider" in at.facts else None,
        _setup(at),
        at.number("core_hz", least=1_000_000, below=2_000_000_000) if "core_hz" in at.facts else None,
    )


def _pin(at: _Table) -> Pin:
    at.allow("name setup low high")
    low, high = (_words(at, key, at.items(key), "[address, bits to write]", 2) for key in ("low", "high"))
    return Pin(at.text("name"), _setup(at), (low[0], low[1]), (high[0], high[1]))


def _setup(at: _Table) -> tuple[tuple[int, int, int], ...]:
    writes = [
        _words(at, "setup", item, "a list of [address, bits to clear, bits to set]", 3) for item in at.items("setup")
    ]
    return tuple((address, clear, bits) for address, clear, bits in writes)


def _words(at: _Table, key: str, found: object, what: str, count: int) -> list[int]:
    if not isinstance(found, list) or len(found) != count or not all(_is_word(number) for number in found):
        raise at.error(key, f"must be {what}")
    return found


def _is_word(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < _ADDRESS_SPACE


def _flash_with(at: _Table) -> tuple[FlashTool, ...]:
    at.allow("", "openocd pyocd st_flash dfu uf2 picotool esptool")
    found = []
    for key, value in at.facts.items():
        if key == "openocd":
            scripts = at.items(key)
            if not scripts or not all(isinstance(name, str) and _SCRIPT.fullmatch(name) for name in scripts):
                raise at.error(key, "must be a list of OpenOCD's scripts, such as target/stm32f4x.cfg")
            value = tuple(scripts)
        elif key in ("pyocd", "dfu"):
            value = at.text(key)
        elif key == "uf2":
            value = at.number(key, least=1, below=_ADDRESS_SPACE)
        elif value is not True:
            raise at.error(key, "must be true where the tool programs the board")
        found.append(FlashTool(key, value))
    return tuple(found)


class _Table:
    """A TOML table and where it stands, so that each check can say which key of which file is wrong."""

    def __init__(self, where: str, facts: Mapping[str, Any]) -> None:
        self.where = where
        self.facts = facts

    def error(self, key: str, problem: str) -> UsageError:
        return UsageError(f"{self.where}: {key} {problem}")

    def allow(self, required: str, optional: str = "") -> None:
        """Raise unless the keys are these and no others."""
        known = [*required.split(), *optional.split()]
        for key in self.facts:
            if key not in known:
                raise self.error(key, f"is no key here; known are {', '.join(known)}")
        for key in required.split():
            if key not in self.facts:
                raise self.error(key, "is missing")

    def text(self, key: str) -> str:
        value = self.facts[key]
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise self.error(key, "must be one line of text")
        return value

    def number(self, key: str, *, least: int, below: int) -> int:
        value = self.facts[key]
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < below:
            raise self.error(key, f"must be a whole number from {least:,} to {below - 1:,}")
        return value

    def choice(self, key: str, value: object, known: Iterable[str]) -> str:
        if not isinstance(value, str) or value not in known:
            raise self.error(key, f"has '{value}'; known are {', '.join(known)}")
        return value

    def items(self, key: str) -> list[Any]:
        value = self.facts.get(key, [])
        if not isinstance(value, list):
            raise self.error(key, "must be a list")
        return value

    def table(self, key: str, value: object = None, suffix: str = "") -> _Table:
        found = self.facts[key] if value is None else value
        if not isinstance(found, dict):
            raise self.error(key + suffix, "must be a table: { key = value, ... }")
        return _Table(f"{self.where}: {key}{suffix}", found)

    def range(self) -> tuple[int, int]:
        base = self.number("base", least=0, below=_ADDRESS_SPACE)
        count = self.number("bytes", least=4, below=_ADDRESS_SPACE)
        if base % 16 or count % 4:
            raise self.error("base", "must be a multiple of 16 and bytes one of 4")
        if base + count > _ADDRESS_SPACE:
            raise self.error("bytes", "reaches beyond the 32-bit address space")
        return base, count
