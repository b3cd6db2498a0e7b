"""What devices send: uploads and what they say of updates. The bytes of both, and the topics that carry them.

    driftc/MODEL/DEVICE/up       header (16 bytes), then the input as the model takes it, raw int8
    driftc/MODEL/DEVICE/update   a packet (packet.py); DEVICE may be `all`
    driftc/MODEL/DEVICE/status   12 bytes

MODEL and DEVICE are 8 bytes each, as 16 lower-case hex digits. Numbers are little endian.

    upload   0  4  sequence: counts a device's uploads
             4  2  entropy of the decision, bits in Q12, saturated
             6  1  flags: 1 chosen at random, 0 by entropy
             7  1  format, 1
             8  8  model id, as in the topic
    status   0  4  sequence of the active update, 0: as compiled
             4  4  highest sequence that was taken
             8  1  reason of the last packet (packet.Reason)
             9  1  format, 1
             10 2  0
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.elastic.packet import ALL_DEVICES, DEVICE_BYTES, Reason
from driftc.codegen.elastic.parameters import ID_BYTES

ROOT, UP, UPDATE, STATUS, ALL = "driftc", "up", "update", "status", "all"
FORMAT = 1
RANDOM = 1
ENTROPY_FRACTION = 12
_UPLOAD, _STATUS = struct.Struct("<IHBB8s"), struct.Struct("<IIBBH")
UPLOAD_HEADER, STATUS_BYTES = _UPLOAD.size, _STATUS.size
_TOPIC = re.compile(rf"{ROOT}/([0-9a-f]{{16}})/([0-9a-f]{{16}}|{ALL})/({UP}|{UPDATE}|{STATUS})")


class Dropped(StrEnum):
    """Why a message was not taken; each is counted, by device."""

    TOPIC = "topic"  # no device, or nothing that a device sends
    LENGTH = "length"
    FORMAT = "format"
    MODEL = "model"  # another model's
    BUDGET = "budget"  # more than a device may send in a round
    REPEATED = "repeated"  # an input that is there already


class DroppedError(Exception):
    """A message that is not taken."""

    def __init__(self, why: Dropped) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Topic:
    model_id: bytes
    device: bytes  # ALL_DEVICES for `all`
    kind: str

    def __str__(self) -> str:
        return f"{ROOT}/{self.model_id.hex()}/{device_name(self.device)}/{self.kind}"

    @classmethod
    def parse(cls, text: str) -> Topic:
        """Raises DroppedError for what is no topic of driftc."""
        found = _TOPIC.fullmatch(text)
        if found is None:
            raise DroppedError(Dropped.TOPIC)
        return cls(bytes.fromhex(found[1]), device_bytes(found[2]), found[3])


def device_name(device: bytes) -> str:
    """As topics have it."""
    return ALL if device == ALL_DEVICES else device.hex()


def device_bytes(name: str) -> bytes:
    """Raises ValueError for what is no name of a device."""
    if name == ALL:
        return ALL_DEVICES
    found = bytes.fromhex(name) if re.fullmatch(r"[0-9a-f]{16}", name) else b""
    if len(found) != DEVICE_BYTES or found == ALL_DEVICES:
        raise ValueError(f"device '{name}': is 16 hex digits, not all of them 0, or {ALL}")
    return found


@dataclass(frozen=True, eq=False)
class Upload:
    """One input that a device chose. `sample` is its raw bytes, `entropy` in bits, Q12."""

    sequence: int
    entropy: int
    flags: int
    sample: bytes

    def packed(self, model_id: bytes) -> bytes:
        entropy = min(max(self.entropy, 0), 0xFFFF)
        return _UPLOAD.pack(self.sequence & 0xFFFFFFFF, entropy, self.flags, FORMAT, model_id) + self.sample

    @classmethod
    def unpack(cls, payload: bytes, model_id: bytes, input_bytes: int) -> Upload:
        """Raises DroppedError."""
        if len(payload) != UPLOAD_HEADER + input_bytes:
            raise DroppedError(Dropped.LENGTH)
        sequence, entropy, flags, form, model = _UPLOAD.unpack_from(payload)
        if form != FORMAT or flags & ~RANDOM:
            raise DroppedError(Dropped.FORMAT)
        if model != model_id:
            raise DroppedError(Dropped.MODEL)
        return cls(sequence, entropy, flags, payload[UPLOAD_HEADER:])

    def array(self, shape: tuple[int, ...]) -> NDArray[np.int8]:
        return np.frombuffer(self.sample, np.int8).reshape(shape)


@dataclass(frozen=True)
class Status:
    """What a device says after it was sent a packet, and when it starts."""

    active: int
    highest: int
    reason: Reason

    def packed(self) -> bytes:
        return _STATUS.pack(self.active, self.highest, self.reason, FORMAT, 0)

    @classmethod
    def unpack(cls, payload: bytes) -> Status:
        """Raises DroppedError."""
        if len(payload) != STATUS_BYTES:
            raise DroppedError(Dropped.LENGTH)
        active, highest, reason, form, rest = _STATUS.unpack(payload)
        if form != FORMAT or rest or reason not in list(Reason) or active > highest:
            raise DroppedError(Dropped.FORMAT)
        return cls(active, highest, Reason(reason))


assert ID_BYTES == DEVICE_BYTES == 8
