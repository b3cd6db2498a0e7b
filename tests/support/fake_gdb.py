"""A GDB server with the habits of real ones, each to be switched on: plain memory, and a program in Python."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

CPUID_OF_M4 = "40c20f41"
Stop = tuple[int, int, int]  # what port_debugger is called with: operation, address or status, bytes


@dataclass
class Habits:
    """How a server behaves; the defaults are those of no trouble."""

    packet_size: int = 0x1000
    acknowledges: bool = True  # True: no QStartNoAckMode
    has_x: bool = False
    forgets_x: bool = False  # says OK, and writes nothing
    no_z1: bool = False
    reads_at_most: int = 1 << 20  # bytes of one m
    region: int = 1 << 20  # bytes; an m across its end fails, as pyOCD's does between sectors of different sizes
    console: bool = False  # prints before each answer to qRcmd and c
    prints_in_answer: str = ""  # to qRcmd, as pyOCD does
    damages: int = 0  # so many answers come with a wrong checksum first
    asks_again: int = 0  # so many packets are said to have come damaged
    notifies: bool = False  # a notification before each answer
    runs: bool = False  # run-length encoding
    silent_at: str = ""  # a packet that begins so has no answer
    closes_at: str = ""  # the connection ends there
    fixed: dict[str, str] = field(default_factory=dict)  # answers to packets that begin so


class FakeServer:
    """One client at a time. `program(server)` yields the stops of the program that `c` runs."""

    def __init__(self, habits: Habits, program: Callable[[FakeServer], Iterator[Stop | bytes]] | None = None) -> None:
        self.habits = habits
        self.packets: list[str] = []
        self.memory = bytearray(1 << 20)
        self.base = 0
        self.registers = [0] * 17
        self.breakpoint = -1
        self.stops_again = 0  # times that `c` came with the pc at the breakpoint: no step was made
        self._program = program
        self._running: Iterator[Stop | bytes] | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._left = (habits.damages, habits.asks_again)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._no_acks = False
                self._left = (self.habits.damages, self.habits.asks_again)
                try:
                    self._talk(connection)
                except OSError:
                    continue

    def _talk(self, connection: socket.socket) -> None:
        buffer, last = b"", b""
        while data := connection.recv(1 << 16):
            buffer += data
            while buffer:
                if buffer[:1] == b"-":
                    connection.sendall(last)
                    buffer = buffer[1:]
                    continue
                found = re.match(rb"\$([^#]*)#(..)", buffer, re.DOTALL)
                if found is None:
                    if buffer[:1] == b"$":
                        break
                    buffer = buffer[1:]
                    continue
                buffer = buffer[found.end() :]
                assert int(found[2], 16) == sum(found[1]) & 0xFF
                if not self._no_acks:
                    if self._left[1]:
                        self._left = (self._left[0], self._left[1] - 1)
                        connection.sendall(b"-")
                        continue
                    connection.sendall(b"+")
                packet = re.sub(rb"\}(.)", lambda m: bytes((m[1][0] ^ 0x20,)), found[1], flags=re.DOTALL)
                text = packet.decode("latin-1")
                self.packets.append(text)
                if self.habits.closes_at and text.startswith(self.habits.closes_at):
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                if self.habits.silent_at and text.startswith(self.habits.silent_at):
                    continue
                last = self._frame(text, self._answer(text))
                if self._left[0]:
                    self._left = (self._left[0] - 1, self._left[1])
                    connection.sendall(last[:-2] + (b"00" if last[-2:] != b"00" else b"01"))
                else:
                    connection.sendall(last)

    def _frame(self, text: str, answer: str | bytes) -> bytes:
        def packet(body: bytes, start: bytes = b"$") -> bytes:
            return start + body + b"#%02x" % (sum(body) & 0xFF)

        body = answer if isinstance(answer, bytes) else answer.encode("latin-1")
        if self.habits.runs:  # four or more alike: the byte, *, how often it comes again + 29; never # or $
            body = re.sub(rb"([0-9a-f])\1{3,5}", lambda m: m[1] + b"*" + bytes((len(m[0]) - 1 + 29,)), body)
        before = b""
        if self.habits.notifies:
            before += packet(b"Stop:T05", b"%")
        if self.habits.console and text[:1] in ("q", "c") and (text == "c" or text.startswith("qRcmd")):
            before += packet(b"O" + b"halted due to debug-request\n".hex().encode())
            before += packet(b"O")  # OpenOCD's way of saying that it lives, while what it runs takes long
        return before + packet(body)

    def _answer(self, text: str) -> str | bytes:
        habits = self.habits
        for start, answer in habits.fixed.items():
            if text.startswith(start):
                return answer
        if text.startswith("qSupported"):
            more = "" if habits.acknowledges else ";QStartNoAckMode+"
            return f"PacketSize={habits.packet_size:x}{more};vContSupported-"
        if text == "QStartNoAckMode" and not habits.acknowledges:
            self._no_acks = True
            return "OK"
        if text == "?":
            return "S05"
        if text.startswith("qRcmd,"):
            if bytes.fromhex(text[6:]) != b"reset halt":
                return ""
            self._running = None
            return "OK" if not habits.prints_in_answer else habits.prints_in_answer.encode().hex()
        if text[0] in "mMX":
            return self._memory(text)
        if text == "g":
            return b"".join(value.to_bytes(4, "little") for value in self.registers[:16]).hex()
        if text[0] == "P":
            number, value = text[1:].split("=")
            self.registers[int(number, 16)] = int.from_bytes(bytes.fromhex(value), "little")
            return "OK"
        if text[0] == "Z":
            if text[1] == "1" and habits.no_z1:
                return "E0E"
            self.breakpoint = int(text.split(",")[1], 16)
            return "OK"
        if text == "c":
            return self._go_on()
        return ""

    def _memory(self, text: str) -> str:
        span, _, content = text[1:].partition(":")
        at, size = (int(part, 16) for part in span.split(","))
        at -= self.base
        if at < 0 or at + size > len(self.memory):
            return CPUID_OF_M4 if text == "me000ed00,4" else "E14"
        if text[0] == "m" and at // self.habits.region != (at + size - 1) // self.habits.region:
            return "E01"
        if text[0] == "m":
            return bytes(self.memory[at : at + min(size, self.habits.reads_at_most)]).hex()
        if text[0] == "X" and not self.habits.has_x:
            return ""
        if not (text[0] == "X" and self.habits.forgets_x):
            data = content.encode("latin-1") if text[0] == "X" else bytes.fromhex(content)
            assert len(data) == size
            self.memory[at : at + size] = data
        return "OK"

    def _go_on(self) -> str | bytes:
        if self._running is not None and self.registers[15] == self.breakpoint:
            self.stops_again += 1
            return "T05"
        if self._running is None:
            assert self._program is not None
            self._running = self._program(self)
        stop = next(self._running)
        if isinstance(stop, bytes):
            return stop
        self.registers[:3] = stop
        self.registers[14] = 0x101
        self.registers[15] = self.breakpoint
        return "T05thread:01;"


@contextmanager
def raw_server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port where `answer` is called with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        answer(connection)
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
