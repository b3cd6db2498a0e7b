"""Calls one after the other -> the same calls in loops: what repeats, with rows and channels that move evenly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.plan.buffer import Span
from driftc.codegen.plan.call import Call, Loop, Statement

LONGEST = 512  # statements in the body of a loop over rows
LONGEST_TILE = 16  # over channel tiles
SPANS = 3  # of a call: rows, channels, reduce

Parts = Sequence[Sequence[Statement]]


def roll(calls: Sequence[Call]) -> tuple[Statement, ...]:
    """Loops over channels within loops over rows. Starts must be literal."""
    return tuple(_in_loops(tiles(calls), "i", LONGEST))


def tiles(calls: Sequence[Call]) -> list[Statement]:
    """`calls` with what repeats on the same rows, channels moving on, in loops over j."""
    return _in_loops(calls, "j", LONGEST_TILE, still=True)


def repeats(parts: Parts) -> list[tuple[int, Parts]]:
    """Groups of statements as (turns, body) one after the other: `turns` times the groups of `body`, moving with i."""
    return _repeats(parts, "i", LONGEST)


def _in_loops(statements: Sequence[Statement], variable: str, most: int, still: bool = False) -> list[Statement]:
    """The longest stretch that repeats becomes a loop, then what is before and behind it."""
    found: list[Statement] = []
    for turns, body in _repeats([[statement] for statement in statements], variable, most, still):
        inner = tuple(statement for part in body for statement in part)
        found += inner if turns == 1 else [Loop(variable, 0, turns, 1, inner)]
    return found


def _repeats(parts: Parts, variable: str, most: int, still: bool = False) -> list[tuple[int, Parts]]:
    kinds: dict[tuple[object, ...], int] = {}
    kind = np.array([kinds.setdefault(tuple(map(_kind, part)), len(kinds)) for part in parts], np.int64)
    moving = [[span.start.constant if span else 0 for call in _calls(part) for span in _spans(call)] for part in parts]
    starts = np.zeros((len(parts), max((len(row) for row in moving), default=0)), np.int64)
    for row, values in enumerate(moving):
        starts[row, : len(values)] = values
    return _cut(parts, kind, starts, variable, most, still)


def _cut(
    parts: Parts, kind: NDArray[np.int64], starts: NDArray[np.int64], variable: str, most: int, still: bool
) -> list[tuple[int, Parts]]:
    best = (0, 0, 0, 1)  # groups saved, first, length of the body, turns
    for length in range(1, min(most, len(parts) // 2) + 1):
        if len(parts) - length <= best[0]:
            break  # the rest cannot save more
        first, turns = _longest(kind, starts, length, still)
        if (turns - 1) * length > best[0]:
            best = ((turns - 1) * length, first, length, turns)
    saved, first, length, turns = best
    if not saved:
        return [(1, [part]) for part in parts]
    stop = first + turns * length
    moves = starts[first + length : first + 2 * length] - starts[first : first + length]
    body = [
        [_moved(statement, variable, steps) for statement in part]
        for part, steps in zip(parts[first : first + length], map(iter, moves.tolist()), strict=True)
    ]
    return [
        *_cut(parts[:first], kind[:first], starts[:first], variable, most, still),
        (turns, body),
        *_cut(parts[stop:], kind[stop:], starts[stop:], variable, most, still),
    ]


def _longest(kind: NDArray[np.int64], starts: NDArray[np.int64], length: int, still: bool) -> tuple[int, int]:
    """Where a body of `length` groups repeats most often, and how often; `still`: on the same rows."""
    same = kind[length:] == kind[:-length]
    moves = starts[length:] - starts[:-length]
    if still:
        same &= ~moves[:, ::SPANS].any(axis=1)
    even = np.ones(len(same), np.bool_)  # the turn before moved alike
    even[length:] = (moves[length:] == moves[:-length]).all(axis=1)
    # Groups since[n]..n are the same as those `length` behind them, and move alike from turn to turn.
    place = np.arange(len(same))
    since = np.maximum.accumulate(np.where(same, np.where(even, 0, place - length + 1), place + 1))
    turns = (place - since + 1) // length + 1
    best = int(turns.argmax())
    return int(since[best]), int(turns[best])


def _kind(statement: Statement) -> tuple[object, ...]:
    """What must be equal in every turn."""
    if isinstance(statement, Loop):
        factors = tuple(span.start.factors if span else () for call in _calls([statement]) for span in _spans(call))
        return statement.variable, statement.stop, tuple(map(_kind, statement.body)), factors
    buffers = tuple(id(buffer) for buffer in (*statement.inputs, statement.sums, *statement.outputs))
    counts = tuple(span.count if span else None for span in _spans(statement))
    about = statement.epilogue, statement.layer, statement.backward, statement.pixels, statement.seen
    return id(statement.operator), buffers, counts, *about


def _calls(statements: Sequence[Statement]) -> Iterator[Call]:
    for statement in statements:
        if isinstance(statement, Loop):
            yield from _calls(statement.body)
        else:
            yield statement


def _spans(call: Call) -> tuple[Span, Span, Span | None]:
    return call.rows, call.channels, call.reduce


def _moved(statement: Statement, variable: str, steps: Iterator[int]) -> Statement:
    """`statement` with starts that move by the next `steps` for each turn of the loop over `variable`."""
    if isinstance(statement, Loop):
        return replace(statement, body=tuple(_moved(inner, variable, steps) for inner in statement.body))
    rows, channels, reduce = (_moving(span, variable, next(steps)) for span in _spans(statement))
    assert rows is not None and channels is not None
    return replace(statement, rows=rows, channels=channels, reduce=reduce)


def _moving(span: Span | None, variable: str, step: int) -> Span | None:
    if span is None or step == 0:
        return span
    return Span(replace(span.start, factors=((variable, step), *span.start.factors)), span.count)
