"""Offsets for blocks with lifetimes: greedy, largest first, each at the lowest place free for its whole life."""

from __future__ import annotations

from dataclasses import dataclass

ALIGN = 4


@dataclass(frozen=True)
class Block:
    """`bytes` needed from program position `first` to `last`, both included."""

    bytes: int
    first: int
    last: int

    def meets(self, other: Block) -> bool:
        return self.first <= other.last and other.first <= self.last


def place(blocks: list[Block], align: int = ALIGN) -> tuple[list[int], int]:
    """Offsets for `blocks`, in their order, and the bytes that hold them all."""
    offsets = [-1] * len(blocks)
    order = sorted(range(len(blocks)), key=lambda n: (-blocks[n].bytes, blocks[n].first, n))
    for number in order:
        block = blocks[number]
        taken = sorted(
            (offsets[other], offsets[other] + blocks[other].bytes)
            for other in order
            if offsets[other] >= 0 and blocks[other].meets(block)
        )
        offset = 0
        for start, end in taken:
            if offset + block.bytes <= start:
                break
            offset = max(offset, -(-end // align) * align)
        offsets[number] = offset
    ends = (offset + block.bytes for offset, block in zip(offsets, blocks, strict=True))
    return offsets, -(-max(ends, default=0) // align) * align
