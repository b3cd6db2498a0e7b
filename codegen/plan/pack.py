"""What several operators in parts keep between them: one block, in which what is never needed at once may overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.plan.buffer import Buffer
from driftc.codegen.plan.place import Block, Problem, aligned, greedy
from driftc.codegen.plan.unit import Places

ANYWHERE = -(1 << 40)  # a gap that keeps nothing apart


@dataclass(frozen=True, eq=False)
class Pack:
    """`buffers`, at offset 0, and during which calls of the unit each is needed: bool [calls]."""

    name: str
    buffers: Mapping[str, tuple[Buffer, NDArray[np.bool_]]]

    @cached_property
    def offsets(self) -> tuple[dict[str, int], int]:
        """Where each buffer lies in the block, and the block's size."""
        names = list(self.buffers)
        blocks = tuple(Block(self.buffers[name][0].bytes, 0, 0) for name in names)
        gaps = {
            (a, b): ANYWHERE
            for a in range(len(names))
            for b in range(len(names))
            if a != b and not (self.buffers[names[a]][1] & self.buffers[names[b]][1]).any()
        }
        placement = greedy(Problem(blocks, gaps))
        assert placement is not None  # one room without a limit
        return dict(zip(names, placement.offsets, strict=True)), placement.bytes

    @property
    def bytes(self) -> int:
        return self.offsets[1] if self.buffers else 0

    @property
    def blocks(self) -> list[Buffer]:
        """The block, for Unit.private; none where there is nothing to keep."""
        size = aligned(self.bytes)
        kind = np.dtype(np.int8)
        return [Buffer(self.name, "", 0, kind, (1, 1, size), (size, size, 1), 1, size)] if self.buffers else []

    def placed(self, places: Places) -> dict[str, Buffer]:
        """Each buffer by name, where the block is."""
        found: dict[str, Buffer] = {}
        for block in self.blocks:
            base = places.private(block)
            for name, (buffer, _) in self.buffers.items():
                found[name] = replace(buffer, region=base.region, offset=base.offset + self.offsets[0][name])
        return found
