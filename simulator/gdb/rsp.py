"""The GDB remote serial protocol: packets, acknowledgements, and the questions that driftc asks a server.

GDB manual, appendix "GDB Remote Serial Protocol". Servers differ, and lie; where one was seen to, the code says which.
"""

from __future__ import annotations

import re
import socket
import time
from contextlib import suppress

from driftc.codegen.errors import ToolError

ANSWER_SECONDS = 5.0  # in which a server answers what takes no time
CLOSE_SECONDS = 3.0
RETRIES = 3  # of a packet that arrived damaged
NOISE = 1 << 16  # bytes outside packets after which this is no GDB server
DEFAULT_PACKET = 400  # GDB's own, where the server names none
PAGE = 0x1000  # bytes; where a region of memory ends, one of these does
_CONSOLE = re.compile(rb"O(?:[0-9a-fA-F]{2})*")  # empty: OpenOCD keeps a client waiting


class RspClient:
    """A connection to a GDB server. Every method raises ToolError, naming the server, where it fails."""

    def __init__(self, host: str, port: int) -> None:
        self.name = f"{host}:{port}"
        self._buffer = bytearray()
        self._acknowledges = True
        self._greeted = False  # it is a GDB server, and answers
        self._block_writes: bool | None = None  # whether the server has X; None: not asked
        self.console = ""  # what the server printed since the last packet was sent
        try:
            self._socket = socket.create_connection((host, port), ANSWER_SECONDS)
        except OSError as error:
            reason = error.strerror or error
            raise ToolError(
                f"{self.name}: no GDB server answers there ({reason}); start one, or name its port"
            ) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def _greet(self) -> None:
        answer = self.ask(b"qSupported:swbreak+;hwbreak+;xmlRegisters=arm,riscv").decode("latin-1")
        self.features = dict(_feature(item) for item in answer.split(";") if item)
        size = self.features.get("PacketSize", "")
        self.packet_size = int(size, 16) if re.fullmatch(r"[0-9a-fA-F]{1,8}", size) else DEFAULT_PACKET
        if self.packet_size < 64:
            raise ToolError(f"{self.name}: a PacketSize of {self.packet_size} is too small for anything")
        if self.features.get("QStartNoAckMode") == "+" and self.ask(b"QStartNoAckMode") == b"OK":
            self._acknowledges = False
        self._greeted = True

    def close(self) -> None:
        """Returns when the server has closed too, or does not: OpenOCD refuses the next client until it has."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            until = time.monotonic() + CLOSE_SECONDS
            while self._greeted and (left := until - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not self._socket.recv(4096):
                    break
        self._socket.close()

    # --- packets ---

    def send(self, payload: bytes) -> None:
        """Send a packet; whether it arrived shows when the answer is waited for."""
        self.console = ""
        self._sent = b"$%b#%02x" % (payload, sum(payload) & 0xFF)
        self._write(self._sent)

    def receive(self, seconds: float = ANSWER_SECONDS, waiting_for: str = "an answer") -> bytes:
        """The next packet that is an answer. Console output may come at any time, and is kept apart."""
        deadline = time.monotonic() + seconds
        while True:
            packet = self._packet(deadline, seconds, waiting_for)
            if _CONSOLE.fullmatch(packet):
                self.console += bytes.fromhex(packet[1:].decode()).decode(errors="replace")
                continue
            return packet

    def ask(self, payload: bytes, seconds: float = ANSWER_SECONDS) -> bytes:
        """Send a packet, and give its answer."""
        self.send(payload)
        return self.receive(seconds, f"the answer to {_shown(payload)}")

    def _write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise self._closed() from error

    def _packet(self, deadline: float, seconds: float, waiting_for: str) -> bytes:
        damaged, noise = 0, 0
        while True:
            byte = self._byte(deadline, seconds, waiting_for)
            if byte == b"-":  # our packet arrived damaged
                damaged += 1
                if damaged > RETRIES:
                    raise ToolError(f"{self.name}: our packet arrived damaged {damaged} times; is it a GDB server?")
                self._write(self._sent)
            if byte not in (b"$", b"%"):
                noise += byte not in (b"+", b"-")
                if noise > NOISE:
                    raise ToolError(f"{self.name}: what answers is no GDB server: {noise:,} bytes without a packet")
                continue
            body = self._until_hash(deadline, seconds, waiting_for)
            given = self._byte(deadline, seconds, waiting_for) + self._byte(deadline, seconds, waiting_for)
            whole = given.lower() == b"%02x" % (sum(body) & 0xFF)
            if byte == b"%":  # a notification: neither acknowledged nor an answer
                continue
            if not whole:
                damaged += 1
                if not self._acknowledges or damaged > RETRIES:
                    raise ToolError(
                        f"{self.name}: a packet with a wrong checksum ({_shown(body)}); is it a GDB server?"
                    )
                self._write(b"-")
                continue
            if self._acknowledges:
                self._write(b"+")
            return _expanded(body)

    def _until_hash(self, deadline: float, seconds: float, waiting_for: str) -> bytes:
        while (end := self._buffer.find(b"#")) < 0:
            if len(self._buffer) > 4 * self._limit:
                raise ToolError(f"{self.name}: what answers is no GDB server: a packet without an end")
            self._fill(deadline, seconds, waiting_for)
        body = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return body

    @property
    def _limit(self) -> int:
        return max(NOISE, getattr(self, "packet_size", 0))

    def _byte(self, deadline: float, seconds: float, waiting_for: str) -> bytes:
        if not self._buffer:
            self._fill(deadline, seconds, waiting_for)
        byte = bytes(self._buffer[:1])
        del self._buffer[:1]
        return byte

    def _fill(self, deadline: float, seconds: float, waiting_for: str) -> None:
        left = deadline - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            data = self._socket.recv(1 << 16)
        except TimeoutError:
            raise NoAnswer(
                f"{self.name}: waited {seconds:g} s for {waiting_for}; is another debugger connected?"
            ) from None
        except OSError as error:
            raise self._closed() from error
        if not data:
            raise self._closed()
        self._buffer += data

    def _closed(self) -> ToolError:
        return ToolError(f"{self.name}: the GDB server closed the connection; what it printed itself may say why")

    # --- questions ---

    def document(self, name: str, annex: str = "") -> str | None:
        """A document of the server's, such as `features` or `memory-map`; None where it has none."""
        if self.features.get(f"qXfer:{name}:read") != "+":
            return None
        text, at = b"", 0
        part = min(self.packet_size - 16, 0x1000)
        while True:
            answer = self.ask(f"qXfer:{name}:read:{annex}:{at:x},{part:x}".encode())
            if answer[:1] not in (b"l", b"m") or len(text) > 1 << 20:
                return None
            text += answer[1:]
            at = len(text)
            if answer[:1] == b"l" or len(answer) == 1:
                return text.decode("utf-8", errors="replace")

    def monitor(self, command: str, seconds: float = ANSWER_SECONDS) -> str | None:
        """Have the server run a command of its own; what it prints, None where it refuses.

        pyOCD gives in the answer what others print before it, complaints too.
        """
        answer = self.ask(b"qRcmd," + command.encode().hex().encode(), seconds)
        if answer == b"OK":
            return self.console
        printed = (_hex(answer) or b"").decode(errors="replace")
        return None if not printed or re.match(r"\w* ?\w*(error|failed):", printed, re.IGNORECASE) else printed

    def read(self, address: int, size: int) -> bytes:
        """Memory. A server may give fewer bytes than it was asked for, or refuse what lies in two regions (pyOCD)."""
        found, most = b"", min((self.packet_size - 16) // 2, PAGE)
        while len(found) < size:
            at, wanted = address + len(found), min(most, size - len(found))
            answer = self.ask(f"m{at:x},{wanted:x}".encode())
            if not _hex(answer) and (left := PAGE - at % PAGE) < wanted:
                wanted = left
                answer = self.ask(f"m{at:x},{wanted:x}".encode())
            part = _hex(answer)
            if not part or len(part) > wanted:
                raise ToolError(f"{self.name}: cannot read {wanted} bytes at {at:#010x} ({_shown(answer)})")
            found += part
        return found

    def write(self, address: int, data: bytes) -> None:
        """Memory, and read it back: a server may say OK before it has written (OpenOCD does)."""
        header = 32  # X and address, length, frame
        if self._block_writes is None:
            self._block_writes = self.ask(f"X{address:x},0:".encode()) == b"OK"
        at = 0
        while at < len(data):
            if self._block_writes:
                part, body = _escaped(data[at:], min(self.packet_size - header, 0x4000))
                answer = self.ask(f"X{address + at:x},{part:x}:".encode() + body)
            else:
                part = min((self.packet_size - header) // 2, 0x2000, len(data) - at)
                answer = self.ask(f"M{address + at:x},{part:x}:{data[at : at + part].hex()}".encode())
            if answer != b"OK":
                raise ToolError(f"{self.name}: cannot write {part} bytes at {address + at:#010x} ({_shown(answer)})")
            at += part
        if self.read(address, len(data)) != data:
            raise ToolError(f"{self.name}: {len(data)} bytes at {address:#010x} do not read back as they were written")

    def registers(self, count: int) -> list[int]:
        """The first `count` registers, of 32 bits each."""
        answer = self.ask(b"g")
        text = answer[: 8 * count].replace(b"x", b"0")  # x: not known
        if len(text) < 8 * count:
            raise ToolError(f"{self.name}: does not show the registers ({_shown(answer)})")
        found = _hex(text)
        if found is None:
            raise ToolError(f"{self.name}: does not show the registers ({_shown(answer)})")
        return [int.from_bytes(found[at : at + 4], "little") for at in range(0, len(found), 4)]

    def set_register(self, number: int, value: int) -> None:
        answer = self.ask(f"P{number:x}={value.to_bytes(4, 'little').hex()}".encode())
        if answer != b"OK":
            raise ToolError(f"{self.name}: cannot set register {number} ({_shown(answer)})")

    def set_breakpoint(self, address: int, size: int) -> None:
        """In hardware, which flash needs and st-util has alone; else in software. `size`: of the instruction."""
        answers = []
        for kind in (1, 0):
            answer = self.ask(f"Z{kind},{address:x},{size:x}".encode())
            if answer == b"OK":
                return
            answers.append(_shown(answer))
        raise ToolError(f"{self.name}: no breakpoint can be set at {address:#010x} ({', '.join(answers)})")

    def remove_breakpoint(self, address: int, size: int) -> None:
        """Of both kinds; a server keeps it when the connection ends (pyOCD, OpenOCD)."""
        for kind in (1, 0):
            self.ask(f"z{kind},{address:x},{size:x}".encode())

    def interrupt(self) -> None:
        """Have a running program stop."""
        self._write(b"\x03")


class NoAnswer(ToolError):
    """The server said nothing in the time that it had."""


def _feature(item: str) -> tuple[str, str]:
    if "=" in item:
        name, _, value = item.partition("=")
        return name, value
    return item[:-1], item[-1]


def _shown(payload: bytes) -> str:
    """A packet's beginning for a message."""
    if not payload:
        return "not supported"
    text = payload[:32].decode("latin-1")
    return f"'{text}...'" if len(payload) > 32 else f"'{text}'"


def _hex(answer: bytes) -> bytes | None:
    """The bytes that an answer spells; None where it is no even number of hexadecimal digits."""
    return bytes.fromhex(answer.decode()) if re.fullmatch(rb"(?:[0-9a-fA-F]{2})+", answer) else None


def _expanded(body: bytes) -> bytes:
    """A packet's content, its escapes and runs (a byte, *, how often more + 29) undone."""
    if b"}" not in body and b"*" not in body:
        return body
    found, at = bytearray(), 0
    while at < len(body):
        byte = body[at]
        if byte == ord("}") and at + 1 < len(body):
            found.append(body[at + 1] ^ 0x20)
            at += 2
        elif byte == ord("*") and found and at + 1 < len(body):
            found += found[-1:] * max(0, body[at + 1] - 29)
            at += 2
        else:
            found.append(byte)
            at += 1
    return bytes(found)


def escaped(data: bytes) -> bytes:
    """Binary content as it goes into a packet."""
    return re.sub(rb"[#$}*]", lambda match: bytes((ord("}"), match[0][0] ^ 0x20)), data)


def _escaped(data: bytes, room: int) -> tuple[int, bytes]:
    """As much of `data` as fits into `room` escaped bytes: how many, and these bytes."""
    part = min(len(data), room)
    while len(body := escaped(data[:part])) > room:
        part -= max(1, (len(body) - room + 1) // 2)
    return part, body
