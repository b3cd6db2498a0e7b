"""The same memory in PostgreSQL, of the test's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from float_models import skip_without

from driftc.codegen.elastic.packet import Reason
from driftc.codegen.elastic.wire import Dropped, Status, Upload
from driftc.codegen.errors import UsageError

skip_without("sqlalchemy", "elastic")
skip_without("psycopg", "postgresql")

from driftc.codegen.elastic.store import Packet, Store, StoreError  # noqa: E402

MODEL, A, B = bytes(range(8)), b"device A", b"device B"
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class Cluster:
    """Started and stopped as its own user where the tests are root, whom PostgreSQL refuses."""

    def __init__(self, folder: Path) -> None:
        if not PROGRAMS and not os.environ.get("DRIFTC_REQUIRE"):
            pytest.skip("absent: postgresql")
        self._folder, self._as = folder, ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as:
            shutil.chown(folder, "postgres")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "driftc")
        self.url = f"postgresql+psycopg://driftc@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run(
            "pg_ctl", "-D", str(self._folder / "data"), "-l", str(self._folder / "log"), "-o", options, "-w", "start"
        )

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(PROGRAMS[-1] / program), *arguments]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        made = Cluster(Path(folder))
        made.start()
        yield made
        made.stop()


def upload(number: int) -> Upload:
    return Upload(2**32 - 1 - number, 4096, 0, number.to_bytes(12, "little"))


def test_uploads_rounds_and_packets(cluster: Cluster) -> None:
    store = Store(cluster.url, MODEL, 3)
    given = [(A, upload(0)), (A, upload(0)), (B, upload(1)), (A, upload(2)), (A, upload(3)), (A, upload(4))]
    assert store.keep(given) == [None, Dropped.REPEATED, None, None, None, Dropped.BUDGET]
    with pytest.raises(UsageError, match="another server"):
        Store(cluster.url, MODEL, 3)
    found = store.begin(4, per_device=False)
    assert found is not None
    assert [sample for _, sample in store.samples(found.number)] == [upload(n).sample for n in (0, 2, 3, 1)]
    packet = Packet(2**32 - 1, "all", b"content", sent=False)
    store.end(found.number, {"reason": ""}, packet)
    with pytest.raises(StoreError):
        store.end(found.number, {"reason": "again"}, packet)
    store.hear(A, Status(1, 2**32 - 1, Reason.TAG))
    store.close()
    store = Store(cluster.url, MODEL, 3)
    assert store.unsent() == [packet]
    store.mark_sent(packet.sequence)
    store.keep([(B, upload(10)), (B, upload(11))])
    of_one = store.begin(2, per_device=True)
    assert of_one is not None and of_one.group == B.hex()
    said = store.as_json()
    assert [row["state"] for row in said["rounds"]] == ["done", "open"]
    assert [(row["device"], row["uploads"], row["highest"]) for row in said["devices"]] == [
        (A.hex(), 3, 2**32 - 1),
        (B.hex(), 3, None),
    ]
    store.close()


def again(what: Callable[[], Any]) -> Any:
    """As a server tries: each connection that was lost may be an error once."""
    for _ in range(3):
        with contextlib.suppress(StoreError):
            return what()
    return what()


def test_a_database_that_goes_away_is_there_again(cluster: Cluster) -> None:
    store = Store(cluster.url, MODEL, 3)
    store.keep([(A, upload(0))])
    cluster.stop()
    with pytest.raises(StoreError):
        store.keep([(A, upload(1))])
    cluster.start()
    assert again(lambda: store.keep([(A, upload(1)), (A, upload(0))])) == [None, Dropped.REPEATED]
    assert again(lambda: store.begin(1, per_device=False)) is not None
    with pytest.raises(UsageError, match="another server"):
        Store(cluster.url, MODEL, 3)
    store.close()
