"""The gdb engine: on QEMU's stub, and on a server that does what a board may do."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from fake_gdb import FakeServer, Habits, Stop
from gdb_servers import qemu_stub
from toy_model import toy_reference, toy_samples, write_toy

from driftc.boards.cores import core_names, load_core
from driftc.codegen.errors import ToolError, UsageError
from driftc.simulator.elf import Elf
from driftc.simulator.engine import Program, Target
from driftc.simulator.gdb.engine import EXIT, OPEN, READ, WRITE, GdbEngine
from driftc.simulator.program import build_firmware
from driftc.simulator.toolchain import firmware_compiler

SAMPLES = toy_samples(4)
BUFFER = 0x2000  # where the fake program keeps what it reads and writes
ON_QEMU = [name for name in core_names() if load_core(name).qemu]


def engine(port: int, query: str = "timeout=20") -> GdbEngine:
    return GdbEngine(urlsplit(f"gdb://127.0.0.1:{port}?{query}"))


def toy(folder: Path, core: str = "cortex-m4") -> Program:
    try:
        firmware_compiler(load_core(core))
    except ToolError as error:
        pytest.skip(str(error))
    return write_toy(folder, target=Target(core))


def check(found: GdbEngine, program: Program, *, trace: bool) -> None:
    results = list(found.run(program, SAMPLES, trace=trace))
    for (x,), result in zip(SAMPLES, results, strict=True):
        expected = toy_reference(x)
        np.testing.assert_array_equal(result.outputs[0], expected[2].reshape(1, 4))
        assert sorted(result.tensors) == ([0, 1, 2] if trace else [])
        for index, tensor in result.tensors.items():
            np.testing.assert_array_equal(tensor, expected[index])
        assert trace or result.stack_peak is not None
        assert result.cycles is None  # QEMU counts none, and the fake chip says that it counted none


@pytest.mark.parametrize("core", ON_QEMU)
def test_qemu(tmp_path: Path, core: str) -> None:
    """Twice, one after the other: a server serves more than one connection."""
    program = toy(tmp_path, core)
    with qemu_stub(core) as port:
        check(engine(port), program, trace=True)
        check(engine(port), program, trace=False)


@pytest.mark.parametrize("core", ON_QEMU)
def test_entry(tmp_path: Path, core: str) -> None:
    """Trap j: whoever loads the ELF starts it at its entry, so that this must be what a reset starts."""
    elf = Elf(build_firmware(toy(tmp_path, core), trace=True, defines=["PORT_DEBUGGER"]).elf)
    assert elf.entry & ~1 == elf.address("port_reset")
    if load_core(core).port == "cortex_m":
        assert struct.unpack("<2I", elf.read(elf.address("port_vectors"), 8))[1] & ~1 == elf.address("port_reset")


def test_another_core(tmp_path: Path) -> None:
    program = toy(tmp_path, "cortex-m4")
    with (
        qemu_stub("cortex-m3") as port,
        pytest.raises(ToolError, match="has a cortex-m3, the program is for cortex-m4"),
    ):
        check(engine(port), program, trace=True)
    with qemu_stub("rv32imc") as port, pytest.raises(ToolError, match="the chip is riscv, the program for cortex-m4"):
        check(engine(port), program, trace=True)


def test_what_is_flashed_is_run(tmp_path: Path) -> None:
    """?load=no: after a load it is there; with the other program it is not, and says so."""
    program = toy(tmp_path)
    with qemu_stub("cortex-m4") as port:
        with pytest.raises(ToolError, match="no program of driftc's is flashed, so not toy"):
            check(engine(port, "load=no"), program, trace=True)
        check(engine(port), program, trace=True)
        check(engine(port, "load=no"), program, trace=True)
        with pytest.raises(ToolError, match="toy is flashed, with other options, compiler or version"):
            check(engine(port, "load=no"), program, trace=False)
        other = toy(tmp_path / "other")
        header = other.folder / "simulator" / "model.h"
        header.write_text(header.read_text().replace('MODEL_NAME "toy"', 'MODEL_NAME "puppet"').replace("0x7E", "0x7D"))
        message = r"the model that is flashed is toy \(746f79000102037e\), not toy \(746f79000102037d\)"
        with pytest.raises(ToolError, match=message):
            check(engine(port, "load=no"), other, trace=True)


@pytest.mark.parametrize(
    "url",
    [
        "gdb://", "gdb://host", "gdb://host:x", "gdb://:3333", "gdb://host:70000", "gdb://host:1/path", "gdb://host:1?x=1",
        "gdb://host:1?timeout=-1", "gdb://host:1?timeout=soon", "gdb://host:1?load=maybe", "gdb://host:1?timeout",
    ],
)  # fmt: skip
def test_address(url: str) -> None:
    with pytest.raises(UsageError, match="expected gdb://HOST:PORT"):
        GdbEngine(urlsplit(url))


# --- a board that runs the harness, in Python ---


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack("<8i", kind, 0, 0, 0, 0, 0, 0, len(payload)) + payload


def read(server: FakeServer, size: int) -> Iterator[Stop]:
    yield (READ, BUFFER, size)


def write(server: FakeServer, data: bytes) -> Iterator[Stop]:
    server.memory[BUFFER : BUFFER + len(data)] = data
    yield (WRITE, BUFFER, len(data))


def harness(server: FakeServer) -> Iterator[Stop | bytes]:
    """What firmware/ports/main.c does with the toy, without its hook."""
    yield (OPEN, 0, 0)
    yield from read(server, 4)
    (count,) = struct.unpack_from("<i", server.memory, BUFFER)
    for _ in range(count):
        yield from read(server, 48)
        x = np.frombuffer(bytes(server.memory[BUFFER : BUFFER + 48]), np.int8).reshape(SAMPLES[0][0].shape)
        ticks, peak = struct.pack("<3Q", 0, 0, 0), struct.pack("<I", 40)
        out = frame(-2, ticks) + frame(-3, peak) + frame(-1, toy_reference(x)[2].tobytes())
        yield from write(server, out[:50])
        yield from write(server, out[50:])
    yield (EXIT, 0, 0)


@pytest.mark.parametrize(
    "habits",
    [
        Habits(console=True),
        Habits(acknowledges=False, has_x=True, console=True, notifies=True),
        Habits(packet_size=0x80, reads_at_most=11),
        Habits(fixed={"vCont?": "", "X": "", "Z0": ""}),  # as st-util has it
    ],
    ids=["console", "openocd", "small", "st-util"],
)
def test_board(tmp_path: Path, habits: Habits) -> None:
    """Traps a, c, d, f and h together; and b: it never goes on at the breakpoint, where it would stop again."""
    with FakeServer(habits, harness) as server:
        check(engine(server.port), toy(tmp_path), trace=False)
        assert server.stops_again == 0
        assert not any(packet.startswith("vCont;") for packet in server.packets)
        assert server.packets.count("c") == 1 + 1 + 3 * len(SAMPLES) + 1


def test_a_server_that_steps_over_nothing(tmp_path: Path) -> None:
    """The fake server shows trap b where it is: without a new pc it stops again and again."""
    with FakeServer(Habits(fixed={"Pf=": "OK"}), harness) as server, pytest.raises(ToolError, match="was reset"):
        check(engine(server.port), toy(tmp_path), trace=False)
    assert server.stops_again == 1


def resets(server: FakeServer) -> Iterator[Stop | bytes]:
    yield (OPEN, 0, 0)
    yield from read(server, 4)
    yield (OPEN, 0, 0)


def fails(server: FakeServer) -> Iterator[Stop | bytes]:
    yield (OPEN, 0, 0)
    yield (EXIT, 99, 0)


def nonsense(server: FakeServer) -> Iterator[Stop | bytes]:
    yield (OPEN, 0, 0)
    yield (WRITE, BUFFER, 1 << 30)


def garbage(server: FakeServer) -> Iterator[Stop | bytes]:
    yield (OPEN, 0, 0)
    yield from write(server, b"\xaa" * 64)


def too_few(server: FakeServer) -> Iterator[Stop | bytes]:
    yield (OPEN, 0, 0)
    yield (EXIT, 0, 0)


def stranger(server: FakeServer) -> Iterator[Stop | bytes]:
    yield (READ, BUFFER, 4)


def ends(server: FakeServer) -> Iterator[Stop | bytes]:
    yield b"W00"


def halts_elsewhere(server: FakeServer) -> Iterator[Stop | bytes]:
    yield (OPEN, 0, 0)
    server.registers[15] = 0
    yield b"T0bthread:01;"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (resets, "the board was reset within sample 0"),
        (fails, "ended with status 99: a fault of the processor"),
        (nonsense, r"makes no sense \(operation 2, 1073741824 bytes\)"),
        (garbage, "results make no sense"),
        (too_few, "0 results for 4 samples"),
        (stranger, "makes no sense"),
        (ends, "stopped with 'W00'"),
        (halts_elsewhere, "with signal 0b"),
    ],
)
def test_board_that_fails(tmp_path: Path, program: object, message: str) -> None:
    with FakeServer(Habits(), program) as server, pytest.raises(ToolError, match=message):  # type: ignore[arg-type]
        check(engine(server.port), toy(tmp_path), trace=False)


def test_board_that_does_not_answer(tmp_path: Path) -> None:
    """Within the stated time, and one more try to halt it."""
    with FakeServer(Habits(silent_at="c"), harness) as server:
        program = toy(tmp_path)
        build_firmware(program, trace=False, defines=["PORT_DEBUGGER", "PORT_CYCLES"])
        started = time.monotonic()
        with pytest.raises(ToolError, match=r"ran 0.5 s without a word, and the server no longer answers; .*timeout="):
            check(engine(server.port, "timeout=0.5"), program, trace=False)
        assert time.monotonic() - started < 8


@pytest.mark.parametrize("at", ["?", "qRcmd", "Z1", "c", "M2000"])
def test_server_that_closes(tmp_path: Path, at: str) -> None:
    with FakeServer(Habits(closes_at=at), harness) as server, pytest.raises(ToolError, match="closed the connection"):
        check(engine(server.port), toy(tmp_path), trace=False)


def test_server_that_cannot_reset(tmp_path: Path) -> None:
    fixed = {"qRcmd": "E01"}
    with FakeServer(Habits(fixed=fixed), harness) as server, pytest.raises(ToolError, match="the chip cannot be reset"):
        check(engine(server.port), toy(tmp_path), trace=False)
