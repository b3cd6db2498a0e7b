"""What `driftc flash` puts on a board, run by emulators that have the board's serial port."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from exported import picotool, tools
from gdb_servers import openocd_rtt_server, simulated_environment
from labwired_boards import Chip, boot, labwired
from rp2040 import rp2040
from serial_boards import line, serial_port
from simulated.stm32_serial import LINES
from toy_model import toy_reference, toy_samples, write_toy

from driftc.boards import Memory, RamRegion, load
from driftc.codegen.errors import ToolError
from driftc.simulator import serial_link
from driftc.simulator.elf import Elf
from driftc.simulator.engine import Program, Target
from driftc.simulator.flash.image import image_of
from driftc.simulator.flash.uf2 import uf2
from driftc.simulator.program import boot_checksum, build_harness
from driftc.simulator.serial_engine import SerialEngine

SAMPLES = toy_samples(3)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulator is slower than a board, and the machine may be busy."""
    monkeypatch.setattr(serial_link, "HELLO_SECONDS", 60.0)


def check(device: str, program: Program) -> None:
    """Both kinds of run, one after the other, over the serial port."""
    for trace in (True, False):
        results = SerialEngine(device, timeout=60).run(program, SAMPLES, trace=trace)
        for (x,), result in zip(SAMPLES, results, strict=True):
            expected = toy_reference(x)
            np.testing.assert_array_equal(result.outputs[0], expected[2].reshape(1, 4))
            assert sorted(result.tensors) == ([0, 1, 2] if trace else [])
            for index, tensor in result.tensors.items():
                np.testing.assert_array_equal(tensor, expected[index])


def test_stm32f4(tmp_path: Path) -> None:
    """nucleo-f446re's USART2, on an STM32F405, which has the same; QEMU has no clock tree and no pins to get wrong."""
    program = write_toy(tmp_path, target=Target("cortex-m4", board="nucleo-f446re"))
    with serial_port("netduinoplus2", build_harness(program, load("nucleo-f446re")), 1) as device:
        check(device, program)


def test_stm32f1(tmp_path: Path) -> None:
    """nucleo-f103rb's USART2, on an STM32F100, which has the same, and 8 KB of RAM."""
    nucleo = load("nucleo-f103rb")
    small = replace(nucleo, ram=(RamRegion(0x2000_0000, 8 << 10, "ram"),))
    program = write_toy(tmp_path, target=Target("cortex-m3", board=nucleo.key))
    with serial_port("stm32vldiscovery", build_harness(program, small), 1) as device:
        check(device, program)


def test_rtt(tmp_path: Path) -> None:
    """Through the debugger's memory accesses, over OpenOCD's own RTT server."""
    board = load("nucleo-f446re")
    program = write_toy(tmp_path, target=Target("cortex-m4", board=board.key))
    path = build_harness(program, board, "rtt")
    elf = Elf(path)
    block = next(symbol for symbol in elf.symbols if symbol.name == "_SEGGER_RTT")
    with openocd_rtt_server(tmp_path, image_of(elf, board, path).data, block.address, block.size) as port:
        check(f"socket://127.0.0.1:{port}", program)


@pytest.fixture
def simulated() -> None:
    if find_spec("unicorn") is None:
        pytest.skip("unicorn is not installed")


