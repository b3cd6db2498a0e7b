"""Boards: each file loads and is sane; a wrong one is refused, with the file, the key and the remedy."""

from __future__ import annotations

from itertools import combinations

import pytest

from driftc.boards import COLUMNS, Cache, Memory, Programmer, RamRegion, load, names, parse, table
from driftc.boards.cores import load_core
from driftc.codegen.errors import UsageError

CORES = {
    *("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "cortex-m85"),
    *("rv32imc", "xtensa-lx6", "xtensa-lx7"),
}
PROMISED = {
    "nucleo-f446re",
    "nucleo-l4r5zi",
    "nucleo-f746zg",
    "nucleo-h743zi",
    "nucleo-u575zi-q",
    "stm32f4-discovery",
    "nucleo-g071rb",
    "rp2040",
    "rp2350",
    "nrf52840-dk",
    "esp32-c3",
    "corstone-300",
    *("esp32", "esp32-s2", "esp32-s3", "nano-33-ble-sense", "portenta-h7", "pico-w", "xiao-nrf52840", "xiao-esp32s3"),
    *("xiao-samd21", "teensy-4.1", "microbit-v2", "b-u585i-iot02a", "nucleo-n657x0-q", "ek-ra8m1"),
}
KIB = 1024

GOOD = """
name = "Maker One"
core = "cortex-m4"
fpu = "fpv4-sp-d16"
extensions = ["dsp"]
clock_hz = 100_000_000
flash = { base = 0x0800_0000, bytes = 65_536 }
ram = [
    { name = "fast", base = 0x1000_0000, bytes = 4_096 },
    { name = "main", base = 0x2000_0000, bytes = 16_384 },
]
cache = { instruction = 1_024 }
programmer = { probe = "none", device = "M1" }
emulator = "mps2-an386"
source = "Maker One datasheet, memory map"
"""


def test_promised_boards_are_there() -> None:
    assert set(names()) >= PROMISED


def test_every_core_has_a_board() -> None:
    assert {load(name).core for name in names()} == CORES


@pytest.mark.parametrize("name", names())
def test_board_is_sane(name: str) -> None:
    board = load(name)
    assert board.key == name
    assert board.core in CORES
    assert 16_000_000 <= board.clock_hz <= 1_000_000_000
    assert 64 * KIB <= board.flash.bytes <= 64 * KIB * KIB
    assert all(4 * KIB <= region.bytes <= 8 * KIB * KIB for region in board.ram)
    assert all(region.base % KIB == 0 and region.bytes % KIB == 0 for region in (board.flash, *board.ram))


@pytest.mark.parametrize("name", names())
def test_emulator_is_the_one_its_core_runs_on(name: str) -> None:
    board = load(name)
    machine = load_core(board.core).qemu
    assert (machine is None) == board.core.startswith("xtensa")
    assert board.emulator == (machine.machine if machine else "none")


@pytest.mark.parametrize("name", names())
def test_ram_that_touches_is_one_region(name: str) -> None:
    """Two entries for one range of addresses would keep an arena from crossing a border that is not there."""
    for a, b in combinations(load(name).ram, 2):
        assert a.end != b.base and b.end != a.base
        assert a.end <= b.base or b.end <= a.base


@pytest.mark.parametrize("name", names())
def test_units_go_with_the_core(name: str) -> None:
    board = load(name)
    has_unit = board.core in ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "cortex-m85")
    assert ("dsp" in board.extensions) == has_unit
    assert ("mve" in board.extensions) == (board.core in ("cortex-m55", "cortex-m85"))
    assert (board.fpu is not None) == has_unit
    if board.core == "cortex-m4":
        assert board.fpu == "fpv4-sp-d16"


def test_numbers_of_the_reference_boards() -> None:
    """The two boards that benchmarks/ reports on, number by number."""
    board = load("nucleo-l4r5zi")
    assert (board.name, board.core, board.clock_hz) == ("ST NUCLEO-L4R5ZI", "cortex-m4", 120_000_000)
    assert board.flash == Memory(0x0800_0000, 2_097_152)
    assert board.ram == (RamRegion(0x2000_0000, 655_360, "sram1..3"),)
    board = load("nucleo-f446re")
    assert (board.clock_hz, board.flash.bytes, board.ram_bytes) == (180_000_000, 524_288, 131_072)


def test_parse_keeps_every_fact() -> None:
    board = parse("maker-one", GOOD)
    assert (board.key, board.name, board.core, board.cpu) == ("maker-one", "Maker One", "cortex-m4", None)
    assert (board.fpu, board.extensions, board.clock_hz) == ("fpv4-sp-d16", ("dsp",), 100_000_000)
    assert board.flash.end == 0x0801_0000
    assert board.ram == (RamRegion(0x1000_0000, 4_096, "fast"), RamRegion(0x2000_0000, 16_384, "main"))
    assert board.cache == Cache(instruction=1_024)
    assert board.programmer == Programmer("none", "M1")
    assert (board.emulator, board.source) == ("mps2-an386", "Maker One datasheet, memory map")


