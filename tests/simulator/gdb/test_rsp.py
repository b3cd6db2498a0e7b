"""The client of the GDB remote protocol against servers with the habits of the real ones."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from fake_gdb import FakeServer, Habits, raw_server
from hypothesis import given, settings
from hypothesis import strategies as st

from driftc.codegen.errors import ToolError
from driftc.simulator.gdb import rsp
from driftc.simulator.gdb.rsp import RspClient

PATTERN = bytes(range(256)) * 8 + b"#$}*" * 200


@contextmanager
def connected(habits: Habits) -> Iterator[tuple[FakeServer, RspClient]]:
    with FakeServer(habits) as server, closing(RspClient("127.0.0.1", server.port)) as client:
        yield server, client


@pytest.mark.parametrize(
    "habits",
    [
        Habits(),
        Habits(has_x=True),
        Habits(acknowledges=False, has_x=True),
        Habits(packet_size=0x80),
        Habits(packet_size=0x80, has_x=True),
        Habits(reads_at_most=7),
        Habits(region=0x2000),
        Habits(notifies=True),
        Habits(runs=True),
        Habits(damages=2),
        Habits(asks_again=3),
        Habits(console=True, packet_size=0x3FFF),
    ],
    ids=lambda habits: ",".join(f"{k}={v}" for k, v in vars(habits).items() if v != getattr(Habits(), k)) or "plain",
)
def test_memory_comes_back_as_written(habits: Habits) -> None:
    with connected(habits) as (server, client):
        client.write(0x1C00, PATTERN)
        assert server.memory[0x1C00 : 0x1C00 + len(PATTERN)] == PATTERN
        assert client.read(0x1C00, len(PATTERN)) == PATTERN


def test_console_packets_are_not_answers() -> None:
    """Trap a: the client would be off by one for ever."""
    with connected(Habits(console=True)) as (_, client):
        assert client.monitor("reset halt") == "halted due to debug-request\n"
        assert client.read(0, 4) == bytes(4)
        assert client.monitor("reset halt") == "halted due to debug-request\n"


@pytest.mark.parametrize(
    ("said", "found"),
    [("Resetting target\n", "Resetting target\n"), ("Error: no such command\n", None), ("Transfer failed: x\n", None)],
)
def test_what_a_command_prints_may_be_the_answer(said: str, found: str | None) -> None:
    with connected(Habits(prints_in_answer=said)) as (_, client):
        assert client.monitor("reset halt") == found


def test_ok_is_no_console_packet() -> None:
    with connected(Habits()) as (_, client):
        assert client.ask(b"P0=01000000") == b"OK"


def test_x_only_where_the_server_has_it() -> None:
    """Trap h: QEMU 7.2 and st-util have M alone."""
    with connected(Habits()) as (server, client):
        client.write(0, PATTERN)
        client.write(0, PATTERN)
        assert [packet[0] for packet in server.packets].count("X") == 1  # asked once
        assert any(packet.startswith("M") for packet in server.packets)
    with connected(Habits(has_x=True)) as (server, client):
        client.write(0, PATTERN)
        assert not any(packet.startswith("M") for packet in server.packets)


def test_what_was_acknowledged_is_read_back() -> None:
    """Trap i: OpenOCD says OK before it has written."""
    with (
        connected(Habits(has_x=True, forgets_x=True)) as (_, client),
        pytest.raises(ToolError, match="do not read back"),
    ):
        client.write(0, b"abc")


@pytest.mark.parametrize("size", [0x80, 0x800, 0x1000, 0x3FFF, 0x4000])
def test_packets_keep_to_the_servers_size(size: int) -> None:
    """Trap f; and e: a server that answers every 100 ms is asked as rarely as its packets allow."""
    with connected(Habits(packet_size=size, has_x=True)) as (server, client):
        client.write(0, b"}" * 5000)  # escaped, twice as long
        before = len(server.packets)
        client.read(0, 20_000)
        reads = len(server.packets) - before
        assert max(len(packet) for packet in server.packets) <= size
        assert reads <= -(-20_000 // min((size - 16) // 2, 0x1000))


def test_breakpoint_in_software_where_there_is_none_in_hardware() -> None:
    with connected(Habits(no_z1=True)) as (server, client):
        client.set_breakpoint(0x100, 2)
        assert server.packets[-2:] == ["Z1,100,2", "Z0,100,2"]
    with connected(Habits(fixed={"Z": ""})) as (_, client), pytest.raises(ToolError, match="no breakpoint can be set"):
        client.set_breakpoint(0x100, 2)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 200))
def test_escapes(data: bytes, room: int) -> None:
    part, body = rsp._escaped(data, max(2, room))
    assert len(body) <= max(2, room) and (part > 0 or not data)
    assert rsp._expanded(body) == data[:part]


# --- what can go wrong ---


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ToolError, match=rf"127.0.0.1:{port}: no GDB server answers there \(Connection refused\)"):
        RspClient("127.0.0.1", port)


def test_another_debugger_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is accepted by the system, and nobody reads."""
    monkeypatch.setattr(rsp, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(RspClient.ask, "__defaults__", (0.3,))
    with socket.create_server(("127.0.0.1", 0)) as busy:
        started = time.monotonic()
        with pytest.raises(
            ToolError, match=r"waited 0.3 s for the answer to 'qSupported.*is another debugger connected"
        ):
            RspClient("127.0.0.1", busy.getsockname()[1])
        assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"", "the GDB server closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4000, "is no GDB server"),
        (b"$" + b"x" * 400_000, "a packet without an end"),
        (b"+$OK#00" * 8, "wrong checksum"),
        (b"-" * 50, "arrived damaged 4 times"),
        (b"+$PacketSize=10#91", "PacketSize of 16 is too small"),
    ],
)
def test_what_is_no_gdb_server(said: bytes, message: str) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(said)
        if not said:
            return
        while connection.recv(4096):
            continue

    with raw_server(answer) as port, pytest.raises(ToolError, match=message):
        RspClient("127.0.0.1", port)


@pytest.mark.parametrize("answer", ["E01", "", "zz", "abc", "00" * 9])
def test_memory_that_cannot_be_read(answer: str) -> None:
    with connected(Habits(fixed={"m": answer})) as (_, client), pytest.raises(ToolError, match="cannot read 4 bytes"):
        client.read(0, 4)


def test_memory_that_cannot_be_written() -> None:
    with connected(Habits(fixed={"M": "E02"})) as (_, client), pytest.raises(ToolError, match="cannot write 2 bytes"):
        client.write(0, b"ab")


@pytest.mark.parametrize("answer", ["E01", "", "00"])
def test_registers_that_are_not_shown(answer: str) -> None:
    with connected(Habits(fixed={"g": answer})) as (_, client), pytest.raises(ToolError, match="does not show"):
        client.registers(16)
