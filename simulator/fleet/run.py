"""Rounds of a fleet and the real server: what each came to."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.compiled import Compiled
from driftc.codegen.elastic.given import raw
from driftc.codegen.elastic.packet import Reason
from driftc.codegen.elastic.round import Rounds
from driftc.codegen.elastic.server import Policy, Say, Server, largest_payload
from driftc.codegen.elastic.student import Raw, Student
from driftc.codegen.elastic.transports.transport import Transport
from driftc.codegen.errors import DataError, ToolError, UsageError
from driftc.codegen.samples import Samples, integers
from driftc.simulator.fleet.devices import Devices
from driftc.simulator.fleet.fleet import Fleet
from driftc.simulator.fleet.ways import SECONDS, Here, Mail, Way
from driftc.simulator.workers import executor

if TYPE_CHECKING:
    from driftc.codegen.elastic.store import Store
    from driftc.codegen.elastic.transports.mqtt import Broker

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Learnt:
    """A round of the server."""

    number: int
    uploads: int
    sequence: int | None  # of its packet
    reason: str  # why there is none


@dataclass(frozen=True)
class Row:
    """A round of the fleet. Accuracy is of the samples that were seen in it, None where they have no labels.

    `dropped`: uploads that the server did not take, by reason; `refused`: packets that devices did not, likewise.
    `sequences`: how many devices run which at its end, 0: as compiled.
    """

    samples: int
    accuracy: float | None
    as_compiled: float | None
    uploads: int
    bytes_up: int
    waiting: int  # uploads that the server has kept and not learnt from yet
    dropped: dict[str, int]
    learnt: tuple[Learnt, ...]
    packets: int
    bytes_down: int
    refused: dict[str, int]
    sequences: dict[int, int]


@dataclass(frozen=True)
class Simulated:
    """What the fleet did."""

    devices: int
    model_id: str
    broker: str | None
    rounds: tuple[Row, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Asked:
    """`policy` is the server's. `broker`: None, in process. `workers`: processes, or a Dask scheduler."""

    devices: int
    rounds: int
    policy: Policy
    broker: Broker | None = None
    workers: int | str | None = None


def shares(path: Path, samples: int, devices: int, rounds: int) -> list[list[NDArray[np.int64]]]:
    """Numbers of samples, of each round for each device.

    The array `device` of the file says whose each is, 0 to `devices` - 1; without it each has a part of the file in
    a row, all about as long. Its own samples a device sees in the file's order, in `rounds` parts about as long.
    Raises DataError where they are too few.
    """
    whose = integers(path, "device", samples)
    if whose is None:
        parts = np.array_split(np.arange(samples), devices)
    elif whose.min() < 0 or whose.max() >= devices:
        raise DataError(f"{path.name}: 'device' goes from {whose.min()} to {whose.max()}, not 0 to {devices - 1}")
    else:
        parts = [np.flatnonzero(whose == number) for number in range(devices)]
    fewest = min(map(len, parts))
    if fewest < rounds:
        raise DataError(f"{path.name}: {fewest} samples for a device; {rounds} rounds need {rounds} or more of each")
    split = [np.array_split(part, rounds) for part in parts]
    return [[rows[number].astype(np.int64) for rows in split] for number in range(rounds)]


def simulate_fleet(
    compiled: Compiled, rounds: Rounds, key: bytes, stream: Samples, path: Path, asked: Asked, say: Say
) -> Simulated:
    """`stream` is what `path` holds. Raises UsageError, DataError or ToolError."""
    from driftc.codegen.elastic.store import Store

    if compiled.lowered.upload is None:
        raise UsageError(
            f"{compiled.lowered.graph.source}: its devices choose nothing to send; compile it with --upload entropy or "
            "--upload random"
        )
    student = Student.of(compiled.lowered)
    seen = shares(path, len(stream), asked.devices, asked.rounds)
    samples = raw(stream, student)
    labels = None if stream.labels is None else stream.labels.astype(np.int64)
    with TemporaryDirectory(prefix="driftc-") as place, pool_of(asked.workers) as pool:
        devices = Devices(compiled.program(), key, student.parameters.packet_bytes, pool)
        store = Store(f"sqlite:///{Path(place, 'fleet.db')}", student.model_id, compiled.options.upload_budget)
        try:
            transport, way = ends(student, asked.broker)
            by_chance = compiled.lowered.upload.method == "random"
            fleet = Fleet(devices, asked.devices, student.model_id, by_chance, asked.policy.seed, way)
            server = Attended(student, rounds, store, transport, key, asked.policy, say)
            try:
                rows = [_round(fleet, server, way, samples, labels, numbers) for numbers in seen]
            finally:
                way.close()
                server.close()
        finally:
            store.close()
    host = None if asked.broker is None else asked.broker.host
    return Simulated(asked.devices, student.model_id.hex(), host, tuple(rows))


