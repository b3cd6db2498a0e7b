"""How far an output must lie from an input that dies with it, so that no byte is overwritten before it is read.

From the kernel's own order (`Kernel.walk`). Byte f of the output and byte e of the input may be the same
byte of RAM unless f is written before e is read for the last time; the distance of the two buffers decides which do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.kernels.kernel import Kernel
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.kernels.walk import Steps
from driftc.codegen.operators.base import Operator

Addresses = NDArray[np.int64]


@dataclass(frozen=True)
class Distance:
    """In bytes, of two dense buffers: `offset(out) + below <= offset(in)` or `offset(in) + above <= offset(out)`.

    Either may be negative: with `below` of -8 the output may begin up to 8 bytes behind the input's start. `same`: the
    two may also begin at the same byte, whatever lies between.
    """

    below: int
    above: int
    same: bool = False

    def allows(self, source: int, target: int) -> bool:
        """For an input at offset `source` and an output at offset `target`."""
        apart = target + self.below <= source or source + self.above <= target
        return apart or (self.same and source == target)

    def behind(self, start: int) -> Distance:
        """Of the storage in which the input begins at byte `start`."""
        return Distance(self.below - start, self.above + start, self.same and start == 0)

    def least(self, other: Distance) -> Distance:
        """What one or the other allows."""
        return Distance(min(self.below, other.below), min(self.above, other.above), self.same or other.same)

    def most(self, other: Distance) -> Distance:
        """What both allow."""
        return Distance(max(self.below, other.below), max(self.above, other.above), self.same and other.same)


def distance(
    operator: Operator, source: int, target: int, backward: bool = False, kernel: Kernel = PORTABLE
) -> Distance | None:
    """For input number `source` and output number `target`; None where they must not share bytes at all."""
    walk = kernel.walk(operator, backward)
    if walk is None or operator.inputs[source].data is not None:
        return None
    items = operator.inputs[source].dtype.itemsize, operator.outputs[target].dtype.itemsize
    return of_walk(walk.read[source].reshape(-1), walk.written[target].reshape(-1), *items)


def of_walk(read: Steps, written: Steps, read_item: int, written_item: int) -> Distance:
    """For elements of `read_item` and `written_item` bytes, one behind the other."""
    steps = int(max(read.max(), written.max())) + 2
    # The lowest and the highest byte of the output that is written before step n.
    first = np.arange(written.size) * written_item
    lowest = np.full(steps, written.size * written_item, np.int64)
    highest = np.zeros(steps, np.int64)
    np.minimum.at(lowest, written + 1, first)
    np.maximum.at(highest, written + 1, first + written_item)
    lowest, highest = np.minimum.accumulate(lowest), np.maximum.accumulate(highest)
    anywhere = Distance(-read.size * read_item, -written.size * written_item)
    late = (read >= 0) & (highest[read] > 0)  # read when something has been written already
    if not late.any():
        return anywhere
    before, start = read[late], np.flatnonzero(late) * read_item
    needed = Distance(int((highest[before] - start).max()), int((start + read_item - lowest[before]).max()))
    found = anywhere.most(needed)
    if found.allows(0, 0):
        return found
    both = min(read.size * read_item, written.size * written_item)
    same = bool(np.all(np.repeat(read, read_item)[:both] <= np.repeat(written, written_item)[:both]))
    return replace(found, same=same)


def conflict(read: Steps, source: Addresses, written: Steps, target: Addresses) -> int | None:
    """The first byte address that is written before it is last read, or None.

    `source` and `target` are the byte addresses [..., item] of the elements that `read` and `written` time.
    """
    low = int(min(source.min(), target.min()))
    never = np.iinfo(np.int64).max
    when = np.full(int(max(source.max(), target.max())) - low + 1, never, np.int64)
    np.minimum.at(when, (target - low).reshape(-1), np.broadcast_to(written[..., None], target.shape).reshape(-1))
    early = when[source - low] < read[..., None]
    return int(source[early].min()) if early.any() else None
