"""firmware/ports/mlperf.c speaks to the letter what the runner of mlcommons/tiny expects: as raw bytes, row by row."""

from __future__ import annotations

import os
import re
import select
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from gdb_servers import simulated_environment
from mlperf_devices import device, reference
from rp2040 import rp2040
from serial_boards import emulated, line, serial_port

from driftc.boards import load
from driftc.boards.cores import load_core
from driftc.codegen.errors import ToolError, UsageError
from driftc.simulator.engine import Target
from driftc.simulator.mlperf.benchmarks import benchmark
from driftc.simulator.mlperf.client import Client, Inference
from driftc.simulator.mlperf.device import board_device, host_device

PROFILE = b"m-profile-[ULPMark for tinyML Firmware V0.0.1]\r\n"
RESULTS = rb"m-results-\[\d\.\d{3}(,\d\.\d{3}){11}\]\r\n"
LAP = rb"m-lap-us-\d+\r\n"


class Wire:
    """The raw line."""

    def __init__(self, port: str) -> None:
        import serial

        self._serial = serial.Serial(port, 115200, timeout=5)

    def until_ready(self) -> bytes:
        """What comes up to m-ready, without it."""
        said = self._serial.read_until(b"m-ready\r\n")
        assert said.endswith(b"m-ready\r\n"), said
        return bytes(said.removesuffix(b"m-ready\r\n"))

    def ask(self, command: str) -> bytes:
        self._serial.write(f"{command}%".encode())
        return self.until_ready()

    def close(self) -> None:
        self._serial.close()


@contextmanager
def heard(port: str, boot: bytes) -> Iterator[Wire]:
    """The line, once the device has said `boot`, a pattern: pyserial drops what was said before it opens a port."""
    line = os.open(port, os.O_RDWR | os.O_NOCTTY)
    said = b""
    while not said.endswith(b"m-ready\r\n") and select.select([line], [], [], 10)[0]:
        said += os.read(line, 100)
    assert re.fullmatch(boot, said), said
    made = Wire(port)
    yield made
    made.close()
    os.close(line)


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    boot = rb"m-timestamp-mode-performance\r\n" + LAP + rb"m-init-done\r\nm-ready\r\n"
    with device("kws01") as port, heard(port, boot) as made:
        yield made


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("name", rb"m-name-dut-\[driftc\]\r\n"),
        ("timestamp", LAP),
        ("profile", re.escape(PROFILE) + rb"m-model-\[kws01\]\r\n"),
        ("db load 490", rb"m-\[Expecting 490 bytes\]\r\n"),
        ("db load 0", rb"e-\[Command 'db load' must be >0 bytes\]\r\n"),
        ("db load", rb"e-\[Command 'db load' requires the # of bytes\]\r\n"),
        ("db load 491", rb"e-\[Supplied buffer size 491 exceeds maximum of kws01's input\]\r\n"),
        ("db", rb"e-\[Command 'db' requires a subcommand\]\r\n"),
        ("db abc", rb"e-\[Insufficent number of hex digits\]\r\n"),
        ("db 0x", rb"e-\[Invalid hex digit '0x'\]\r\n"),
        ("results", RESULTS),
        ("infer 0 1", rb"e-\[Inference iterations must be >0\]\r\n"),
        ("infer -3", rb"e-\[Inference iterations must be >0\]\r\n"),
        ("infer 1 -1", rb"e-\[Inference warmup must be >=0\]\r\n"),
        ("nonsense 1 2", rb"e-\[Unknown command: nonsense\]\r\n"),
        ("", rb"e-\[Unknown command: \]\r\n"),
        ("x" * 81, rb"e-\[Command is too long\]\r\n"),
        ("\r\nname\r\n", rb"m-name-dut-\[driftc\]\r\n"),
    ],
)
def test_a_command(wire: Wire, command: str, reply: bytes) -> None:
    wire.ask("db load 490")
    said = wire.ask(command)
    assert re.fullmatch(reply, said), said


@pytest.mark.parametrize(
    ("command", "count", "warmups"), [("infer 3 2", 3, 2), ("infer 1 0", 1, 0), ("infer 2", 2, 10)]
)
def test_infer(wire: Wire, command: str, count: int, warmups: int) -> None:
    said = wire.ask(command)
    before = f"m-warmup-start-{warmups}\r\nm-warmup-done\r\nm-infer-start-{count}\r\n".encode()
    assert re.fullmatch(re.escape(before) + LAP + LAP + rb"m-infer-done\r\n" + RESULTS, said), said
    first, last = (int(lap) for lap in re.findall(rb"m-lap-us-(\d+)", said))
    assert first < last
    assert wire.ask("results") == said[said.index(b"m-results") :]


def test_the_buffer_fills_and_is_printed(wire: Wire) -> None:
    assert wire.ask("db load 20") == b"m-[Expecting 20 bytes]\r\n"
    assert wire.ask("db 000102030405060708090A0b0c0d0e") == b""
    assert wire.ask("db 0f101112") == b""
    assert wire.ask("db 13ffff") == b"m-load-done\r\n"  # digits behind the last byte are ignored
    assert wire.ask("db 55") == b""
    assert wire.ask("db print") == (
        b"m-buffer-00-01-02-03-04-05-06-07\r\nm-buffer-08-09-0a-0b-0c-0d-0e-0f\r\nm-buffer-10-11-12-13\r\n"
    )


def test_a_command_of_eighty_bytes(wire: Wire) -> None:
    """The longest that there is: 38 bytes of hexadecimal digits."""
    wire.ask("db load 38")
    command = "db " + "5a" * 38
    assert len(command) + 1 == 80
    assert wire.ask(command) == b"m-load-done\r\n"


