"""Calls one after the other -> the same calls in loops: what repeats, with rows and channels that move evenly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.plan.plan import Affine, Call, Loop, Span, Statement

LONGEST = 96  # calls in the body of a loop


def roll(calls: Sequence[Call]) -> tuple[Statement, ...]:
    """The longest stretch that repeats becomes a loop, then what is before and behind it. Starts must be literal."""
    kinds: dict[tuple[object, ...], int] = {}
    kind = np.array([kinds.setdefault(_kind(call), len(kinds)) for call in calls], np.int64)
    starts = np.array([[span.start.constant if span else 0 for span in _spans(call)] for call in calls], np.int64)
    return tuple(_rolled(calls, kind, starts.reshape(-1, 3)))


def _rolled(calls: Sequence[Call], kind: NDArray[np.int64], starts: NDArray[np.int64]) -> list[Statement]:
    best = (0, 0, 0)  # calls saved, first, length of the body
    turns = 0
    for length in range(1, min(LONGEST, len(calls) // 2) + 1):
        first, count = _longest(kind, starts, length)
        if (count - 1) * length > best[0]:
            best, turns = ((count - 1) * length, first, length), count
    saved, first, length = best
    if not saved:
        return list(calls)
    stop = first + turns * length
    moves = starts[first + length : first + 2 * length] - starts[first : first + length]
    body = tuple(_moved(call, by) for call, by in zip(calls[first : first + length], moves.tolist(), strict=True))
    before = _rolled(calls[:first], kind[:first], starts[:first])
    behind = _rolled(calls[stop:], kind[stop:], starts[stop:])
    return [*before, Loop("i", 0, turns, 1, body), *behind]


def _longest(kind: NDArray[np.int64], starts: NDArray[np.int64], length: int) -> tuple[int, int]:
    """Where a body of `length` calls repeats most often, and how often."""
    same = kind[length:] == kind[:-length]
    moves = starts[length:] - starts[:-length]
    even = np.ones(len(same), np.bool_)  # the turn before moved alike
    even[length:] = (moves[length:] == moves[:-length]).all(axis=1)
    best = (0, 1)
    since = 0  # calls since..place are the same as those `length` behind them, and move alike from turn to turn
    for place in range(len(same)):
        if not same[place]:
            since = place + 1
        elif not even[place]:
            since = max(since, place - length + 1)
        turns = (place - since + 1) // length + 1
        if turns > best[1]:
            best = (since, turns)
    return best


def _kind(call: Call) -> tuple[object, ...]:
    """What must be equal in every turn."""
    buffers = tuple(id(buffer) for buffer in (*call.inputs, call.sums, *call.outputs))
    counts = tuple(span.count if span else None for span in _spans(call))
    return id(call.operator), buffers, counts, call.epilogue, call.layer, call.backward


def _spans(call: Call) -> tuple[Span, Span, Span | None]:
    return call.rows, call.channels, call.reduce


def _moved(call: Call, by: Sequence[int]) -> Call:
    rows, channels, reduce = (
        span and Span(Affine(span.start.constant, (("i", step),)) if step else span.start, span.count)
        for span, step in zip(_spans(call), by, strict=True)
    )
    assert rows is not None and channels is not None
    return replace(call, rows=rows, channels=channels, reduce=reduce)
