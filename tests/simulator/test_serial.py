"""The serial engine: the harness on a pty, with a bad line, and boards that misbehave; then on QEMU's machines."""

from __future__ import annotations

import random
import shutil
import socket
import time
import zlib
from collections.abc import Generator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import driftc, driftc_json
from serial_boards import Change, Line, emulated, harness, line
from streams import compiled, streaming
from toy_model import SOURCE, toy_reference, toy_samples, write_toy

from driftc.boards.cores import load_core
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import ToolError, UsageError
from driftc.simulator.engine import Program, Sample, Target
from driftc.simulator.hardware import hardware
from driftc.simulator.host import HostEngine
from driftc.simulator.program import build_firmware
from driftc.simulator.serial_engine import SerialEngine
from driftc.simulator.serial_link import DATA, PAYLOAD, STRANGER, Packet, Unpacker, pack

SAMPLES = toy_samples(3)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Program:
    pytest.importorskip("serial")
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def board(toy: Program) -> Path:
    return harness(toy)


def check(results: list[Sample], *, traced: bool) -> None:
    for (x,), result in zip(SAMPLES, results, strict=True):
        expected = toy_reference(x)
        np.testing.assert_array_equal(result.outputs[0], expected[2].reshape(1, 4))
        assert sorted(result.tensors) == ([0, 1, 2] if traced else [])
        for index, tensor in result.tensors.items():
            np.testing.assert_array_equal(tensor, expected[index])


def run(device: str, program: Program, *, trace: bool = True, timeout: float = 5) -> list[Sample]:
    return list(SerialEngine(device, timeout=timeout).run(program, SAMPLES, trace=trace))


def test_every_tensor_and_session_after_session(toy: Program, board: Path) -> None:
    with line(board) as there:
        check(run(there.device, toy), traced=True)
        check(run(there.device, toy, trace=False), traced=False)
        begun = SerialEngine(there.device).run(toy, SAMPLES, trace=True)
        next(begun)
        assert isinstance(begun, Generator)
        begun.close()  # within a session: the next one starts the program anew
        check(run(there.device, toy), traced=True)