def test_total_and_largest() -> None:
    board = parse("maker-one", GOOD)
    assert board.ram_bytes == 20_480
    assert board.largest.name == "main"
    assert load("nucleo-h743zi").largest.name == "axi-sram"


def test_what_may_be_left_out() -> None:
    optional = ("fpu", "extensions", "cache", "programmer")
    board = parse("bare", "\n".join(line for line in GOOD.splitlines() if not line.startswith(optional)))
    assert (board.fpu, board.extensions, board.cache, board.programmer) == (None, (), None, None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('core = "cortex-m4"\n', "", "core is missing"),
        ("clock_hz", "clock", "clock is no key here; known are name, core, clock_hz"),
        ("bytes = 65_536", "size = 65_536", "flash: size is no key here; known are base, bytes"),
        ("100_000_000", '"100 MHz"', "clock_hz must be a whole number"),
        ("100_000_000", "true", "clock_hz must be a whole number"),
        ("100_000_000", "100", "clock_hz must be a whole number from 1,000,000"),
        ('"Maker One"', '"  "', "name must be one line of text"),
        ('"Maker One"', r'"Maker\nOne"', "name must be one line of text"),
        ("fpv4-sp-d16", "vfp", "fpu has 'vfp'; known are fpv4-sp-d16"),
        ('["dsp"]', '["simd"]', "extensions has 'simd'; known are dsp, mve"),
        ('["dsp"]', '"dsp"', "extensions must be a list"),
        ("{ base = 0x0800_0000, bytes = 65_536 }", "65_536", "flash must be a table"),
        ("0x1000_0000, bytes = 4_096", "0, bytes = 4_096", "ram[0]: base is 0; an arena there would be a null"),
        ("0x1000_0000, bytes = 4_096", "0x1000_0004, bytes = 4_096", "ram[0]: base must be a multiple of 16"),
        ("0x1000_0000, bytes = 4_096", "0xffff_f000, bytes = 8_192", "ram[0]: bytes reaches beyond"),
        ("0x1000_0000, bytes = 4_096", "0x1000_0000, bytes = -4", "ram[0]: bytes must be a whole number"),
        ("0x1000_0000, bytes = 4_096", "0x2000_3ff0, bytes = 4_096", "main overlaps fast"),
        ("0x1000_0000, bytes = 4_096", "0x0800_fff0, bytes = 4_096", "fast overlaps flash"),
        ('name = "main"', 'name = "fast"', "ram names 'fast' twice"),
        ("instruction = 1_024", "l2 = 1_024", "cache: l2 is no key here; known are instruction, data, unified"),
        ('probe = "none", ', "", "programmer: probe is missing"),
        ("[\n", "[ oops\n", "Invalid value"),
    ],
)
def test_wrong_file_is_refused(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(UsageError) as refused:
        parse("maker-one", GOOD.replace(old, new, 1))
    assert str(refused.value).startswith("maker-one.toml: ")
    assert message in str(refused.value)


def test_no_ram_is_refused() -> None:
    start, end = GOOD.index("ram = ["), GOOD.index("cache")
    with pytest.raises(UsageError, match=r"maker-one\.toml: ram is empty"):
        parse("maker-one", GOOD[:start] + "ram = []\n" + GOOD[end:])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("NUCLEO_F446RE", "nucleo-f446re"),
        ("nucleo-f446er", "nucleo-f446re"),
        ("f446", "nucleo-f446re"),
        ("samd51", "metro-m4"),
        ("STM32U575", "nucleo-u575zi-q"),
        ("pico", "pico-w or rp2040 or rp2350"),
    ],
)
def test_unknown_name_suggests(typed: str, meant: str) -> None:
    with pytest.raises(UsageError) as refused:
        load(typed)
    assert str(refused.value).startswith(f"unknown board '{typed}'; did you mean {meant}")


@pytest.mark.parametrize("typed", ["", "no-such-thing", "../pyproject", "cores/cortex-m4", "nucleo-f446re.toml"])
def test_only_listed_names_are_read(typed: str) -> None:
    with pytest.raises(UsageError, match="unknown board"):
        load(typed)


def test_name_like_nothing_lists_all() -> None:
    with pytest.raises(UsageError) as refused:
        load("zx-spectrum")
    assert all(name in str(refused.value) for name in names())


def test_table_has_a_row_for_each_board() -> None:
    rows = table()
    assert [row[0] for row in rows] == list(names())
    assert all(len(row) == len(COLUMNS) and all(row) for row in rows)
    found = {row[0]: row[1:] for row in rows}
    assert found["nucleo-l4r5zi"] == ("ST NUCLEO-L4R5ZI", "cortex-m4", "120 MHz", "2 MiB", "640 KiB", "mps2-an386")
    assert found["stm32f4-discovery"][4] == "128 KiB + 64 KiB"
