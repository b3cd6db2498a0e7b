"""What a server remembers: devices, uploads, rounds and packets, in a database.

Each method is one transaction. What makes a kill at any moment harmless:

    an upload is acknowledged after the transaction that keeps it
    a round names its uploads before it begins; one that was open when the server died is done again, from the same
    a packet is kept, with the round's end, before it is sent; what is not marked as sent is sent, the same bytes
    sequences are the packets' primary key: no two packets have one

Needs SQLAlchemy, from the extra `elastic`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, select
from sqlalchemy.exc import SQLAlchemyError

from driftc.codegen.elastic.schema import counts, devices, engine_of, owners, packets, rounds, uploads
from driftc.codegen.elastic.wire import Dropped, Status, Upload, device_name
from driftc.codegen.errors import first_line

OPEN, DONE, REFUSED = "open", "done", "refused"


class StoreError(Exception):
    """The database could not do it, for now: a full disk, a server that is away."""


@dataclass(frozen=True)
class Round:
    """`group` is a device's name, or `all`."""

    number: int
    group: str


@dataclass(frozen=True)
class Packet:
    sequence: int
    group: str
    content: bytes
    sent: bool


class Store:
    """Of one model. `url` is SQLAlchemy's; `budget` how many uploads of a device count between two rounds."""

    def __init__(self, url: str, model_id: bytes, budget: int) -> None:
        """Raises UsageError where the database cannot be opened or another server works with it."""
        self.model, self._budget = model_id.hex(), budget
        self._engine = engine_of(url)
        try:
            self._owner = owners(self._engine, self.model)
        except BaseException:
            self._engine.dispose()
            raise

    def close(self) -> None:
        self._owner.close()
        self._engine.dispose()

    def _begin(self) -> AbstractContextManager[Connection]:
        return _Transaction(self._engine)

    # --- what arrives ---

    def keep(self, arrived: Sequence[tuple[bytes, Upload]]) -> list[Dropped | None]:
        """Uploads by device, in their order; for each why it does not count, None where it does. Raises StoreError."""
        found: list[Dropped | None] = []
        now = time.time()
        with self._begin() as connection:
            waiting: dict[str, int] = {}
            for device, upload in arrived:
                name = device_name(device)
                if name not in waiting:
                    self._seen(connection, name, now)
                    waiting[name] = self._waiting(connection, name)
                why = self._kept(connection, name, upload, now, waiting[name])
                waiting[name] += why is None
                if why is not None:
                    self._count(connection, name, why)
                found.append(why)
        return found

    def drop(self, device: bytes | None, why: Dropped) -> None:
        """Count a message that could not be read."""
        with self._begin() as connection:
            self._count(connection, "" if device is None else device_name(device), why)

    def hear(self, device: bytes, status: Status) -> None:
        """What a device says of its updates."""
        name = device_name(device)
        said = {"active": status.active, "highest": status.highest, "reason": int(status.reason)}
        with self._begin() as connection:
            self._seen(connection, name, time.time())
            where = (devices.c.model == self.model) & (devices.c.device == name)
            connection.execute(devices.update().where(where).values(**said))

    def _seen(self, connection: Connection, name: str, now: float) -> None:
        where = (devices.c.model == self.model) & (devices.c.device == name)
        if not connection.execute(devices.update().where(where).values(last=now)).rowcount:
            connection.execute(devices.insert().values(model=self.model, device=name, first=now, last=now))

    def _waiting(self, connection: Connection, name: str) -> int:
        where = (uploads.c.model == self.model) & (uploads.c.device == name) & uploads.c.round.is_(None)
        return int(connection.execute(select(func.count()).where(where)).scalar_one())

    def _kept(self, connection: Connection, name: str, upload: Upload, now: float, waiting: int) -> Dropped | None:
        digest = sha256(upload.sample).hexdigest()
        where = (uploads.c.model == self.model) & (uploads.c.digest == digest)
        if connection.execute(select(uploads.c.number).where(where)).first() is not None:
            return Dropped.REPEATED
        if waiting >= self._budget:
            return Dropped.BUDGET
        row = {"device": name, "sequence": upload.sequence, "entropy": upload.entropy, "flags": upload.flags}
        values = {"model": self.model, **row, "digest": digest, "sample": upload.sample, "received": now}
        connection.execute(uploads.insert().values(**values))
        return None

    def _count(self, connection: Connection, name: str, why: Dropped) -> None:
        where = (counts.c.model == self.model) & (counts.c.device == name) & (counts.c.why == str(why))
        if not connection.execute(counts.update().where(where).values(count=counts.c.count + 1)).rowcount:
            connection.execute(counts.insert().values(model=self.model, device=name, why=str(why), count=1))

    # --- rounds ---

    def begin(self, least: int, per_device: bool) -> Round | None:
        """The round that is open, or a new one of all waiting uploads where `least` of them are there.

        Raises UsageError where another server has taken the model over while the database was away.
        """
        try:
            self._owner.hold()
        except SQLAlchemyError as problem:
            raise StoreError(_said(problem)) from None
        with self._begin() as connection:
            mine = (rounds.c.model == self.model) & (rounds.c.state == OPEN)
            row = connection.execute(select(rounds.c.number, rounds.c.group).where(mine)).first()
            if row is not None:
                return Round(row.number, row.group)
            group = self._ready(connection, least, per_device)
            if group is None:
                return None
            made = rounds.insert().values(model=self.model, group=group, state=OPEN, began=time.time())
            key = connection.execute(made).inserted_primary_key
            assert key is not None
            number = int(key[0])
            waiting = (uploads.c.model == self.model) & uploads.c.round.is_(None)
            if group != "all":
                waiting &= uploads.c.device == group
            connection.execute(uploads.update().where(waiting).values(round=number))
            return Round(number, group)

    def _ready(self, connection: Connection, least: int, per_device: bool) -> str | None:
        count = func.count()
        where = (uploads.c.model == self.model) & uploads.c.round.is_(None)
        if not per_device:
            return "all" if connection.execute(select(count).where(where)).scalar_one() >= least else None
        grouped = select(uploads.c.device).where(where).group_by(uploads.c.device).having(count >= least)
        row = connection.execute(grouped.order_by(func.min(uploads.c.number))).first()
        return None if row is None else str(row.device)

    def samples(self, number: int) -> list[tuple[str, bytes]]:
        """Device and sample of a round's uploads, by device and then as they came."""
        wanted = select(uploads.c.device, uploads.c.sample)
        query = wanted.where((uploads.c.model == self.model) & (uploads.c.round == number))
        with self._begin() as connection:
            found = connection.execute(query.order_by(uploads.c.device, uploads.c.number))
            return [(row.device, row.sample) for row in found]

    def next_sequence(self) -> int:
        """Above that of every packet that was kept or noted."""
        highest = select(func.max(packets.c.sequence)).where(packets.c.model == self.model)
        with self._begin() as connection:
            return int(connection.execute(highest).scalar_one() or 0) + 1

    def end(self, number: int, report: dict[str, Any], packet: Packet | None) -> None:
        """The round is over: its report, and the packet where one was made. Both or neither."""
        state = REFUSED if packet is None else DONE
        values = {"state": state, "ended": time.time(), "report": json.dumps(report)}
        with self._begin() as connection:
            connection.execute(rounds.update().where(rounds.c.number == number).values(**values))
            if packet is not None:
                self._add(connection, packet, number)

    def note(self, packet: Packet) -> bool:
        """A packet that some other server sent: no sequence up to its own is used again. False: it is known."""
        with self._begin() as connection:
            known = (packets.c.model == self.model) & (packets.c.sequence == packet.sequence)
            if connection.execute(select(packets.c.sequence).where(known)).first() is not None:
                return False
            self._add(connection, packet, None)
            return True

    def _add(self, connection: Connection, packet: Packet, number: int | None) -> None:
        row = {"sequence": packet.sequence, "group": packet.group, "content": packet.content, "round": number}
        sent = time.time() if packet.sent else None
        connection.execute(packets.insert().values(model=self.model, **row, made=time.time(), sent=sent))

    def unsent(self) -> list[Packet]:
        """In the order of their sequences."""
        where = (packets.c.model == self.model) & packets.c.sent.is_(None)
        query = select(packets).where(where).order_by(packets.c.sequence)
        with self._begin() as connection:
            return [Packet(row.sequence, row.group, row.content, False) for row in connection.execute(query)]

    def mark_sent(self, sequence: int) -> None:
        where = (packets.c.model == self.model) & (packets.c.sequence == sequence)
        with self._begin() as connection:
            connection.execute(packets.update().where(where).values(sent=time.time()))

    def latest(self, group: str) -> Packet | None:
        """What the group's devices run, once all has arrived: the last packet for it, or for all."""
        where = (packets.c.model == self.model) & packets.c.group.in_({group, "all"})
        query = select(packets).where(where).order_by(packets.c.sequence.desc()).limit(1)
        with self._begin() as connection:
            row = connection.execute(query).first()
        return None if row is None else Packet(row.sequence, row.group, row.content, row.sent is not None)

    # --- what there is ---

    def heard(self) -> int:
        """Messages that were kept as uploads or dropped, since there is a database."""
        kept = select(func.count()).where(uploads.c.model == self.model)
        dropped = select(func.sum(counts.c.count)).where(counts.c.model == self.model)
        with self._begin() as connection:
            found = [connection.execute(query).scalar_one() for query in (kept, dropped)]
        return sum(int(count or 0) for count in found)

    def as_json(self) -> dict[str, Any]:
        """The status page's object."""
        with self._begin() as connection:

            def every(table: Table, *columns: Any, order: Any) -> list[dict[str, Any]]:
                query = select(*columns).where(table.c.model == self.model).order_by(order)
                return [dict(row._mapping) for row in connection.execute(query)]

            count = func.count()
            kept = select(uploads.c.device, count, count.filter(uploads.c.round.is_(None)))
            grouped = kept.where(uploads.c.model == self.model).group_by(uploads.c.device)
            totals = {row[0]: (row[1], row[2]) for row in connection.execute(grouped)}
            dropped = every(counts, counts.c.device, counts.c.why, counts.c.count, order=counts.c.device)
            of_devices = every(devices, *(c for c in devices.c if c.name != "model"), order=devices.c.device)
            of_rounds = every(rounds, *(c for c in rounds.c if c.name != "model"), order=rounds.c.number)
            small = [c for c in packets.c if c.name not in ("model", "content")]
            of_packets = every(packets, *small, order=packets.c.sequence)
        for row in of_devices:
            row["uploads"], row["waiting"] = totals.get(row["device"], (0, 0))
            row["dropped"] = {c["why"]: c["count"] for c in dropped if c["device"] == row["device"]}
        for row in of_rounds:
            row["report"] = None if row["report"] is None else json.loads(row["report"])
        strangers = _by_reason(c for c in dropped if c["device"] not in {row["device"] for row in of_devices})
        found = {"model_id": self.model, "devices": of_devices, "dropped": strangers}
        return {**found, "rounds": of_rounds, "packets": of_packets}


def _by_reason(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        found[row["why"]] = found.get(row["why"], 0) + row["count"]
    return found


class _Transaction(AbstractContextManager[Connection]):
    """Begun, and committed at its end; what the database says against it is a StoreError."""

    def __init__(self, engine: Engine) -> None:
        self._context = engine.begin()

    def __enter__(self) -> Connection:
        try:
            return self._context.__enter__()
        except SQLAlchemyError as problem:
            raise StoreError(_said(problem)) from None

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._context.__exit__(kind, problem, trace)
        except SQLAlchemyError as other:
            raise StoreError(_said(other)) from None
        if isinstance(problem, SQLAlchemyError):
            raise StoreError(_said(problem)) from None


def _said(problem: SQLAlchemyError) -> str:
    return first_line(getattr(problem, "orig", None) or problem)