def damage(seed: int, share: float, kind: str) -> Change:
    """Of the bytes, changes, loses or adds `share`."""
    chance = random.Random(seed)

    def change(data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            if chance.random() >= share:
                out.append(byte)
            elif kind == "changed":
                out.append(byte ^ 1 << chance.randrange(8))
            elif kind == "added":
                out += bytes([byte, chance.choice([0x7E, chance.randrange(256)])])
        return bytes(out)

    return change


@pytest.mark.parametrize("kind", ["changed", "lost", "added"])
def test_a_bad_line_costs_time_alone(toy: Program, board: Path, kind: str) -> None:
    with line(board, damage(1, 0.001, kind), damage(2, 0.003, kind)) as there:
        check(run(there.device, toy, timeout=30), traced=True)


def test_a_reset_is_said(toy: Program, board: Path) -> None:
    with line(board) as there:
        results = SerialEngine(there.device, timeout=5).run(toy, SAMPLES, trace=True)
        next(results)
        there.start_board()
        with pytest.raises(ToolError, match="reset while it ran"):
            next(results)


def test_another_model_is_said_by_name(toy: Program, board: Path, tmp_path: Path) -> None:
    other = write_toy(tmp_path)
    header = tmp_path / "simulator" / "model.h"
    header.write_text(header.read_text().replace('"toy"', '"cat"'))
    with line(harness(other)) as there, pytest.raises(ToolError, match="runs the model 'cat', not 'toy'"):
        run(there.device, toy)
    header.write_text(header.read_text().replace('"cat"', '"toy"').replace("0x7E\n", "0x11\n"))
    with (
        line(harness(other)) as there,
        pytest.raises(ToolError, match="746f790001020311, the folder is 746f79000102037e"),
    ):
        run(there.device, toy)


def test_without_the_hook_only_outputs(toy: Program, tmp_path: Path) -> None:
    plain = write_toy(tmp_path)
    with line(harness(plain, "-UMODEL_HOOK")) as there:
        check(run(there.device, toy, trace=False), traced=False)
        with pytest.raises(ToolError, match="cannot show its layers"):
            run(there.device, toy)


def test_the_status_of_a_program_that_ends(toy: Program, tmp_path: Path) -> None:
    refusing = write_toy(tmp_path, source=SOURCE.replace("    memset(toy, 0,", "    return 1;\n    memset(toy, 0,"))
    with line(harness(refusing)) as there, pytest.raises(ToolError, match="status 5: NAME_init refused its memory"):
        run(there.device, toy)


def test_a_port_that_is_not_there(toy: Program) -> None:
    with pytest.raises(ToolError, match=r"^/dev/ttyNOWHERE: there is no such port$"):
        run("/dev/ttyNOWHERE", toy)


def test_a_busy_port(toy: Program, board: Path) -> None:
    import serial

    with line(board) as there, serial.Serial(there.device, exclusive=True), pytest.raises(ToolError, match="is busy"):
        run(there.device, toy)


def test_what_is_no_serial_port(toy: Program, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolError, match="file: is no serial port"):
        run(str(tmp_path / "file"), toy)


@pytest.mark.parametrize("timeout", [0.4, 1])
def test_a_board_that_does_not_answer(toy: Program, timeout: float) -> None:
    with line(None) as there:
        started = time.monotonic()
        with pytest.raises(ToolError, match=f"does not answer within {timeout:g} s"):
            run(there.device, toy, timeout=timeout)
        assert time.monotonic() - started < timeout + 1


def test_a_board_that_answers_garbage(toy: Program) -> None:
    with line(None) as there:
        there._there = lambda data: there.say(b"Hello, world!\r\n") or b""  # type: ignore[func-returns-value]
        with pytest.raises(ToolError, match=r"bytes that make no sense \(48 65 6c .*another program is flashed"):
            run(there.device, toy, timeout=1)


def test_a_board_that_falls_silent(toy: Program, board: Path) -> None:
    with line(board) as there:
        results = SerialEngine(there.device, timeout=1).run(toy, SAMPLES, trace=True)
        next(results)
        there._back = lambda data: b""
        started = time.monotonic()
        with pytest.raises(ToolError, match="does not answer within 1 s"):
            next(results)
        assert time.monotonic() - started < 2


def test_a_line_that_is_pulled_out(toy: Program, board: Path) -> None:
    there = Line(board)
    results = SerialEngine(there.device, timeout=2).run(toy, SAMPLES, trace=True)
    next(results)
    there.close()
    with pytest.raises(ToolError, match=r"the port has gone|does not answer"):
        next(results)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("usb://1", "no such kind of address; driftc has .*serial://"),
        ("serial://", "names no port"),
        ("serial:///dev/ttyS0?speed=9600", "'speed' is unknown; there is baud, timeout"),
        ("serial:///dev/ttyS0?baud=fast", "baud must be a number above 0"),
        ("serial:///dev/ttyS0?baud=0.5", "baud must be a whole number"),
        ("rtt://localhost", "expected rtt://HOST:PORT"),
        ("rtt://localhost:90000", "expected rtt://HOST:PORT"),
        ("rtt://localhost:9090?baud=9600", "'baud' is unknown; there is timeout"),
        ("gdb://[::1:3333", "is no address: Invalid IPv6 URL"),
        ("serial:///dev/ttyS0?timeout=-1", "timeout must be a number above 0"),
    ],
)
def test_addresses_that_make_no_sense(address: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        hardware(address)


def test_rtt_is_named_as_it_was_given(toy: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"rtt://127.0.0.1:{server.getsockname()[1]}?timeout=1"
        with pytest.raises(ToolError, match=r"^rtt://127\.0\.0\.1:\d+: the board does not answer within 1 s"):
            list(hardware(address).run(toy, SAMPLES, trace=True))
    with pytest.raises(ToolError, match=r"^rtt://127\.0\.0\.1:\d+: nothing listens there"):
        list(hardware(address).run(toy, SAMPLES, trace=True))


def test_the_command_over_a_line(kws: Path, tmp_path: Path) -> None:
    """A whole model, as users meet it: verified, simulated, refused where another is flashed."""
    pytest.importorskip("serial")
    shutil.copytree(kws / "kws", tmp_path / "kws")
    program = replace(Compiled.load(kws / "kws").program(), folder=tmp_path / "kws")
    with line(harness(program)) as there:
        address = f"serial://{there.device}?timeout=20"
        found = driftc_json("verify", "kws", "--random", "1", "--on", address, cwd=kws)
        assert found["bit_exact"] and "serial" in found["engines"] and "host" not in found["engines"]
        simulated = driftc_json("simulate", "kws", "--random", "2", "--on", address, cwd=kws)
        assert simulated["engine"] == "serial" and simulated["samples"] == 5
        options = ("--no-measure", "--planner", "greedy", "--name", "kws_2", "-o", "kws_2")
        driftc("compile", kws / "kws.tflite", *options, cwd=tmp_path)
        done = driftc("verify", "kws_2", "--on", address, cwd=tmp_path, code=2)
        assert "the board runs the model 'kws', not 'kws_2'" in done.stderr
        done = driftc("simulate", "kws", "--on", address, "--engine", "host", cwd=kws, code=2)
        assert "runs one engine" in done.stderr


def test_a_model_with_state_keeps_it(tmp_path: Path) -> None:
    pytest.importorskip("serial")
    made = compiled(streaming(), tmp_path)  # its folder goes with it
    program = made.program()
    random = np.random.default_rng(4)
    samples = [(random.integers(-128, 128, (1, 1, 1, 6), dtype=np.int8),) for _ in range(6)]
    with line(harness(program)) as there:
        for _ in range(2):  # the second session begins anew
            found = list(SerialEngine(there.device).run(program, samples, trace=True, starts=(0, 4)))
            expected = list(HostEngine().run(program, samples, trace=True, starts=(0, 4)))
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_array_equal(a.outputs[0], b.outputs[0])
                assert a.state == b.state


def test_packets_among_anything() -> None:
    packets = [Packet(DATA, number, bytes(range(number))) for number in (0, 1, 7, 255)]
    packets.append(Packet(DATA, 9, b"\x7e" * PAYLOAD))
    noise = [b"", b"\x7e", b"\x7e\x83", b"~~~~~~~", bytes(30), pack(DATA, 1, b"cut short")[:-3]]
    for between in noise:
        stream = (
            between + between.join(pack(p.kind, p.number, p.payload) for p in packets) + pack(STRANGER) + bytes(600)
        )
        for step in (1, 13, len(stream)):
            unpacker = Unpacker()
            found = [p for at in range(0, len(stream), step) for p in unpacker.feed(stream[at : at + step])]
            assert found == [*packets, Packet(STRANGER, 0, b"")]


def test_the_checksum_is_zlibs() -> None:
    assert pack(DATA, 3, b"abc")[-4:] == zlib.crc32(pack(DATA, 3, b"abc")[:-4]).to_bytes(4, "little")


def on_qemu(program: Program) -> AbstractContextManager[str]:
    core = load_core(program.target.core)
    assert core.qemu is not None
    try:
        elf = build_firmware(program, trace=False, line=core.qemu.uart).elf
    except ToolError as error:
        pytest.skip(str(error))
    return emulated(elf, core)


@pytest.mark.parametrize(
    "core", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "rv32imc"]
)
def test_emulated_uart(tmp_path: Path, core: str) -> None:
    """The same sources for bare metal, on the UART of QEMU's machine: shown, measured, and through a reset."""
    pytest.importorskip("serial")
    program = write_toy(tmp_path, target=Target(core))
    with on_qemu(program) as device:
        check(run(device, program), traced=True)
        results = run(device, program, trace=False)
        check(results, traced=False)
    for result in results:
        counts = result.cycles if core.startswith("cortex") else result.instructions
        assert counts is not None and min(counts) > 10
        assert result.stack_peak is not None and result.stack_peak > 0


def test_a_fault_of_the_processor(tmp_path: Path) -> None:
    pytest.importorskip("serial")
    source = SOURCE.replace("    int32_t sums[4];", "    *(volatile int *)0xF0000000u = 1;\n    int32_t sums[4];")
    program = write_toy(tmp_path, source=source, target=Target("cortex-m4"))
    with on_qemu(program) as device:
        for _ in range(2):  # and it can be asked again
            with pytest.raises(ToolError, match="status 99: a fault of the processor"):
                run(device, program)
