"""Shared by operators that only move elements: which loops copy what, in as few turns and as long runs as can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.base import Operator
from driftc.codegen.tensor import Tensor

Indices = NDArray[np.int64]
SHORTEST = 4  # bytes that are copied as a run; fewer go one by one
DTYPES = ("int8", "int32", "bool")  # of the elements that are moved


@dataclass(frozen=True)
class Loop:
    """`count` turns. Turn i is `read * i` elements further in the input, `write * i` in the output.

    With a `table`, a constant of the operator by its key, it is table[i] times as much in the input, or where it
    `scatters`, in the output.
    """

    count: int
    read: int
    write: int
    table: str = ""
    scatters: bool = False


@dataclass(frozen=True)
class Nest:
    """Loops, the outermost first, that copy elements from an input to an output, from these first ones on."""

    loops: tuple[Loop, ...]
    read: int = 0
    written: int = 0
    source: int = 0  # number of the input
    target: int = 0  # number of the output

    @cached_property
    def merged(self) -> Nest:
        """The same copies in the same order, with neighbouring loops joined where both sides allow it."""
        kept: list[Loop] = []
        for loop in reversed(self.loops):
            if loop.count == 1 and not loop.table:
                continue
            inner = kept[-1] if kept else None
            if inner is not None and not (loop.table or inner.table):
                span = (inner.read * inner.count, inner.write * inner.count)
                if (loop.read, loop.write) == span:
                    kept[-1] = replace(inner, count=inner.count * loop.count)
                    continue
            kept.append(loop)
        return replace(self, loops=tuple(reversed(kept)))

    @property
    def run(self) -> int:
        """How many elements, one behind the other on both sides, the innermost loop copies at once."""
        loops = self.merged.loops
        last = loops[-1] if loops else Loop(1, 1, 1)
        return last.count if (last.read, last.write, last.table) == (1, 1, "") else 1

    @property
    def spread(self) -> int:
        """How often, one behind the other, the innermost loop writes the same element."""
        loops = self.merged.loops
        last = loops[-1] if loops else Loop(1, 1, 1)
        return last.count if (last.read, last.write, last.table) == (0, 1, "") and last.count >= SHORTEST else 1

    def at_once(self, item: int) -> int:
        """How many elements of `item` bytes are read before the first of them is written."""
        return self.run if self.run * item >= SHORTEST else 1

    @property
    def outer(self) -> tuple[Loop, ...]:
        """The loops around `run`, or `spread`."""
        loops = self.merged.loops
        return loops[:-1] if self.run > 1 or self.spread > 1 else loops


@dataclass(frozen=True, eq=False, kw_only=True)
class Move(Operator):
    """Copies what `nests` say, nest after nest. All tensors have the same type; scales are the model's affair."""

    template = "move"
    keeps_scale = True

    def nests(self) -> Sequence[Nest]:
        """On whole tensors without gaps."""
        raise NotImplementedError

    @property
    def fill(self) -> int | None:
        """The byte that the output holds where nothing is copied to; None: that is nowhere."""
        return None

    @property
    def firsts(self) -> tuple[int, ...] | None:
        """Where each output is nothing but a run of the only input's elements: the first of each; else None."""
        nests = self.nests()
        if len(self.inputs) > 1 or len(nests) != len(self.outputs) or self.fill is not None:
            return None
        for number, (nest, tensor) in enumerate(zip(nests, self.outputs, strict=True)):
            if nest.target != number or nest.outer or nest.run != tensor.size:
                return None
        return tuple(nest.read for nest in nests)

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return ()

    @property
    def moved(self) -> tuple[Tensor, ...]:
        """The inputs that are copied from."""
        return self.inputs

    def check(self) -> None:
        super().check()
        first = self.outputs[0].dtype
        for tensor in (*self.moved, *self.outputs):
            if tensor.dtype.name not in DTYPES or tensor.dtype != first:
                self.refuse(
                    f"tensor '{tensor.label}' is {tensor.dtype.name}; driftc moves {', '.join(DTYPES)} here, "
                    "the same on both sides"
                )

    def check_float(self) -> None:
        """Indices and truth values are moved in float models too."""
        (super().check_float if self.outputs[0].dtype == np.float32 else self.check)()


def dense(shape: Sequence[int]) -> tuple[int, ...]:
    """How many elements apart neighbours on each axis are, in a tensor of `shape` without gaps."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
