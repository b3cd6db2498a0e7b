"""Devices in C (firmware/ports/fleet.c): what they see, send and take; they are off between two visits."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.elastic.packet import Reason
from driftc.codegen.elastic.student import Raw
from driftc.codegen.elastic.wire import Status
from driftc.codegen.errors import ToolError, UsageError
from driftc.simulator.engine import Program
from driftc.simulator.program import build_host
from driftc.simulator.shipped import Shipped
from driftc.simulator.stream import ended

TOGETHER = 16  # visits of one process
TIMEOUT = 600  # seconds for these
CHOOSER_BYTES = 20  # driftc_chooser_t
KNOWN, ROUND = 1, 2
_HEAD, _STATUS, _WANTED = struct.Struct("<8siIii"), struct.Struct("<III"), struct.Struct("<ii")


@dataclass(frozen=True, eq=False)
class Visit:
    """`samples` int8 [n, ...], after `packets`. `left`: what the last visit gave, b"" for a device that is new.

    `begins`: a round of uploads does, so that the whole budget is there again.
    """

    device: bytes
    seed: int
    left: bytes
    begins: bool
    packets: tuple[bytes, ...]
    samples: Raw


@dataclass(frozen=True, eq=False)
class Answer:
    """`statuses`: after each packet; `outputs` [n, ...]; of each sample `wanted` and `entropies`, bits in Q.12.

    `uploads`: the inputs of those that are wanted, as the device keeps them.
    """

    statuses: tuple[Status, ...]
    outputs: NDArray[np.int8]
    wanted: NDArray[np.bool_]
    entropies: NDArray[np.int64]
    uploads: tuple[bytes, ...]
    left: bytes

    @property
    def decisions(self) -> NDArray[np.int64]:
        return np.asarray(self.outputs.reshape(len(self.outputs), prod(self.outputs.shape[1:])).argmax(-1), np.int64)


class Devices:
    """All of one compiled folder, and with one key."""

    def __init__(
        self,
        shipped: Shipped,
        key: bytes,
        packet_bytes: int,
        pool: Executor,
        visited: Callable[[int], None] = lambda count: None,
    ) -> None:
        """`pool` runs them; `visited` hears how many more visits are over.

        Raises UsageError where the C uploads nothing, ToolError without a compiler.
        """
        program = shipped.program
        if not (program.folder / "simulator" / "device.h").is_file():
            raise UsageError(
                f"{program.folder}: its devices choose nothing to send; compile the model again, with --upload entropy "
                "or --upload random"
            )
        build_host(program, trace=False, main="fleet")
        self._shipped, self._key, self._pool, self._visited = shipped, key, pool, visited
        slot = 32 + -(-packet_bytes // 32) * 32  # DRIFTC_SLOTS_BYTES
        self._left_bytes = CHOOSER_BYTES + 2 * slot

    def visit(self, visits: Sequence[Visit]) -> list[Answer]:
        """An answer depends on its own visit alone."""
        parts = [visits[first : first + TOGETHER] for first in range(0, len(visits), TOGETHER)]
        run = partial(_run, self._shipped, self._key, self._left_bytes)
        found: list[Answer] = []
        for answers in self._pool.map(run, parts):
            found += answers
            self._visited(len(answers))
        return found


def _run(shipped: Shipped, key: bytes, left_bytes: int, visits: Sequence[Visit]) -> list[Answer]:
    program = shipped.here()
    executable = build_host(program, trace=False, main="fleet")
    parts = [struct.pack("<ii", len(key), len(visits)), key]
    for visit in visits:
        flags = KNOWN * bool(visit.left) | ROUND * visit.begins
        parts += [
            _HEAD.pack(visit.device, flags, visit.seed, len(visit.packets), len(visit.samples)),
            visit.left,
            *(struct.pack("<i", len(packet)) + packet for packet in visit.packets),
            np.ascontiguousarray(visit.samples).tobytes(),
        ]
    name = program.name
    try:
        done = subprocess.run([executable], input=b"".join(parts), capture_output=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise ToolError(f"{name}: {len(visits)} devices not done after {TIMEOUT} s on this machine") from None
    if done.returncode != 0:
        raise ToolError(f"{name}: the devices' program ended with {ended(done.returncode)}")
    said = _Said(done.stdout)
    answers = [_answer(program, left_bytes, said, visit) for visit in visits]
    if said.rest:
        raise ToolError(f"{name}: the devices' program said {said.rest} bytes too many")
    return answers


def _answer(program: Program, left_bytes: int, said: _Said, visit: Visit) -> Answer:
    statuses = []
    for _ in visit.packets:
        reason, active, highest = _STATUS.unpack(said.take(_STATUS.size))
        statuses.append(Status(active, highest, Reason(reason)))
    (port,), (entry,) = program.outputs, program.inputs
    outputs, wanted, entropies, uploads = [], [], [], []
    for _ in visit.samples:
        outputs.append(np.frombuffer(said.take(prod(port.shape)), port.dtype).reshape(port.shape[1:]))
        chosen, entropy = _WANTED.unpack(said.take(_WANTED.size))
        wanted.append(bool(chosen))
        entropies.append(entropy)
        if chosen:
            uploads.append(said.take(prod(entry.shape)))
    return Answer(
        tuple(statuses),
        np.stack(outputs) if outputs else np.zeros((0, *port.shape[1:]), np.int8),
        np.array(wanted, np.bool_),
        np.array(entropies, np.int64),
        tuple(uploads),
        said.take(left_bytes),
    )


class _Said:
    """The bytes of a process, from its beginning."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    @property
    def rest(self) -> int:
        return len(self._content) - self._at

    def take(self, count: int) -> bytes:
        if count > self.rest:
            raise ToolError("the devices' program ended within its results")
        self._at += count
        return self._content[self._at - count : self._at]