@contextmanager
def pool_of(workers: int | str | None) -> Iterator[Executor]:
    """What starts the devices' processes."""
    if isinstance(workers, str):
        with executor(workers) as (pool, _):
            yield pool
    else:
        with ThreadPoolExecutor(workers or os.cpu_count()) as threads:
            yield threads


def ends(student: Student, broker: Broker | None) -> tuple[Transport, Way]:
    """The server's and the devices'. Raises UsageError or ToolError."""
    if broker is None:
        here = Here(student.model_id, largest_payload(student))
        return here, here
    from driftc.codegen.elastic.transports.mqtt import Mqtt

    way = Mail(broker, student.model_id)
    return Mqtt(student.model_id, largest_payload(student), broker, f"fleet-server-{os.getpid()}"), way


class Attended:
    """The server, turned by hand until it has done all that it was given reason to do."""

    def __init__(
        self,
        student: Student,
        rounds: Rounds,
        store: Store,
        transport: Transport,
        key: bytes,
        policy: Policy,
        say: Say,
    ) -> None:
        self._steps: list[str] = []
        self._store = store
        self._server = Server(student, rounds, store, transport, key, policy, say, self._steps.append)
        self._server.open()

    def close(self) -> None:
        self._server.close()

    def settle(self, way: Way, uploads: int) -> list[bytes]:
        """Once `uploads` have reached it, and rounds are over: the packets that were sent. Raises ToolError."""
        began, heard = time.monotonic(), -1
        sent = self._steps.count("marked")
        while True:
            steps = len(self._steps)
            self._server.turn(0.05)
            self._server.wait()
            now = self._store.heard()
            if now != heard or steps != len(self._steps):
                began, heard = time.monotonic(), now
            elif now >= uploads and not self._store.unsent():
                break
            elif time.monotonic() - began > SECONDS:
                raise ToolError(f"the server has {now} of {uploads} uploads, and nothing happens any more")
        packets: list[bytes] = []
        expected = self._steps.count("marked") - sent
        while len(packets) < expected:
            packets += way.packets()
            if len(packets) < expected:
                if time.monotonic() - began > SECONDS:
                    raise ToolError(f"{expected - len(packets)} of {expected} packets did not reach the devices")
                time.sleep(0.02)
        return packets

    @property
    def status(self) -> dict[str, Any]:
        return self._store.as_json()


def _round(
    fleet: Fleet, server: Attended, way: Way, samples: Raw, labels: Labels | None, numbers: Sequence[NDArray[np.int64]]
) -> Row:
    before, known = asdict(fleet.traffic), server.status
    streams = [samples[mine] for mine in numbers]
    decided = fleet.see(streams)
    plain = None if labels is None else fleet.decisions(streams, as_compiled=True)
    statuses = fleet.take(server.settle(way, fleet.traffic.uploads))
    after, status = asdict(fleet.traffic), server.status
    wanted = None if labels is None else [labels[mine] for mine in numbers]
    gone = {key: after[key] - before[key] for key in after}
    refused = Counter(said.reason.name for said in statuses if said.reason is not Reason.OK)
    return Row(
        samples=sum(map(len, numbers)),
        accuracy=_accuracy(decided, wanted),
        as_compiled=_accuracy(plain, wanted),
        uploads=gone["uploads"],
        bytes_up=gone["up"],
        waiting=sum(device["waiting"] for device in status["devices"]),
        dropped=dict(sorted((_dropped(status) - _dropped(known)).items())),
        learnt=tuple(map(_learnt, status["rounds"][len(known["rounds"]) :])),
        packets=gone["packets"],
        bytes_down=gone["down"],
        refused=dict(sorted(refused.items())),
        sequences=dict(sorted(Counter(said.active if said else 0 for said in fleet.statuses).items())),
    )


def _accuracy(decided: Sequence[Labels] | None, wanted: Sequence[Labels] | None) -> float | None:
    if decided is None or wanted is None:
        return None
    return float(np.mean(np.concatenate(decided) == np.concatenate(wanted)))


def _dropped(status: dict[str, Any]) -> Counter[str]:
    found = Counter(status["dropped"])
    for device in status["devices"]:
        found.update(device["dropped"])
    return found


def _learnt(found: dict[str, Any]) -> Learnt:
    report = found["report"] or {}
    uploads = report.get("uploaded", 0)
    return Learnt(found["number"], uploads, report.get("sequence"), report.get("reason", ""))
