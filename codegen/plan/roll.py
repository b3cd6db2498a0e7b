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
    found: list[Statement] = []
    for turns, body in repeats([[call] for call in calls]):
        statements = [call for part in body for call in part]
        found += statements if turns == 1 else [Loop("i", 0, turns, 1, tuple(statements))]
    return tuple(found)


Parts = Sequence[Sequence[Call]]


def repeats(parts: Parts) -> list[tuple[int, Parts]]:
    """Groups of calls as (turns, body) one after the other: `turns` times the groups of `body`, moving with i."""
    kinds: dict[tuple[object, ...], int] = {}
    kind = np.array([kinds.setdefault(tuple(_kind(call) for call in part), len(kinds)) for part in parts], np.int64)
    moving = [[span.start.constant if span else 0 for call in part for span in _spans(call)] for part in parts]
    starts = np.zeros((len(parts), max((len(row) for row in moving), default=0)), np.int64)
    for row, values in enumerate(moving):
        starts[row, : len(values)] = values
    return _repeats(parts, kind, starts)


def _repeats(parts: Parts, kind: NDArray[np.int64], starts: NDArray[np.int64]) -> list[tuple[int, Parts]]:
    best = (0, 0, 0, 1)  # groups saved, first, length of the body, turns
    for length in range(1, min(LONGEST, len(parts) // 2) + 1):
        first, turns = _longest(kind, starts, length)
        if (turns - 1) * length > best[0]:
            best = ((turns - 1) * length, first, length, turns)
    saved, first, length, turns = best
    if not saved:
        return [(1, [part]) for part in parts]
    stop = first + turns * length
    moves = starts[first + length : first + 2 * length] - starts[first : first + length]
    body = [_moved(part, by.reshape(-1, 3).tolist()) for part, by in zip(parts[first:], moves, strict=False)]
    return [
        *_repeats(parts[:first], kind[:first], starts[:first]),
        (turns, body),
        *_repeats(parts[stop:], kind[stop:], starts[stop:]),
    ]


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


def _moved(part: Sequence[Call], moves: Sequence[Sequence[int]]) -> list[Call]:
    """The calls of a group with starts that move by `moves` for each i."""
    return [_moving(call, by) for call, by in zip(part, moves, strict=False)]


def _moving(call: Call, by: Sequence[int]) -> Call:
    rows, channels, reduce = (
        span and Span(Affine(span.start.constant, (("i", step),)) if step else span.start, span.count)
        for span, step in zip(_spans(call), by, strict=True)
    )
    assert rows is not None and channels is not None
    return replace(call, rows=rows, channels=channels, reduce=reduce)
