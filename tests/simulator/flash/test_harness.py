"""What `driftc flash` puts on a board, run by emulators that have the board's serial port."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exported import tools
from serial_boards import line, serial_port
from toy_model import toy_reference, toy_samples, write_toy

from driftc.boards import Memory, RamRegion, load
from driftc.simulator.elf import Elf
from driftc.simulator.engine import Program, Target
from driftc.simulator.flash.image import image_of
from driftc.simulator.flash.uf2 import uf2
from driftc.simulator.program import boot_checksum, build_harness
from driftc.simulator.serial_engine import SerialEngine

RP2040 = Path(__file__).resolve().parents[2] / "support" / "platforms" / "rp2040"
SAMPLES = toy_samples(3)


def check(device: str, program: Program) -> None:
    """Both kinds of run, one after the other, over the serial port."""
    for trace in (True, False):
        results = SerialEngine(device, timeout=20).run(program, SAMPLES, trace=trace)
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


def test_nrf(tmp_path: Path) -> None:
    """nrf52840-dk's UART, on an nRF51822, which has the same at the same place, but an older core and less memory."""
    dk = load("nrf52840-dk")
    ram = RamRegion(0x2000_0000, 16 << 10, "ram")
    small = replace(dk, core="cortex-m0plus", flash=Memory(0, 256 << 10), ram=(ram,))
    program = write_toy(tmp_path, target=Target("cortex-m0plus", board=dk.key))
    with serial_port("microbit", build_harness(program, small), 0) as device:
        check(device, program)


def test_rp2040(tmp_path: Path) -> None:
    """From the UF2 file, through the boot ROM's part, to every tensor over the UART."""
    if shutil.which("node") is None:
        pytest.skip("node is absent; .ci/tools installs it")
    modules = tools() / "node" / "node_modules"
    board = load("rp2040")
    program = write_toy(tmp_path, target=Target("cortex-m0plus", board="rp2040"))
    elf = build_harness(program, board)
    image = image_of(Elf(elf), board, elf)
    assert image.address == board.flash.base
    (tmp_path / "program.uf2").write_bytes(uf2(image.address, image.data, 0xE48BFF56))
    start, ready = tmp_path / "start", tmp_path / "ready"
    start.write_text(f"#!/bin/sh\nexec node {RP2040}/serial.cjs {modules} {tmp_path}/program.uf2 {ready}\n")
    start.chmod(0o755)
    with line(start) as there:
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert time.monotonic() < deadline, "the program says nothing"
            time.sleep(0.05)
        check(there.device, program)


def test_boot_checksum(tmp_path: Path) -> None:
    """As the Pico SDK's own tool computes it."""
    tool = tools() / "trixie" / "usr" / "src" / "pico-sdk" / "src" / "rp2040" / "boot_stage2" / "pad_checksum"
    data = bytes(range(252))
    (tmp_path / "in.bin").write_bytes(data)
    subprocess.run([sys.executable, tool, "-s", "0xffffffff", "in.bin", "out.s"], cwd=tmp_path, check=True)
    lines = re.findall(r"\.byte (.*)", (tmp_path / "out.s").read_text())
    whole = bytes(int(byte, 0) for text in lines for byte in text.split(","))
    assert whole == data + boot_checksum(data).to_bytes(4, "little")


def test_uf2_as_picotool_writes_it(tmp_path: Path) -> None:
    """Byte for byte, from the ELF and from the binary. Its own release's libraries come with it."""
    root = tools() / "trixie" / "usr"
    if not (root / "bin" / "picotool").is_file():
        pytest.skip("picotool is absent; .ci/tools installs it")
    libraries = root / "lib" / "x86_64-linux-gnu"
    picotool = [libraries / "ld-linux-x86-64.so.2", "--library-path", libraries, root / "bin" / "picotool"]
    board = load("rp2040")
    elf = build_harness(write_toy(tmp_path, target=Target("cortex-m0plus", board="rp2040")), board)
    image = image_of(Elf(elf), board, elf)
    shutil.copy(elf, tmp_path / "program.elf")
    (tmp_path / "program.bin").write_bytes(image.data)
    for name, options in (("program.elf", ()), ("program.bin", ("-o", "0x10000000", "--family", "rp2040"))):
        words = [*picotool, "uf2", "convert", name, "out.uf2", *options]
        subprocess.run(list(map(str, words)), cwd=tmp_path, check=True, capture_output=True)
        assert (tmp_path / "out.uf2").read_bytes() == uf2(image.address, image.data, 0xE48BFF56)
