"""Uploads and packets over a serial line, in the frames of simulator/serial_link.py, which have a CRC-32.

    0x10  device -> server   number, then device (8 bytes) and an upload
    0x11  device -> server   number, then device and a status
    0x90  server -> device   number of what is kept: until it comes, the device sends again
    0x91  server -> device   device, or zeros, and a packet

Nothing is kept for a device that is away: what it should run it is sent again when it says what it runs.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

from driftc.codegen.elastic.packet import DEVICE_BYTES
from driftc.codegen.elastic.transports.transport import Message, Receive, Say, Transport
from driftc.codegen.elastic.wire import STATUS, UP, Topic, device_name
from driftc.codegen.errors import ToolError, UsageError
from driftc.simulator.serial_link import Packet, Unpacker, guarded, open_port, pack

UPLOAD, SAYS, KEPT, UPDATE = 0x10, 0x11, 0x90, 0x91
LARGEST = 0xFFFF  # bytes of a frame's payload
TIMEOUT = 10.0  # seconds for the line to take what is written
AGAIN = 2.0  # seconds between attempts to open a port that has gone


class Serial(Transport):
    keeps: ClassVar[bool] = False

    def __init__(self, model_id: bytes, largest: int, port: str, baud: int) -> None:
        super().__init__(model_id, largest)
        if largest + DEVICE_BYTES > LARGEST:
            raise UsageError(f"--serial: an upload of {largest:,} bytes does not fit a frame of {LARGEST:,}")
        self._name, self._baud = port, baud
        self._port: Any = None
        self._unpacker = Unpacker(LARGEST)
        self._next = 0.0  # when the port is tried again

    def open(self, receive: Receive, say: Say) -> None:
        self._receive, self._say = receive, say
        self._port = open_port(self._name, self._baud, TIMEOUT)

    def poll(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            for packet in self._unpacker.feed(self._read()):
                self._take(packet)
            if time.monotonic() >= until:
                return

    def send(self, topic: Topic, packet: bytes) -> bool:
        return self._write(pack(UPDATE, 0, topic.device + packet))

    def close(self) -> None:
        if self._port is not None:
            self._port.close()

    def _take(self, packet: Packet) -> None:
        kinds = {UPLOAD: UP, SAYS: STATUS}
        if packet.kind not in kinds or len(packet.payload) < DEVICE_BYTES:
            return
        device, payload = packet.payload[:DEVICE_BYTES], packet.payload[DEVICE_BYTES:]
        topic = str(Topic(self.model_id, device, kinds[packet.kind])) if any(device) else device_name(device)
        self._receive(Message(topic, payload, lambda: self._kept(packet.number)))

    def _kept(self, number: int) -> None:
        self._write(pack(KEPT, number))

    def _read(self) -> bytes:
        if self._port is None and not self._reopened():
            return b""
        try:
            found: bytes = guarded(self._name, TIMEOUT, lambda: self._port.read(self._port.in_waiting or 1))
        except ToolError as problem:
            self._lost(problem)
            return b""
        return found

    def _write(self, data: bytes) -> bool:
        if self._port is None:
            return False
        try:
            guarded(self._name, TIMEOUT, lambda: self._port.write(data))
        except ToolError as problem:
            self._lost(problem)
            return False
        return True

    def _lost(self, problem: ToolError) -> None:
        self._say(f"{problem}; trying again")
        self._port.close()
        self._port, self._next = None, time.monotonic() + AGAIN

    def _reopened(self) -> bool:
        time.sleep(max(0.0, min(self._next - time.monotonic(), 0.1)))
        if time.monotonic() < self._next:
            return False
        try:
            self._port = open_port(self._name, self._baud, TIMEOUT)
        except ToolError:
            self._next = time.monotonic() + AGAIN
            return False
        self._unpacker = Unpacker(LARGEST)
        return True
