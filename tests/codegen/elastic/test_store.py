"""What a server remembers, and that it remembers it however the process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from float_models import skip_without

from driftc.codegen.elastic.packet import Reason
from driftc.codegen.elastic.wire import Dropped, Status, Upload
from driftc.codegen.errors import UsageError

skip_without("sqlalchemy", "elastic")

from driftc.codegen.elastic.store import Packet, Store, StoreError  # noqa: E402

MODEL, A, B = bytes(range(8)), b"device A", b"device B"


def upload(number: int) -> Upload:
    return Upload(number, 4096, 0, number.to_bytes(12, "little"))


def opened(folder: Path, budget: int = 256) -> Store:
    return Store(f"sqlite:///{folder}/server.db", MODEL, budget)


def test_identical_uploads_count_once_and_a_flood_waits_for_the_next_round(tmp_path: Path) -> None:
    store = opened(tmp_path, budget=3)
    given = [(A, upload(0)), (A, upload(0)), (B, upload(0)), (A, upload(1)), (A, upload(2)), (A, upload(3))]
    assert store.keep(given) == [None, Dropped.REPEATED, Dropped.REPEATED, None, None, Dropped.BUDGET]
    assert store.keep([(A, upload(4)), (B, upload(5))]) == [Dropped.BUDGET, None]
    found = store.begin(4, per_device=False)
    assert found is not None and found.group == "all"
    assert [sample for _, sample in store.samples(found.number)] == [upload(n).sample for n in (0, 1, 2, 5)]
    assert store.keep([(A, upload(6)), (A, upload(1))]) == [None, Dropped.REPEATED]
    said = {row["device"]: row for row in store.as_json()["devices"]}
    assert said[A.hex()]["dropped"] == {"repeated": 2, "budget": 2}
    assert (said[A.hex()]["uploads"], said[A.hex()]["waiting"]) == (4, 1)
    store.close()


def test_a_round_of_one_device_takes_its_uploads_alone(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.keep([(A, upload(0)), (B, upload(1)), (B, upload(2))])
    found = store.begin(2, per_device=True)
    assert found is not None and found.group == B.hex()
    assert store.samples(found.number) == [(B.hex(), upload(1).sample), (B.hex(), upload(2).sample)]
    assert store.begin(1, per_device=True) == found  # it is open still
    store.end(found.number, {"reason": "none"}, None)
    other = store.begin(1, per_device=True)
    assert other is not None and other.group == A.hex()
    store.close()


def test_a_packet_is_kept_with_the_end_of_its_round_and_sent_once(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.keep([(A, upload(0))])
    found = store.begin(1, per_device=False)
    assert found is not None and store.next_sequence() == 1
    packet = Packet(1, "all", b"content", sent=False)
    store.end(found.number, {"reason": ""}, packet)
    store.close()
    store = opened(tmp_path)
    assert store.unsent() == [packet] and store.begin(1, per_device=False) is None
    store.mark_sent(1)
    assert store.unsent() == [] and store.latest(A.hex()) == Packet(1, "all", b"content", sent=True)
    with pytest.raises(StoreError):
        store.end(found.number, {"reason": "again"}, packet)
    (row,) = store.as_json()["rounds"]
    assert row["state"] == "done" and row["report"] == {"reason": ""}  # both or neither
    store.close()


def test_sequences_rise_above_what_another_server_sent(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert store.note(Packet(7, "all", b"other", sent=True))
    assert not store.note(Packet(7, "all", b"other", sent=True))
    assert store.next_sequence() == 8 and store.unsent() == []
    store.close()


def test_one_server_works_with_a_model(tmp_path: Path) -> None:
    store = opened(tmp_path)
    with pytest.raises(UsageError, match="another server"):
        opened(tmp_path)
    other = Store(f"sqlite:///{tmp_path}/server.db", bytes(8), 1)
    other.close()
    store.close()
    opened(tmp_path).close()


def test_statuses_and_drops_are_seen(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.hear(A, Status(3, 5, Reason.TAG))
    store.drop(A, Dropped.LENGTH)
    store.drop(None, Dropped.TOPIC)
    store.drop(B, Dropped.MODEL)
    found = store.as_json()
    (row,) = found["devices"]
    assert (row["active"], row["highest"], row["reason"], row["dropped"]) == (3, 5, 8, {"length": 1})
    assert found["dropped"] == {"topic": 1, "model": 1}
    store.close()


@pytest.mark.parametrize("url", ["nothing", "sqlite:////nowhere/at/all.db", "mysql+nothing://x/y"])
def test_databases_that_cannot_be_opened_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--database"):
        Store(url, MODEL, 1)


WRITER = """
import sys
from driftc.codegen.elastic.store import Store
from driftc.codegen.elastic.wire import Upload
store = Store(sys.argv[1], bytes(range(8)), 10**9)
number = 0
while True:
    some = [Upload(n, 0, 0, n.to_bytes(12, "little")) for n in range(number, number + 3)]
    assert store.keep([(b"device A", one) for one in some]) == [None] * 3
    number += 3
    print(number, flush=True)
"""


def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/server.db"
    with subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(20)]
        os.kill(writer.pid, signal.SIGKILL)
        lines += writer.stdout.readlines()
    acknowledged = int([line for line in lines if line.endswith("\n")][-1])
    store = opened(tmp_path)
    found = store.begin(1, per_device=False)
    assert found is not None
    kept = [sample for _, sample in store.samples(found.number)]
    assert len(kept) >= acknowledged >= 60 and len(kept) % 3 == 0
    assert kept == [n.to_bytes(12, "little") for n in range(len(kept))]
    store.close()
