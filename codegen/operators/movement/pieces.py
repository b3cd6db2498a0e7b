"""Shared by operators that join tensors, or cut one, along an axis: SPLIT, SPLIT_V, UNPACK, PACK, CONCATENATION."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod

from driftc.codegen.operators.movement.move import Loop, Nest
from driftc.codegen.tensor import Shape


def along(whole: Shape, axis: int, extents: Sequence[int], joins: bool) -> list[Nest]:
    """The copies between a tensor of shape `whole` and pieces that have `extents` of its `axis`, in order.

    `joins`: from the pieces to the whole, each of them an input; else back, each an output.
    """
    inner = prod(whole[axis + 1 :])
    found = []
    for number, (extent, start) in enumerate(zip(extents, accumulate(extents, initial=0), strict=False)):
        apart, beside = whole[axis] * inner, extent * inner
        read, write = (beside, apart) if joins else (apart, beside)
        loops = (Loop(prod(whole[:axis]), read, write), Loop(beside, 1, 1))
        if joins:
            found.append(Nest(loops, 0, start * inner, source=number))
        else:
            found.append(Nest(loops, start * inner, 0, target=number))
    return found
