"""What one round of a fleet came to."""

from __future__ import annotations

from dataclasses import dataclass


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
