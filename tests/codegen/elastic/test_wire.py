"""Topics, uploads and statuses: what is written is read, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from driftc.codegen.elastic.packet import ALL_DEVICES, Reason
from driftc.codegen.elastic.wire import Dropped, DroppedError, Status, Topic, Upload, device_bytes

MODEL, DEVICE = bytes(range(8)), bytes(range(8, 16))


@pytest.mark.parametrize("device", [DEVICE, ALL_DEVICES])
def test_a_topic_is_read_back(device: bytes) -> None:
    topic = Topic(MODEL, device, "update")
    assert Topic.parse(str(topic)) == topic


@pytest.mark.parametrize(
    "text",
    [
        "",
        "driftc",
        "driftc/0001020304050607/08090A0B0C0D0E0F/up",
        "driftc/0001020304050607/08090a0b0c0d0e0f/up\n",
        "driftc/0001020304050607/08090a0b0c0d0e0f/up/more",
        "driftc/0001020304050607/../up",
        "other/0001020304050607/08090a0b0c0d0e0f/up",
    ],
)
def test_other_topics_are_dropped(text: str) -> None:
    with pytest.raises(DroppedError) as raised:
        Topic.parse(text)
    assert raised.value.why is Dropped.TOPIC


@pytest.mark.parametrize("name", ["0" * 16, "12", "x" * 16, "", "0102030405060708090a"])
def test_what_names_no_device_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="16 hex digits"):
        device_bytes(name)


def test_an_upload_is_read_back() -> None:
    sample = np.arange(-6, 6, dtype=np.int8).tobytes()
    upload = Upload(2**32 - 1, 3 << 12, 1, sample)
    found = Upload.unpack(upload.packed(MODEL), MODEL, 12)
    assert (found.sequence, found.entropy, found.flags, found.sample) == (2**32 - 1, 3 << 12, 1, sample)
    assert found.array((3, 4)).tolist() == np.arange(-6, 6).reshape(3, 4).tolist()


def test_an_entropy_saturates() -> None:
    assert Upload.unpack(Upload(0, 1 << 20, 0, b"").packed(MODEL), MODEL, 0).entropy == 0xFFFF
    assert Upload.unpack(Upload(0, -5, 0, b"").packed(MODEL), MODEL, 0).entropy == 0


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [(6, 2, Dropped.FORMAT), (7, 0, Dropped.FORMAT), (7, 2, Dropped.FORMAT), (8, 99, Dropped.MODEL)],
)
def test_a_changed_upload_is_dropped(place: int, value: int, why: Dropped) -> None:
    payload = bytearray(Upload(7, 100, 0, bytes(12)).packed(MODEL))
    payload[place] = value
    with pytest.raises(DroppedError) as raised:
        Upload.unpack(bytes(payload), MODEL, 12)
    assert raised.value.why is why


def test_every_other_length_is_dropped() -> None:
    payload = Upload(7, 100, 0, bytes(12)).packed(MODEL) + b"more"
    for length in range(len(payload) + 1):
        if length == 28:
            continue
        with pytest.raises(DroppedError) as raised:
            Upload.unpack(payload[:length], MODEL, 12)
        assert raised.value.why is Dropped.LENGTH


def test_a_status_is_read_back() -> None:
    status = Status(3, 5, Reason.TAG)
    assert Status.unpack(status.packed()) == status


def test_random_bytes_are_taken_or_dropped_and_never_worse() -> None:
    random = np.random.default_rng(0)
    kept = 0
    for _ in range(20_000):
        content = bytearray(random.bytes(int(random.integers(0, 40))))
        if random.random() < 0.5 and len(content) >= 16:
            content[6:16] = bytes([content[6] & 1, 1]) + MODEL
        for read in (lambda payload: Upload.unpack(payload, MODEL, 12), Status.unpack):
            try:
                found = read(bytes(content))
            except DroppedError:
                continue
            kept += 1
            assert found.packed(MODEL) == content if isinstance(found, Upload) else found.packed() == content
    assert kept > 100
