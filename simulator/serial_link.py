"""The host's end of the packets in firmware/ports/serial.h: bytes over a serial line, none lost or damaged."""

from __future__ import annotations

import os
import re
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import xor
from types import TracebackType
from typing import Any

from driftc.codegen.errors import ToolError
from driftc.simulator.packages import package
from driftc.simulator.stream import ended

VERSION = 2
START = 0x7E
HEADER, PAYLOAD, CRC = 6, 512, 4
HELLO, PUT, GET = 0x01, 0x02, 0x03
IDENTITY, TAKEN, DATA, ENDED, STRANGER = 0x81, 0x82, 0x83, 0x84, 0x85
ANSWER_SECONDS = 0.5  # after which a packet is taken to be lost, beside the time it is on the line
HELLO_SECONDS = 5.0  # for the first answer
POLL_SECONDS = 0.05
STREAM = "socket://"  # pyserial's, of a debugger's RTT server: a port without a speed
ERRNO = {2: "there is no such port", 13: "may not be opened: permission denied", 16: "is busy: another program has it",
         11: "is busy: another program has it", 6: "is no serial port", 25: "is no serial port"}  # fmt: skip


@dataclass(frozen=True)
class Packet:
    kind: int
    number: int
    payload: bytes


@dataclass(frozen=True)
class Identity:
    """What a board says it runs."""

    version: int
    session: bool  # it has had a HELLO since its last reset
    shows: bool  # it can show every layer
    measures: bool
    cycles: bool  # are what it measures, else instructions
    nonce: bytes  # of that HELLO
    id: bytes  # of the model's C
    name: str


def pack(kind: int, number: int = 0, payload: bytes = b"") -> bytes:
    header = struct.pack("<BBBH", START, kind, number, len(payload))
    header += bytes([reduce(xor, header)])
    return header + payload + struct.pack("<I", zlib.crc32(header + payload))


class Unpacker:
    """Finds packets of up to `largest` bytes among bytes; `strange` counts those that belong to none."""

    def __init__(self, largest: int = PAYLOAD) -> None:
        self._largest = largest
        self._buffer = bytearray()
        self.strange = 0
        self.sample = b""  # the first of the strange bytes

    def feed(self, data: bytes) -> list[Packet]:
        self._buffer += data
        found: list[Packet] = []
        while True:
            at = self._buffer.find(START)
            self._skip(len(self._buffer) if at < 0 else at)
            if len(self._buffer) < HEADER:
                return found
            _, kind, number, length = struct.unpack_from("<BBBH", self._buffer)
            if reduce(xor, self._buffer[:HEADER]) != 0 or length > self._largest:
                self._skip(1)
                continue
            end = HEADER + length + CRC
            if len(self._buffer) < end:
                return found
            body = bytes(self._buffer[: end - CRC])
            if struct.unpack_from("<I", self._buffer, end - CRC)[0] != zlib.crc32(body):
                self._skip(1)
                continue
            found.append(Packet(kind, number, body[HEADER:]))
            del self._buffer[:end]

    def _skip(self, count: int) -> None:
        self.strange += count
        self.sample = (self.sample + bytes(self._buffer[:count]))[:24]
        del self._buffer[:count]