@pytest.mark.parametrize("core", ["cortex-m4", "rv32imc"])
def test_on_the_uart_of_an_emulated_board(core: str) -> None:
    """The same C for bare metal."""
    pytest.importorskip("serial")
    program, chosen = reference("kws01").program(Target(core)), benchmark("kws01")
    try:
        elf = board_device(program, chosen).elf
    except ToolError as error:
        pytest.skip(str(error))
    check_board(emulated(elf, load_core(core)))


def test_on_an_emulated_rp2040(tmp_path: Path) -> None:
    """What `--firmware` makes, from the boot block on; the Pico W's program is the same. Its time is of 12 MHz."""
    pytest.importorskip("serial")
    made = []
    for name in ("rp2040", "pico-w"):
        program = reference("kws01").program(Target("cortex-m0plus", board=name))
        try:
            made.append(board_device(program, benchmark("kws01"), load(name)))
        except ToolError as error:
            pytest.skip(str(error))
        assert made[-1].where == load(name).name
    assert made[0].elf.read_bytes() == made[1].elf.read_bytes()
    check_board(rp2040(made[0].elf, load("rp2040"), tmp_path), more=(2, 0))


def test_on_a_board() -> None:
    """What `--firmware` makes for nucleo-f446re, on an STM32F405, which has the same serial port."""
    pytest.importorskip("serial")
    program = reference("kws01").program(Target("cortex-m4", board="nucleo-f446re"))
    try:
        made = board_device(program, benchmark("kws01"), load("nucleo-f446re"))
    except ToolError as error:
        pytest.skip(str(error))
    assert made.where == "ST NUCLEO-F446RE"
    check_board(serial_port("netduinoplus2", made.elf, 1))


def check_board(board: AbstractContextManager[str], more: tuple[int, int] = (4, 1)) -> None:
    """The answers are those of the same C on this machine, and time passes; `more` inferences after one."""
    sample = bytes(range(245)) * 2
    with device("kws01") as port, Client(port, 115200) as client:
        client.start()
        client.load(sample)
        expected = client.infer(1, 0).results
    with board as port, Client(port, 115200) as client:
        assert client.start() == ("driftc", "kws01")
        client.load(sample)
        one, several = client.infer(1, 0, 60), client.infer(*more, 120)
        assert one.results == several.results == expected
        assert one.seconds is not None and several.seconds is not None
        assert 0.75 * more[0] < several.seconds / one.seconds < 1.25 * more[0]


def test_energy_mode(tmp_path: Path) -> None:
    """A time stamp is an edge of the pin, and nothing on the line; all else is as it was."""
    pytest.importorskip("serial")
    boot = rb"m-timestamp-mode-energy\r\nm-init-done\r\nm-ready\r\n"
    edges = tmp_path / "edges"
    program, chosen = reference("kws01").program(), benchmark("kws01")
    with (
        edges.open("wb") as pin,
        host_device(program, chosen, energy=True, pin=pin.fileno()) as (port, _),
        heard(port, boot) as wire,
    ):
        assert wire.ask("timestamp") == b""
        wire.ask("db load 490")
        said = wire.ask("infer 3 2")
        before = rb"m-warmup-start-2\r\nm-warmup-done\r\nm-infer-start-3\r\nm-infer-done\r\n"
        assert re.fullmatch(before + RESULTS, said), said
    assert re.fullmatch(r"(time stamp: the pin is low at \d+ us\n){4}", edges.read_text())


SAMPLE = bytes(range(245)) * 2


def energetic(board: str) -> Path:
    """What `--firmware --energy` makes for it."""
    facts = load(board)
    try:
        made = board_device(
            reference("kws01").program(Target(facts.core, board=board)), benchmark("kws01"), facts, energy=True
        )
    except ToolError as error:
        pytest.skip(str(error))
    assert facts.pin is not None
    assert made.where == f"{facts.name}, 9600 baud, time stamps at {facts.pin.name}"
    return made.elf


def check_edges(port: str, edges: Path, count: int) -> None:
    """No times on the line; the pin goes low at the start, and before and after the inferences."""
    with device("kws01") as other, Client(other, 115200) as client:
        client.start()
        client.load(SAMPLE)
        expected = client.infer(1, 0).results
    with Client(port, 9600) as client:
        assert client.start() == ("driftc", "kws01")
        client.load(SAMPLE)
        assert client.infer(count, 0, 120) == Inference(expected, None)
        assert client.command("timestamp") == []
        client.command("name")
    assert edges.read_text() == "low\n" * 4


def test_energy_mode_on_an_emulated_rp2040(tmp_path: Path) -> None:
    pytest.importorskip("serial")
    with rp2040(energetic("rp2040"), load("rp2040"), tmp_path) as port:
        check_edges(port, tmp_path / "ready.edges", 2)


def test_energy_mode_on_the_reference_platform(tmp_path: Path) -> None:
    """A simulated STM32L4R5, which has the pin's clock and mode, and the speed, or says nothing."""
    for package in ("serial", "unicorn"):
        pytest.importorskip(package)
    start, edges = tmp_path / "start", tmp_path / "edges"
    command = f"{sys.executable} -m simulated.stm32_serial nucleo-l4r5zi {energetic('nucleo-l4r5zi')} 9600 {edges}"
    start.write_text(f"#!/bin/sh\nPYTHONPATH='{simulated_environment()['PYTHONPATH']}' exec {command}\n")
    start.chmod(0o755)
    with line(start) as there:
        check_edges(there.device, edges, 1)


def test_energy_mode_needs_a_pin() -> None:
    program = reference("kws01").program(Target("cortex-m4"))
    with pytest.raises(UsageError, match=r"--energy marks time with a pin, .*: --board b-u585i-iot02a, nucleo-f091rc"):
        board_device(program, benchmark("kws01"), energy=True)
