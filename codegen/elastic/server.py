"""The server: keeps what devices upload, learns in rounds, sends packets. One thread receives, another learns.

Every step can be the last one: what is done is in the database first, and what is not is done again (store.py).
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.elastic import packet
from driftc.codegen.elastic.coding import Codes
from driftc.codegen.elastic.round import FEWEST, Outcome, Rounds
from driftc.codegen.elastic.store import Packet, Round, Store, StoreError
from driftc.codegen.elastic.student import Raw, Student
from driftc.codegen.elastic.transports.transport import Message, Transport
from driftc.codegen.elastic.wire import (
    STATUS,
    UP,
    UPDATE,
    UPLOAD_HEADER,
    Dropped,
    DroppedError,
    Status,
    Topic,
    Upload,
    device_bytes,
    device_name,
)
from driftc.codegen.errors import DataError, DriftcError, UsageError

AT_ONCE = 64  # messages in one transaction
PAUSE = 0.05  # seconds between two looks
RETRY = 2.0  # seconds before the database, or the way, is tried again
STEPS = ("begun", "learnt", "kept", "sent", "marked")  # of a round, as `watch` sees them
Say = Callable[[str], None]


@dataclass(frozen=True)
class Policy:
    """`least`: uploads that make a round. `per_device`: each device has rounds and packets of its own."""

    least: int = 256
    per_device: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.least < FEWEST:
            raise UsageError(f"--round {self.least}: a round needs {FEWEST} uploads or more")


class _Stopped(Exception):
    """A round is broken off."""


class Server:
    """`key` signs; `store` is the caller's to close. `watch` is shown each step of a round, once it is done."""

    def __init__(
        self,
        student: Student,
        rounds: Rounds,
        store: Store,
        transport: Transport,
        key: bytes,
        policy: Policy | None = None,
        say: Say = print,
        watch: Callable[[str], None] = lambda step: None,
    ) -> None:
        self._student, self._rounds, self._store, self._transport = student, rounds, store, transport
        self._key, self._policy, self._say, self._watch = key, policy or Policy(), say, watch
        self._arrived: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._held: list[Message] = []  # of these the database could not be told
        self._again = 0.0  # when what failed is tried once more
        self._learner: threading.Thread | None = None
        self._failed: BaseException | None = None
        self._stopping = False

    def open(self) -> None:
        self._transport.open(self._arrived.put, self._say)

    def run(self, stop: threading.Event) -> None:
        """Until `stop`. Raises what a round could not do."""
        while not stop.is_set():
            self.turn(0.2)

    def turn(self, seconds: float = 0.0) -> None:
        """Take what has arrived, begin a round that is due, send what is not sent."""
        if self._arrived.empty():
            self._transport.poll(min(seconds, PAUSE))
        if time.monotonic() < self._again:
            time.sleep(min(seconds, PAUSE))
            return
        try:
            self._take()
            if self._learner is None or not self._learner.is_alive():
                self._raise()
                self._send()
                self._begin()
        except StoreError as problem:
            self._say(f"database: {problem}; trying again")
            self._again = time.monotonic() + RETRY

    def wait(self) -> None:
        """For the round that is under way."""
        if self._learner is not None:
            self._learner.join()
        self._raise()

    def close(self) -> None:
        """A round that is under way is broken off; it is done again at the next start."""
        self._stopping = True
        self._transport.close()
        if self._learner is not None:
            self._learner.join()

    def _go_on(self, *_: int) -> None:
        if self._stopping:
            raise _Stopped

    # --- what arrives ---

    def _take(self) -> None:
        messages, self._held = self._held, []
        while len(messages) < AT_ONCE and not self._arrived.empty():
            messages.append(self._arrived.get())
        if not messages:
            return
        try:
            self._keep(messages)
        except StoreError:
            self._held = messages
            raise
        for message in messages:
            message.acknowledge()

    def _keep(self, messages: Sequence[Message]) -> None:
        uploads: list[tuple[bytes, Upload]] = []
        for message in messages:
            device: bytes | None = None
            try:
                topic = Topic.parse(message.topic)
                device = topic.device
                if topic.model_id != self._student.model_id:
                    raise DroppedError(Dropped.MODEL)
                if topic.kind == UPDATE:
                    self._note(topic, message.payload)
                elif device == packet.ALL_DEVICES:
                    raise DroppedError(Dropped.TOPIC)
                elif topic.kind == UP:
                    found = Upload.unpack(message.payload, self._student.model_id, self._student.input_bytes)
                    uploads.append((device, found))
                elif topic.kind == STATUS:
                    self._hear(device, Status.unpack(message.payload))
            except DroppedError as problem:
                self._store.drop(device, problem.why)
        if uploads:
            self._store.keep(uploads)

    def _hear(self, device: bytes, status: Status) -> None:
        self._store.hear(device, status)
        latest = self._store.latest(device_name(device))
        if not self._transport.keeps and latest is not None and latest.sent and latest.sequence > status.highest:
            self._transport.send(self._topic(latest.group), latest.content)

    def _note(self, topic: Topic, content: bytes) -> None:
        """A packet on the way to devices: another server's, where its key is ours, uses up sequences."""
        try:
            header, _ = packet.opened(content, self._student.parameters, self._key)
        except DataError:
            raise DroppedError(Dropped.FORMAT) from None
        if header.device != topic.device:  # of one device, sent on as if it were for another
            raise DroppedError(Dropped.FORMAT)
        if self._store.note(Packet(header.sequence, device_name(topic.device), content, sent=True)):
            self._say(f"another server has sent a packet of sequence {header.sequence}; the next is above it")

    # --- rounds ---

    def _begin(self) -> None:
        found = self._store.begin(self._policy.least, self._policy.per_device)
        if found is None:
            return
        self._watch("begun")
        self._learner = threading.Thread(target=self._learn, args=(found,), daemon=True)
        self._learner.start()

    def _learn(self, found: Round) -> None:
        try:
            self._round(found)
        except _Stopped:
            pass
        except BaseException as problem:
            self._failed = problem

    def _raise(self) -> None:
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    def _round(self, found: Round) -> None:
        """From the round's uploads to its end in the database. Done again, it comes to the same."""
        samples, devices = self.samples(found)
        active = self._active(found.group)
        self._say(f"round {found.number}: {len(samples)} uploads of {found.group}")
        try:
            outcome = self._rounds.run(samples, active, self._policy.seed + found.number, self._go_on, devices)
        except DriftcError as problem:
            self._say(f"round {found.number}: no packet: {problem}")
            self._store.end(found.number, {"accepted": False, "reason": str(problem)}, None)
            return
        self._watch("learnt")
        made = self._packet(found, outcome)
        sequence = None if made is None else made.sequence
        self._store.end(found.number, {**outcome.as_json(), "uploaded": len(samples), "sequence": sequence}, made)
        self._watch("kept")
        self._say(f"round {found.number}: {summary(outcome, sequence)}")

    def samples(self, found: Round) -> tuple[Raw, NDArray[np.int64]]:
        """A round's uploads, int8 [n, ...], and a number for the device of each."""
        kept = self._store.samples(found.number)
        joined = b"".join(sample for _, sample in kept)
        samples = np.frombuffer(joined, np.int8).reshape(len(kept), *self._student.shape)
        return samples, np.unique([device for device, _ in kept], return_inverse=True)[1].astype(np.int64)

    def _active(self, group: str) -> tuple[Codes, ...] | None:
        latest = self._store.latest(group)
        return None if latest is None else packet.decode(latest.content, self._student.parameters)[1]

    def _packet(self, found: Round, outcome: Outcome) -> Packet | None:
        if outcome.codes is None:
            return None
        sequence = self._store.next_sequence()
        if sequence > packet.LARGEST_SEQUENCE:
            raise UsageError("there is no sequence above the last packet's; compile the model anew")
        content = packet.encode(
            self._student.parameters,
            outcome.codes,
            key=self._key,
            sequence=sequence,
            device=device_bytes(found.group),
        )
        return Packet(sequence, found.group, content, sent=False)

    def _send(self) -> None:
        for made in self._store.unsent():
            if not self._transport.send(self._topic(made.group), made.content):
                return
            self._watch("sent")
            self._store.mark_sent(made.sequence)
            self._watch("marked")
            self._say(f"sent to {made.group}: sequence {made.sequence}, {len(made.content):,} bytes")

    def _topic(self, group: str) -> Topic:
        return Topic(self._student.model_id, device_bytes(group), UPDATE)


def summary(outcome: Outcome, sequence: int | None) -> str:
    """One line of the log."""
    uploads, clean = outcome.uploads, outcome.clean
    found = (
        f"uploads {uploads.before:.1f} -> {uploads.after:.1f} %, clean {clean.before:.1f} -> {clean.after:.1f} %, "
        f"{outcome.seconds:.0f} s"
    )
    return f"sequence {sequence}: {found}" if outcome.accepted else f"no packet: {outcome.reason} ({found})"


def largest_payload(student: Student) -> int:
    """Bytes of the longest message that is not dropped."""
    return max(UPLOAD_HEADER + student.input_bytes, student.parameters.packet_bytes)