class Link:
    """A board on a serial port. Every wait ends after `timeout` seconds without what was waited for, with ToolError."""

    def __init__(self, device: str, baud: int, timeout: float) -> None:
        self._device = device.replace(STREAM, "rtt://", 1)  # as messages name it
        self._baud = baud
        self._timeout = timeout
        self._port = open_port(device, baud, timeout)
        self._unpacker = Unpacker()
        self._packets: list[Packet] = []
        self._put = 0  # number of the next PUT
        self._get = 0  # of the next DATA
        self._data: list[bytes] = []  # that came while a PUT was under way

    def __enter__(self) -> Link:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._port.close()

    def hello(self, *, trace: bool) -> Identity:
        """Begin a session: with `trace` every layer is shown, else it is measured."""
        self._guarded(self._port.reset_input_buffer)
        nonce = os.urandom(4)
        until = time.monotonic() + min(HELLO_SECONDS, self._timeout)
        while True:
            self._send(HELLO, 0, bytes([trace]) + nonce)
            again = time.monotonic() + ANSWER_SECONDS
            while (packet := self._receive(min(again, until))) is not None:
                if packet.kind != IDENTITY:
                    continue
                identity = self._identity(packet.payload)
                if identity.session and identity.nonce == nonce:
                    return identity
                if not identity.session:
                    break  # it started anew: once more
            if time.monotonic() >= until:
                raise self._silent(min(HELLO_SECONDS, self._timeout))

    def put(self, data: bytes) -> None:
        """Give all of `data` to the program; returns when it has read it."""
        for at in range(0, len(data), PAYLOAD):
            part = data[at : at + PAYLOAD]
            self._exchange(lambda part=part: self._send(PUT, self._put, part), len(part), self._was_taken)  # type: ignore[misc]
            self._put = (self._put + 1) % 256

    def get(self) -> bytes:
        """The next bytes that the program writes."""
        if not self._data:
            # It sends by itself when it has something: asking at once would only disturb it.
            self._exchange(lambda: self._send(GET, self._get), PAYLOAD, lambda packet: bool(self._data), ask=False)
        found = b"".join(self._data)
        self._data.clear()
        self._send(GET, self._get)  # they have arrived
        return found

    def _was_taken(self, packet: Packet) -> bool:
        return (packet.kind == TAKEN and packet.number == self._put) or bool(self._data)

    def _exchange(self, send: Callable[[], None], size: int, done: Callable[[Packet], bool], ask: bool = True) -> None:
        """Send, again and again, until a packet comes with which it is `done`."""
        patience = ANSWER_SECONDS + 10 * (size + PAYLOAD + 4 * (HEADER + CRC)) / self._baud
        until = time.monotonic() + self._timeout
        while True:
            if ask:
                send()
            ask = True
            again = min(until, time.monotonic() + patience)
            while (packet := self._receive(again)) is not None:
                self._look_at(packet)
                if done(packet):
                    return
            if time.monotonic() >= until:
                raise self._silent(self._timeout)

    def _look_at(self, packet: Packet) -> None:
        if packet.kind == DATA and packet.number == self._get:
            self._data.append(packet.payload)
            self._get = (self._get + 1) % 256
        elif packet.kind == STRANGER or (packet.kind == IDENTITY and not self._identity(packet.payload).session):
            raise ToolError(f"{self._device}: the board was reset while it ran; look at its supply and its watchdog")
        elif packet.kind == ENDED:
            status = struct.unpack("<i", packet.payload[:4].ljust(4, b"\0"))[0]
            raise ToolError(f"{self._device}: the program on the board ended with {ended(status)}")

    def _identity(self, payload: bytes) -> Identity:
        if len(payload) < 16 or payload[0] != VERSION:
            version = payload[0] if payload else "?"
            raise ToolError(
                f"{self._device}: the board speaks version {version} of driftc's protocol, this driftc {VERSION}; "
                "compile the model again and flash it"
            )
        able = payload[2]
        name = payload[16:].decode("ascii", "replace")
        flags = bool(payload[1]), bool(able & 1), bool(able & 2), bool(able & 4)
        return Identity(payload[0], *flags, payload[4:8], payload[8:16], name)

    def _send(self, kind: int, number: int, payload: bytes = b"") -> None:
        self._guarded(lambda: self._port.write(pack(kind, number, payload)))

    def _receive(self, until: float) -> Packet | None:
        """The next packet; None where none has come at the time `until`."""
        while not self._packets:
            left = until - time.monotonic()
            if left <= 0:
                return None
            self._port.timeout = min(left, POLL_SECONDS)
            self._packets += self._unpacker.feed(self._guarded(lambda: self._port.read(self._port.in_waiting or 1)))
        return self._packets.pop(0)

    def _guarded(self, call: Callable[[], Any]) -> Any:
        """What `call` gives; ToolError where the port fails."""
        return guarded(self._device, self._timeout, call)

    def _silent(self, seconds: float) -> ToolError:
        strange = self._unpacker.strange
        if strange:
            speed = "" if self._device.startswith("rtt://") else f", or it runs at another speed than {self._baud} baud"
            return ToolError(
                f"{self._device}: no answer within {seconds:g} s, only {strange:,} bytes that make no sense "
                f"({self._unpacker.sample.hex(' ')}): another program is flashed{speed}"
            )
        return ToolError(
            f"{self._device}: the board does not answer within {seconds:g} s; is the folder's harness flashed "
            "(driftc flash), and is this its port?"
        )


def open_port(device: str, baud: int, timeout: float) -> Any:
    """The port, for this program alone. Raises ToolError, saying why."""
    serial = package("serial", "pyserial", "serial")
    try:
        return serial.serial_for_url(device, baud, timeout=POLL_SECONDS, write_timeout=timeout, exclusive=True)
    except (OSError, ValueError) as error:  # SerialException is an OSError
        raise ToolError(f"{device.replace(STREAM, 'rtt://', 1)}: {_reason(error)}") from None


def guarded(device: str, timeout: float, call: Callable[[], Any]) -> Any:
    """What `call` gives, which uses the port; ToolError where that fails."""
    serial = package("serial", "pyserial", "serial")
    try:
        return call()
    except serial.SerialTimeoutException:
        raise ToolError(f"{device}: takes no bytes for {timeout:g} s") from None
    except (OSError, TypeError) as error:  # TypeError: pyserial's, of a port that was closed meanwhile
        raise ToolError(f"{device}: the port has gone: {_reason(error)}") from None


def _reason(error: BaseException) -> str:
    if "refused" in str(error):
        return "nothing listens there; is the debugger's RTT server started?"
    number = getattr(error, "errno", None)
    if "exclusively lock" in str(error):
        number = 11
    elif configuring := re.search(r"Could not configure port: \((\d+),", str(error)):  # pyserial's, without errno
        number = int(configuring[1])
    return ERRNO.get(number or 0, str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
