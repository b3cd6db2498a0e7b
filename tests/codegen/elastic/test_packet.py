"""The packet: round trips, sizes, and every reason to refuse one, in order."""

from __future__ import annotations

import hmac
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from elastic_models import KEY, KINDS, known_of, random_codes

from driftc.codegen.elastic.packet import Header, Reason, check, decode, encode, header, signed
from driftc.codegen.elastic.parameters import Parameters
from driftc.codegen.errors import DataError

DEVICE = b"device 1"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Parameters:
    return known_of("residual", tmp_path_factory.mktemp("model"))[1]


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_gives_what_was_encoded(kind: str, tmp_path: Path) -> None:
    _, known = known_of(kind, tmp_path)
    codes = random_codes(known, 1)
    packet = encode(known, codes, key=KEY, sequence=7, based_on=5, device=DEVICE)
    found, decoded = decode(packet, known)
    assert found == Header(known.model_id, 7, 5, DEVICE)
    for before, after in zip(codes, decoded, strict=True):
        assert (before.octave, before.exponents) == (after.octave, after.exponents)
        assert np.array_equal(before.gain, after.gain)
        assert all(np.array_equal(a, b) for a, b in zip(before.offsets, after.offsets, strict=True))
    assert check(packet, known, key=KEY, device=DEVICE, sequence=6, active=5) is Reason.OK
    folded = sum(2 * layer.channels + 2 for layer in known.layers if layer.kind == "folded")
    live = sum(4 * layer.channels for layer in known.layers if layer.kind == "live")
    assert len(packet) == known.packet_bytes <= 64 + folded + live


def test_the_packet_is_laid_out_as_said(known: Parameters) -> None:
    packet = encode(known, random_codes(known, 1), key=KEY, sequence=0x01020304, based_on=9, device=DEVICE)
    assert packet[:8] == b"DRFU\1\1\0\0"
    assert packet[8:16] == known.model_id
    assert packet[16:24] == b"\4\3\2\1\t\0\0\0"
    assert packet[24:32] == DEVICE
    assert packet[-32:] == hmac.new(KEY, packet[:-32], sha256).digest()


def altered(packet: bytes, place: int, value: bytes) -> bytes:
    """Signed with the key all the same."""
    return signed((packet[:place] + value + packet[place + len(value) :])[:-32], KEY)


CASES: dict[Reason, tuple[Any, dict[str, Any]]] = {
    Reason.LENGTH: (lambda packet: packet + b"\0", {}),
    Reason.MAGIC: (lambda packet: altered(packet, 0, b"DRFS"), {}),
    Reason.FORMAT: (lambda packet: altered(packet, 5, b"\2"), {}),
    Reason.MODEL: (lambda packet: altered(packet, 8, b"\xff" * 8), {}),
    Reason.DEVICE: (lambda packet: packet, {"device": b"device 2"}),
    Reason.SEQUENCE: (lambda packet: packet, {"sequence": 7}),
    Reason.BASED_ON: (lambda packet: packet, {"active": 4}),
    Reason.TAG: (lambda packet: packet[:-1] + bytes([packet[-1] ^ 1]), {}),
    Reason.BOUND: (lambda packet: altered(packet, 32, b"\x20"), {}),
}


@pytest.mark.parametrize("reason", CASES)
def test_each_reason(reason: Reason, known: Parameters) -> None:
    change, device = CASES[reason]
    packet = change(encode(known, random_codes(known, 1), key=KEY, sequence=7, based_on=5, device=DEVICE))
    given: dict[str, Any] = {"device": DEVICE, "sequence": 6, "active": 5} | device
    assert check(packet, known, key=KEY, **given) is reason


def test_what_comes_first_is_said_first(known: Parameters) -> None:
    """All at once: each reason goes away when its cause does."""
    packet = bytearray(encode(known, random_codes(known, 1), key=KEY, sequence=7, based_on=5, device=DEVICE))
    good = bytes(packet)
    packet[32] = 0x20
    for place in (0, 6, 9):
        packet[place] ^= 0xFF
    found = []
    state: dict[str, Any] = {"device": b"device 2", "sequence": 7, "active": 4}
    for heal in (0, 6, 9, "device", "sequence", "active", "tag", 32):
        found.append(check(bytes(packet), known, key=KEY, **state))
        if isinstance(heal, int):
            packet[heal] = good[heal]
        elif heal == "tag":
            packet = bytearray(signed(bytes(packet[:-32]), KEY))
        else:
            state[heal] = {"device": DEVICE, "sequence": 6, "active": 5}[heal]
    packet = bytearray(signed(bytes(packet[:-32]), KEY))
    order = [Reason(number) for number in range(2, 10)]
    assert found == order
    assert check(bytes(packet), known, key=KEY, **state) is Reason.OK


def test_every_flipped_bit_is_refused(known: Parameters) -> None:
    packet = encode(known, random_codes(known, 1), key=KEY, sequence=7)
    for place in range(len(packet)):
        broken = packet[:place] + bytes([packet[place] ^ 1 << place % 8]) + packet[place + 1 :]
        assert check(broken, known, key=KEY) is not Reason.OK


def test_what_is_no_packet_of_the_model(known: Parameters, tmp_path: Path) -> None:
    packet = encode(known, known.unchanged(), key=KEY, sequence=1)
    other = known_of("keyword", tmp_path)[1]
    with pytest.raises(DataError, match="another model's"):
        decode(packet, other)
    with pytest.raises(DataError, match="does not begin with 'DRFU'"):
        header(b"DRFU")
    with pytest.raises(DataError, match="format 2"):
        header(packet[:4] + b"\2" + packet[5:])
    with pytest.raises(DataError, match="is of model"):
        decode(altered(packet, 8, b"12345678"), known)


def test_what_cannot_be_encoded(known: Parameters) -> None:
    codes = list(known.unchanged())
    with pytest.raises(ValueError, match="15 bytes"):
        encode(known, codes, key=KEY[:15], sequence=1)
    with pytest.raises(ValueError, match="sequences"):
        encode(known, codes, key=KEY, sequence=0)
    codes[0] = replace(codes[0], octave=0, gain=np.full(known.layers[0].channels, 100, np.int8))
    with pytest.raises(ValueError, match="out of bounds"):
        encode(known, codes, key=KEY, sequence=1)
