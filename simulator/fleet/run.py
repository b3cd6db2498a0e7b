"""Rounds of a fleet and the real server: what each came to."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
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
from driftc.simulator.cache import digest
from driftc.simulator.engine import Program
from driftc.simulator.fleet.devices import Devices
from driftc.simulator.fleet.fleet import Fleet
from driftc.simulator.fleet.row import Learnt, Row
from driftc.simulator.fleet.stages import Stage, Stages, content_of
from driftc.simulator.fleet.ways import SECONDS, Here, Mail, Way
from driftc.simulator.parts import of_driftc, of_folder
from driftc.simulator.shipped import Shipped
from driftc.simulator.workers import dask_is_there, executor, local_cluster

if TYPE_CHECKING:
    from driftc.codegen.elastic.store import Store
    from driftc.codegen.elastic.transports.mqtt import Broker

LARGE = 1000  # devices

Labels = NDArray[np.int64]


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
    """`policy` is the server's. `broker`: None, in process. `workers`: processes, or a Dask scheduler.

    `taught`: words and hashes for what the server learns from, teacher and clean samples.
    """

    devices: int
    rounds: int
    policy: Policy
    broker: Broker | None = None
    workers: int | str | None = None
    taught: tuple[str, ...] = ()


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
    compiled: Compiled,
    rounds: Rounds,
    key: bytes,
    stream: Samples,
    path: Path,
    asked: Asked,
    say: Say,
    progress: Callable[[int, int], None] | None = None,
) -> Simulated:
    """`stream` is what `path` holds. A run that was ended goes on with the round that it was in.

    `progress(done, total)` counts visits to devices. Raises UsageError, DataError or ToolError.
    """
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
    program = compiled.program()
    stages = Stages(digest([*_about(asked, key, seen, samples, labels), *of_folder(program), of_driftc()]))
    stage = stages.last(asked.rounds, asked.devices)
    if stage.rows:
        say(f"{len(stage.rows)} of {asked.rounds} rounds are known from a run that was ended")
    each = asked.devices * (2 if labels is None else 3)
    visited = _counter(progress, each * len(stage.rows), each * asked.rounds)
    with TemporaryDirectory(prefix="driftc-") as place, pool_of(program, asked, say) as (pool, shipped):
        devices = Devices(shipped, key, student.parameters.packet_bytes, pool, visited)
        database = Path(place, "fleet.db")
        if stage.database:
            database.write_bytes(stage.database)
        store = Store(f"sqlite:///{database}", student.model_id, compiled.options.upload_budget)
        try:
            transport, way = ends(student, asked.broker)
            by_chance = compiled.lowered.upload.method == "random"
            fleet = Fleet(devices, asked.devices, student.model_id, by_chance, asked.policy.seed, way, stage.memory)
            server = Attended(student, rounds, store, transport, key, asked.policy, say)
            rows = list(stage.rows)
            try:
                for numbers in seen[len(rows) :]:
                    rows.append(_round(fleet, server, way, samples, labels, numbers))
                    stages.keep(Stage(tuple(rows), fleet.memory, content_of(database)))
            finally:
                way.close()
                server.close()
        finally:
            store.close()
    stages.drop()
    host = None if asked.broker is None else asked.broker.host
    return Simulated(asked.devices, student.model_id.hex(), host, tuple(rows))


def _about(
    asked: Asked, key: bytes, seen: Sequence[Sequence[Labels]], samples: Raw, labels: Labels | None
) -> Iterator[str | bytes]:
    """What a run depends on besides the folder and driftc itself: not on who shares the work."""
    yield repr((asked.devices, asked.rounds, asked.policy, asked.broker and asked.broker.host, asked.taught))
    yield key
    yield samples.tobytes()
    yield b"" if labels is None else labels.tobytes()
    yield from (mine.tobytes() for numbers in seen for mine in numbers)


def _counter(progress: Callable[[int, int], None] | None, done: int, total: int) -> Callable[[int], None]:
    def visited(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    visited(0)
    return visited


@contextmanager
def pool_of(program: Program, asked: Asked, say: Say) -> Iterator[tuple[Executor, Shipped]]:
    """What starts the devices' processes, and what it gives them.

    Where nothing is asked for and there are LARGE devices or more, a Dask cluster of this machine where Dask is there.
    """
    with ExitStack() as stack:
        workers = asked.workers
        if workers is None and asked.devices >= LARGE and dask_is_there():
            workers, count = stack.enter_context(local_cluster())
            say(f"{asked.devices:,} devices: by a local Dask cluster of {count} workers (--workers N: by processes)")
        shipped = Shipped.of(program, workers)
        if isinstance(workers, str):
            yield stack.enter_context(executor(workers, shipped))[0], shipped
        else:
            yield stack.enter_context(ThreadPoolExecutor(workers or os.cpu_count())), shipped


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
        sequences=dict(sorted(Counter(said.active if said else 0 for said in fleet.memory.statuses).items())),
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
