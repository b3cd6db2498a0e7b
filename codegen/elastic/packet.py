"""The signed packet that carries an update: firmware/driftc_update.h reads it, byte for byte as here.

    0   4   "DRFU"
    4   1   format, 1
    5   1   coding, 1: int8 codes
    6   2   flags, 0
    8   8   model id
    16  4   sequence, 1 or more: a device takes none that is not above the last it took
    20  4   the sequence that it is based on: the active one, or 0 for what was compiled
    24  8   device, or zeros: all
    32      body: of each updatable layer the exponent of each row of offsets' step (int8), in front of the last of them
            but after the first the log2 of gain steps an octave (uint8), then gains and rows of offsets (int8)
    ..  32  HMAC-SHA256 of all before it

All numbers are little endian. Codes are always of what was compiled: `based on` says what the sender took for active.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256

import numpy as np

from driftc.codegen.elastic.coding import Codes, UpdatableLayer
from driftc.codegen.elastic.parameters import ID_BYTES, Parameters
from driftc.codegen.errors import DataError

MAGIC = b"DRFU"
FORMAT, CODING = 1, 1
HEADER_BYTES, TAG_BYTES, DEVICE_BYTES = 32, 32, 8
ALL_DEVICES = bytes(DEVICE_BYTES)
LARGEST_SEQUENCE = 2**32 - 1
LEAST_KEY = 16  # bytes
_HEADER = struct.Struct("<4sBBH8sII8s")


class Reason(IntEnum):
    """Why a packet was not taken: DRIFTC_UPDATE_* in C. Checked in this order from LENGTH to BOUND."""

    OK = 0
    LENGTH = 1  # not exactly the model's
    MAGIC = 2  # no packet
    FORMAT = 3  # another format, coding or flags
    MODEL = 4  # another model's
    DEVICE = 5  # another device's
    SEQUENCE = 6  # not above the last one that was taken
    BASED_ON = 7  # neither on what is active nor on what was compiled
    TAG = 8  # not signed with the key
    BOUND = 9  # a parameter out of bounds
    BUSY = 10  # an inference is under way
    STORAGE = 11  # the pages could not be erased, written or read
    NOT_BEGUN = 12  # bytes or a commit without a beginning


@dataclass(frozen=True)
class Header:
    """What a packet says of itself."""

    model_id: bytes
    sequence: int
    based_on: int = 0
    device: bytes = ALL_DEVICES
    format: int = FORMAT
    coding: int = CODING
    flags: int = 0

    def packed(self) -> bytes:
        """Raises ValueError for what does not fit its field."""
        if len(self.model_id) != ID_BYTES or len(self.device) != DEVICE_BYTES:
            raise ValueError(f"a model id and a device have {ID_BYTES} bytes")
        if not 0 < self.sequence <= LARGEST_SEQUENCE or not 0 <= self.based_on <= LARGEST_SEQUENCE:
            raise ValueError("sequences are from 1 to 2^32 - 1, and 0 is what was compiled")
        return _HEADER.pack(
            MAGIC, self.format, self.coding, self.flags, self.model_id, self.sequence, self.based_on, self.device
        )


def encode(
    known: Parameters,
    codes: Sequence[Codes],
    *,
    key: bytes,
    sequence: int,
    based_on: int = 0,
    device: bytes = ALL_DEVICES,
) -> bytes:
    """The packet of an update, signed. Raises ValueError for codes that leave their bounds or numbers out of range."""
    if len(key) < LEAST_KEY:
        raise ValueError(f"the key has {len(key)} bytes; {LEAST_KEY} or more keep a packet from being forged")
    parts = [Header(known.model_id, sequence, based_on, device).packed()]
    for layer, coded in zip(known.layers, codes, strict=True):
        layer.updated(coded)
        parts.append(_layer(coded))
    return signed(b"".join(parts), key)


def signed(content: bytes, key: bytes) -> bytes:
    """Header and body, and the tag behind them."""
    return content + tag(content, key)


def tag(content: bytes, key: bytes) -> bytes:
    return hmac.new(key, content, sha256).digest()


def is_signed(packet: bytes, key: bytes) -> bool:
    return hmac.compare_digest(tag(packet[:-TAG_BYTES], key), packet[-TAG_BYTES:])


def header(packet: bytes) -> Header:
    """Raises DataError where it is no packet, or of another format."""
    if len(packet) < HEADER_BYTES + TAG_BYTES or packet[:4] != MAGIC:
        raise DataError("is no update packet: it does not begin with 'DRFU'")
    _, form, coding, flags, model_id, sequence, based_on, device = _HEADER.unpack(packet[:HEADER_BYTES])
    if (form, coding, flags) != (FORMAT, CODING, 0):
        raise DataError(f"is an update packet of format {form}, coding {coding}, flags {flags}, which are not known")
    return Header(model_id, sequence, based_on, device, form, coding, flags)


def opened(packet: bytes, known: Parameters, key: bytes | None) -> tuple[Header, tuple[Codes, ...]]:
    """Header and codes, within their bounds; of whatever key where `key` is None.

    Raises DataError where it is not of this model, not signed with the key or out of bounds.
    """
    found, codes = decode(packet, known)
    if key is not None and not is_signed(packet, key):
        raise DataError("is not signed with this key")
    try:
        for layer, coded in zip(known.layers, codes, strict=True):
            layer.updated(coded)
    except ValueError as problem:
        raise DataError(str(problem)) from None
    return found, codes


def decode(packet: bytes, known: Parameters) -> tuple[Header, tuple[Codes, ...]]:
    """Header and codes, of whatever key; not checked against bounds. Raises DataError where it is not of this model."""
    found = header(packet)
    if len(packet) != known.packet_bytes:
        raise DataError(f"has {len(packet)} bytes, not {known.packet_bytes}: it is another model's")
    if found.model_id != known.model_id:
        raise DataError(f"is of model {found.model_id.hex()}, not {known.model_id.hex()}")
    return found, _body(packet[HEADER_BYTES:-TAG_BYTES], known.layers)


def check(
    packet: bytes,
    known: Parameters,
    *,
    key: bytes,
    device: bytes = ALL_DEVICES,
    sequence: int = 0,
    active: int = 0,
) -> Reason:
    """What a device says to the packet: `sequence` is the highest it took, `active` that of its parameters, or 0."""
    if len(packet) != known.packet_bytes:
        return Reason.LENGTH
    magic, form, coding, flags, model_id, number, based_on, to = _HEADER.unpack(packet[:HEADER_BYTES])
    checks = (
        (magic == MAGIC, Reason.MAGIC),
        ((form, coding, flags) == (FORMAT, CODING, 0), Reason.FORMAT),
        (model_id == known.model_id, Reason.MODEL),
        (to in (device, ALL_DEVICES), Reason.DEVICE),
        (number > sequence, Reason.SEQUENCE),
        (based_on in (active, 0), Reason.BASED_ON),
        (is_signed(packet, key), Reason.TAG),
    )
    for passed, reason in checks:
        if not passed:
            return reason
    try:
        for layer, codes in zip(known.layers, _body(packet[HEADER_BYTES:-TAG_BYTES], known.layers), strict=True):
            layer.updated(codes)
    except ValueError:
        return Reason.BOUND
    return Reason.OK


def _layer(codes: Codes) -> bytes:
    first, *rest = codes.exponents
    head = struct.pack(f"<bB{len(rest)}b", first, codes.octave, *rest)
    return head + b"".join(row.astype(np.int8).tobytes() for row in (codes.gain, *codes.offsets))


def _body(body: bytes, layers: Sequence[UpdatableLayer]) -> tuple[Codes, ...]:
    found, place = [], 0
    for layer in layers:
        first, octave, *rest = struct.unpack_from(f"<bB{layer.rows - 1}b", body, place)
        place += layer.rows + 1
        count = (layer.rows + 1) * layer.channels
        gain, *offsets = np.frombuffer(body, np.int8, count, place).reshape(layer.rows + 1, layer.channels)
        place += count
        found.append(Codes(octave, (first, *rest), gain, tuple(offsets)))
    return tuple(found)
