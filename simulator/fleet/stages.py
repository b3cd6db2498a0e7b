"""What a fleet and its server know after each round, kept so that a run that was ended goes on with the next."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from driftc.simulator.fleet.fleet import Memory
from driftc.simulator.fleet.row import Row
from driftc.simulator.kept import Kept


@dataclass(frozen=True, eq=False)
class Stage:
    """After `rows`: what the devices have in them, and the server's database, b"" before the first."""

    rows: tuple[Row, ...]
    memory: Memory
    database: bytes


class Stages:
    """Of one run, in the cache: the last of them."""

    def __init__(self, key: str) -> None:
        self._kept = Kept("fleet", key)

    def last(self, rounds: int, devices: int) -> Stage:
        for count in range(rounds, 0, -1):
            if self._kept.has(count):
                found: Stage = self._kept.get(count)
                return found
        return Stage((), Memory.new(devices), b"")

    def keep(self, stage: Stage) -> None:
        count = len(stage.rows)
        self._kept.put(count, stage)
        if self._kept.has(count):
            self._kept.drop(count - 1)

    def drop(self) -> None:
        self._kept.drop()


def content_of(database: Path) -> bytes:
    """The bytes of an SQLite file that is in use, after its last transaction."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.serialize()
