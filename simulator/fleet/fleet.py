"""A fleet: devices that see their streams, send up what they choose, and take what the server sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.elastic.student import Raw
from driftc.codegen.elastic.wire import RANDOM, STATUS, UP, Status, Topic, Upload
from driftc.simulator.fleet.devices import Answer, Devices, Visit
from driftc.simulator.fleet.ways import Way

Q12_MOST = 2**16 - 1


@dataclass
class Traffic:
    """Since it was made."""

    uploads: int = 0
    up: int = 0  # bytes, statuses among them
    packets: int = 0  # that reached a device
    down: int = 0  # bytes


@dataclass
class Memory:
    """Of each device between two visits: what it has in flash, how many uploads it sent, the last that it said."""

    left: list[bytes]
    sent: list[int]
    statuses: list[Status | None]
    traffic: Traffic = field(default_factory=Traffic)

    @classmethod
    def new(cls, count: int) -> Memory:
        return cls([b""] * count, [0] * count, [None] * count)


class Fleet:
    """`count` devices of one model, named 1, 2 ... ; chance differs in each of them by `seed`."""

    def __init__(
        self,
        devices: Devices,
        count: int,
        model_id: bytes,
        by_chance: bool,
        seed: int,
        way: Way,
        memory: Memory | None = None,
    ) -> None:
        """`memory` is that of devices that have run before."""
        self.names = [(number + 1).to_bytes(8, "big") for number in range(count)]
        self.memory = memory or Memory.new(count)
        self._devices, self._model_id, self._way = devices, model_id, way
        self._flags = RANDOM if by_chance else 0
        self._seeds = [int(np.random.SeedSequence([seed, n]).generate_state(1)[0]) for n in range(count)]

    @property
    def traffic(self) -> Traffic:
        return self.memory.traffic

    def see(self, streams: Sequence[Raw]) -> list[NDArray[np.int64]]:
        """A round of each device's samples, whose decisions these are; what it wants goes up."""
        answers = self._visit(streams, begins=True)
        for number, answer in enumerate(answers):
            chosen = zip(answer.entropies[answer.wanted], answer.uploads, strict=True)
            for entropy, sample in chosen:
                upload = Upload(self.memory.sent[number], min(int(entropy), Q12_MOST), self._flags, sample)
                self._post(number, UP, upload.packed(self._model_id))
                self.memory.sent[number] += 1
                self.traffic.uploads += 1
        return [answer.decisions for answer in answers]

    def take(self, packets: Sequence[bytes]) -> list[Status]:
        """Every device is given the packets, in their order, and says what came of each."""
        found: list[Status] = []
        for number, answer in enumerate(self._visit([], packets=tuple(packets))):
            for status in answer.statuses:
                self._post(number, STATUS, status.packed())
                self.memory.statuses[number] = status
            found += answer.statuses
            self.traffic.packets += len(packets)
            self.traffic.down += sum(map(len, packets))
        return found

    def decisions(self, streams: Sequence[Raw], *, as_compiled: bool = False) -> list[NDArray[np.int64]]:
        """Of each device's samples, by what it runs now, or as compiled; it does not count as seen."""
        left = [b""] * len(self.names) if as_compiled else self.memory.left
        return [answer.decisions for answer in self._devices.visit(self._visits(streams, left))]

    def _visit(self, streams: Sequence[Raw], *, begins: bool = False, packets: tuple[bytes, ...] = ()) -> list[Answer]:
        answers = self._devices.visit(self._visits(streams, self.memory.left, begins, packets))
        self.memory.left = [answer.left for answer in answers]
        return answers

    def _visits(
        self, streams: Sequence[Raw], left: Sequence[bytes], begins: bool = False, packets: tuple[bytes, ...] = ()
    ) -> list[Visit]:
        given = streams or [np.zeros((0,), np.int8)] * len(self.names)
        rows = zip(self.names, self._seeds, left, given, strict=True)
        return [Visit(name, seed, its, begins, packets, samples) for name, seed, its, samples in rows]

    def _post(self, number: int, kind: str, payload: bytes) -> None:
        self._way.post(Topic(self._model_id, self.names[number], kind), payload)
        self.traffic.up += len(payload)
