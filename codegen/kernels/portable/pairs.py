"""Shared by kernels that compute two neighbours of a row at once: which pixels pair, and the order that this makes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.walk import NEVER, Walk
from driftc.codegen.operators.windowed import Windowed

Int64 = NDArray[np.int64]


def pairs(op: Windowed) -> int:
    """Pairs of neighbours in a row whose windows lie wholly inside the input."""
    (top, bottom), (first, last) = op.interior(0), op.interior(1)
    return (last - first) // 2 if bottom > top else 0


def paired(op: Windowed) -> float:
    """The share of the output's pixels that are computed with a neighbour."""
    height, width, _ = op.outputs[0].hwc
    top, bottom = op.interior(0)
    return 2 * pairs(op) / width * (bottom - top) / height


def both_inside(op: Windowed) -> str:
    """The C condition that pixels x and x + 1 of row y pair."""
    (top, bottom), (first, last) = op.interior(0), op.interior(1)
    height = op.outputs[0].hwc[0]
    terms = [f"y >= {top}"] * (top > 0) + [f"y < {bottom}"] * (bottom < height) + [f"x >= {first}"] * (first > 0)
    return " && ".join([*terms, f"x + 1 < {last}"])


def begins(op: Windowed) -> Int64:
    """The first pixel of each pixel's pair, itself where it has none, counted row by row: [rows, pixels]."""
    height, width, _ = op.outputs[0].hwc
    (top, bottom), (first, last) = op.interior(0), op.interior(1)
    found = np.arange(height * width).reshape(height, width)
    for x in range(first + 1, last - (last - first) % 2, 2):
        found[top:bottom, x] = found[top:bottom, x - 1]
    return found


def in_line(op: Windowed) -> Int64:
    """The same where rows follow each other, so that the last pixel of one pairs with the first of the next."""
    height, width, _ = op.outputs[0].hwc
    every = np.arange(height * width)
    return (every - every % 2).reshape(height, width)


def walk_of(op: Windowed, orders: Iterable[Int64], passes: int, written: Int64, read: Int64) -> Walk:
    """Both of a pair are read before either is written, `passes` times; in any of `orders`, which a call may have.

    `written` and `read`: the pass in which each channel of the output is written, and of the input last read.
    """
    _, last = op.visits(False)
    every = list(orders)
    start, end = np.minimum.reduce(every), np.maximum.reduce(every)
    reads = np.where(last == NEVER, NEVER, end.reshape(-1)[np.maximum(last, 0)] * passes)
    reads = np.where(last[..., np.newaxis] == NEVER, NEVER, reads[..., np.newaxis] + read)
    return Walk((reads,), (start[..., np.newaxis] * passes + written,))