def starter(folder: Path, board: str, elf: Path) -> Path:
    """The simulated STM32 of `board`, which runs `elf`, as a program that talks on stdin and stdout."""
    path = simulated_environment()["PYTHONPATH"]
    start = folder / "start"
    start.write_text(
        f"#!/bin/sh\nPYTHONPATH='{path}' exec '{sys.executable}' -m simulated.stm32_serial {board} {elf}\n"
    )
    start.chmod(0o755)
    return start


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize("name", LINES)
def test_stm32_with_separate_data_registers(name: str, tmp_path: Path) -> None:
    """Clocks, pins and speed as the chip's manual has them, else the simulated chip says nothing."""
    board = load(name)
    program = write_toy(tmp_path, target=Target(board.core, board=name))
    with line(starter(tmp_path, name, build_harness(program, board))) as there:
        check(there.device, program)


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize("name", ["nucleo-l4r5zi", "nucleo-u575zi-q"])
def test_stm32_misses_each_part_of_its_setup(name: str, tmp_path: Path) -> None:
    """The simulated chip notices: without any one write, or at another speed, nothing comes."""
    board = load(name)
    assert board.uart is not None and board.uart.divider is not None
    writes = board.uart.setup
    wrong = [replace(board.uart, setup=writes[:at] + writes[at + 1 :]) for at in range(len(writes))]
    wrong.append(replace(board.uart, divider=board.uart.divider * 33 // 32))
    program = write_toy(tmp_path, target=Target(board.core, board=name))
    for uart in wrong:
        start = starter(tmp_path, name, build_harness(program, replace(board, uart=uart)))
        done = subprocess.run([start], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
        assert (done.returncode, done.stdout) == (1, b"") and done.stderr, uart


@pytest.mark.parametrize("name", ["nrf52840-dk", "microbit-v2", "xiao-nrf52840"])
def test_nrf(name: str, tmp_path: Path) -> None:
    """The board's UART, on an nRF51822, which has the same at the same place, but an older core and less memory."""
    dk = load(name)
    ram = RamRegion(0x2000_0000, 16 << 10, "ram")
    small = replace(dk, core="cortex-m0plus", flash=Memory(0, 256 << 10), ram=(ram,))
    program = write_toy(tmp_path, target=Target("cortex-m0plus", board=dk.key))
    with serial_port("microbit", build_harness(program, small), 0) as device:
        check(device, program)


def test_rp2040(tmp_path: Path) -> None:
    """From the UF2 file, through the boot ROM's part, to every tensor over the UART."""
    board = load("rp2040")
    program = write_toy(tmp_path, target=Target("cortex-m0plus", board="rp2040"))
    with rp2040(build_harness(program, board), board, tmp_path) as device:
        check(device, program)


C6_WATCHDOGS = """
  - id: "lp_wdt"
    type: "declarative"
    base_address: 0x600B1C00
    size: "1KB"
    config: { path: "../own/esp32c6_lp_wdt.yaml" }
"""
CHIPS = {
    "esp32-c3": Chip("esp32c3", "uart0"),
    "esp32-c6": Chip("esp32c6", "uart0", C6_WATCHDOGS),
    "xiao-samd21": Chip("atsamd21g18a", "sercom4"),
    "metro-m4": Chip("atsamd51", "sercom3", core="cortex-m3"),
    "rp2350": Chip("rp2350", "uart0", core="cortex-m3"),
    "nucleo-f103rb": Chip("stm32f103", "uart2"),
    "nucleo-g071rb": Chip("stm32g071", "usart2"),
    "nucleo-u575zi-q": Chip("stm32u575", "usart1", core="cortex-m3"),
    "nucleo-wba52cg": Chip("stm32wba52", "usart1", core="cortex-m3"),
}


@pytest.mark.parametrize("name", CHIPS)
def test_on_labwired(name: str, tmp_path: Path) -> None:
    """From the bytes in flash to every tensor over the serial port, on an emulator of the chip that others write."""
    board = load(name)
    board = replace(board, core=CHIPS[name].core or board.core)
    program = write_toy(tmp_path, target=Target(board.core, board=name))
    with labwired(build_harness(program, board), board, CHIPS[name], tmp_path) as device:
        check(device, program)


@pytest.mark.parametrize(
    ("name", "watchdogs", "super_watchdog", "speed"),
    [
        ("esp32-c3", (0x6001_F048, 0x6000_8090), (0x6000_80AC, 31), (0x6000_0014, 0x6000_0078)),
        ("esp32-c6", (0x6000_8048, 0x600B_1C00), (0x600B_1C1C, 18), (0x6000_0014, 0x6009_6004)),
    ],
)
@pytest.mark.parametrize("cc", ["gcc", "zig"])
def test_esp32_start(
    name: str,
    watchdogs: tuple[int, int],
    super_watchdog: tuple[int, int],
    speed: tuple[int, int],
    cc: str,
    tmp_path: Path,
) -> None:
    """The watchdogs that hardware starts are off, or feed themselves; the speed is right; the ROM finds the program."""
    board = load(name)
    program = write_toy(tmp_path, target=Target(board.core, cc=cc, board=name))
    elf = build_harness(program, board)
    image = image_of(Elf(elf), board, elf)
    assert image.address == 0x4200_0000 and image.data[:8] == bytes.fromhex("1d04dbae") * 2
    sim = boot(elf, board, CHIPS[name], tmp_path).sim()
    sim.write_u32(watchdogs[0] + 0x1C, 0x50D8_3AA1)  # its lock
    for register in watchdogs:
        sim.write_u32(register, 1 << 31)
        assert sim.read_u32(register) >> 31, "it cannot be told whether the program switches it off"
    sim.write_u32(watchdogs[0] + 0x1C, 0)
    sim.run_for("20ms")
    assert sim.read_uart_bytes()[:2] == b"\x7e\x81"
    assert [sim.read_u32(register) >> 31 for register in watchdogs] == [0, 0]
    assert sim.read_u32(super_watchdog[0]) >> super_watchdog[1] & 1
    divider, clock = (sim.read_u32(register) for register in speed)
    assert clock >> 20 & 3 == 3 and clock >> 12 & 0xFF == 0 and clock >> 22 & 1  # the crystal, undivided, on
    assert abs(40e6 / ((divider & 0xFFF) + (divider >> 20) / 16) / 115_200 - 1) < 1e-3


def test_a_board_that_is_too_small(tmp_path: Path) -> None:
    """The linker's word in plain words."""
    nucleo = load("nucleo-f103rb")
    program = write_toy(tmp_path, target=Target("cortex-m3", board=nucleo.key))
    tiny = replace(nucleo, ram=(RamRegion(0x2000_0000, 4 << 10, "ram"),))
    with pytest.raises(ToolError, match=r"^nucleo-f103rb: the model .* need [\d,]+ B more RAM than it has; "):
        build_harness(program, tiny)


def test_boot_checksum(tmp_path: Path) -> None:
    """As the Pico SDK's own tool computes it."""
    tool = tools() / "trixie" / "usr" / "src" / "pico-sdk" / "src" / "rp2040" / "boot_stage2" / "pad_checksum"
    data = bytes(range(252))
    (tmp_path / "in.bin").write_bytes(data)
    subprocess.run([sys.executable, tool, "-s", "0xffffffff", "in.bin", "out.s"], cwd=tmp_path, check=True)
    lines = re.findall(r"\.byte (.*)", (tmp_path / "out.s").read_text())
    whole = bytes(int(byte, 0) for text in lines for byte in text.split(","))
    assert whole == data + boot_checksum(data).to_bytes(4, "little")


def test_rp2350_image(tmp_path: Path) -> None:
    """picotool finds the block that the boot ROM looks for, and what it says."""
    board = load("rp2350")
    elf = build_harness(write_toy(tmp_path, target=Target("cortex-m33", board="rp2350")), board)
    image = image_of(Elf(elf), board, elf)
    assert image.address == board.flash.base
    (tmp_path / "program.bin").write_bytes(image.data)
    words = [*picotool(), "info", "-a", "program.bin"]
    said = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert re.search(r"target chip:\s+RP2350\n", said) and re.search(r"image type:\s+ARM Secure\n", said), said


def test_uf2_as_picotool_writes_it(tmp_path: Path) -> None:
    """Byte for byte, from the ELF and from the binary."""
    board = load("rp2040")
    elf = build_harness(write_toy(tmp_path, target=Target("cortex-m0plus", board="rp2040")), board)
    image = image_of(Elf(elf), board, elf)
    shutil.copy(elf, tmp_path / "program.elf")
    (tmp_path / "program.bin").write_bytes(image.data)
    for name, options in (("program.elf", ()), ("program.bin", ("-o", "0x10000000", "--family", "rp2040"))):
        words = [*picotool(), "uf2", "convert", name, "out.uf2", *options]
        subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
        assert (tmp_path / "out.uf2").read_bytes() == uf2(image.address, image.data, 0xE48BFF56)
