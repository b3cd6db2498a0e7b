"""Where tensors and parts of them lie, and which rows and channels of them a call takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from driftc.codegen.operators.base import Box
from driftc.codegen.tensor import Array, Tensor

CONSTANTS = "constants"  # the region of read-only buffers: flash
STATE = "state"  # the region of what outlives an inference
PARAMETERS = "parameters"  # the region of constants that an update changes


@dataclass(frozen=True)
class Affine:
    """constant + sum of factor * loop variable."""

    constant: int = 0
    factors: tuple[tuple[str, int], ...] = ()

    def at(self, variables: Mapping[str, int]) -> int:
        return self.constant + sum(factor * variables[name] for name, factor in self.factors)

    @property
    def literal(self) -> int | None:
        """The value where no loop variable is in it."""
        return None if self.factors else self.constant

    def __str__(self) -> str:
        terms = [name if factor == 1 else f"{name} * {factor}" for name, factor in self.factors]
        return " + ".join([*terms, *([str(self.constant)] if self.constant or not terms else [])])


@dataclass(frozen=True)
class Span:
    """`count` rows or channels from `start`."""

    start: Affine
    count: int

    @classmethod
    def of(cls, start: int | str | Affine, stop_or_count: int, *, count: bool = False) -> Span:
        """[start, stop) for numbers; with `count`, that many from `start`, which may name a loop variable."""
        if isinstance(start, str):
            start = Affine(0, ((start, 1),))
        elif isinstance(start, int):
            return cls(Affine(start), stop_or_count if count else stop_or_count - start)
        return cls(start, stop_or_count)

    def at(self, variables: Mapping[str, int]) -> range:
        first = self.start.at(variables)
        return range(first, first + self.count)

    def __str__(self) -> str:
        literal = self.start.literal
        return f"[{self.start}, {literal + self.count if literal is not None else f'{self.start} + {self.count}'})"


class Strip(NamedTuple):
    """Pixels [first, first + its width) of rows that have `total`, from `row` on; they lie in `storage`."""

    storage: Buffer
    first: int
    total: int
    row: int = 0


@dataclass(frozen=True, eq=False)
class Buffer:
    """Where a tensor, or a part of it, lies: row y at `y mod rows`, channel c at `c mod kept`.

    `strides` are bytes from row to row, pixel to pixel, channel to channel. A whole tensor has rows = height and
    kept = channels; line buffers, channel tiles and slices of a larger tensor differ in nothing else. Of a `strip`,
    pixel 0 is the strip's first.
    """

    name: str
    region: str
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, int, int]  # rows, pixels, channels of the tensor
    strides: tuple[int, int, int]
    rows: int
    kept: int
    data: Array | None = None  # the value of a buffer in CONSTANTS, whose `name` is then the array's in C
    strip: Strip | None = None
    first: int = 0  # of a view of a part of another buffer: which of its elements is the first here

    @classmethod
    def whole(cls, tensor: Tensor, region: str, offset: int) -> Buffer:
        """Room for all of `tensor`, dense."""
        return cls.part(tensor, region, offset, data=tensor.data)

    @classmethod
    def part(
        cls,
        tensor: Tensor,
        region: str,
        offset: int,
        *,
        rows: int | None = None,
        pixels: int | None = None,
        kept: int | None = None,
        name: str | None = None,
        dtype: Any = None,
        data: Array | None = None,
    ) -> Buffer:
        """Room for `rows` rows, `pixels` of each and `kept` channels of `tensor` (default: all), dense."""
        height, width, channels = tensor.hwc
        width = pixels or width
        kind = np.dtype(dtype or tensor.dtype)
        kept = kept or channels
        strides = (width * kept * kind.itemsize, kept * kind.itemsize, kind.itemsize)
        return cls(
            name or tensor.name, region, offset, kind, (height, width, channels), strides, rows or height, kept, data
        )

    @property
    def bytes(self) -> int:
        """From the first to the last byte that it may use."""
        extents = zip((self.rows, self.shape[1], self.kept), self.strides, strict=True)
        return sum((count - 1) * stride for count, stride in extents) + self.dtype.itemsize

    @property
    def storage(self) -> Buffer:
        """All that this is a strip of, or itself."""
        return self.strip.storage if self.strip else self

    @property
    def pixel0(self) -> int:
        """Where in the tensor's rows the first pixel is."""
        return self.strip.first if self.strip else 0

    @property
    def row_pixels(self) -> int:
        """Pixels in a row of the tensor."""
        return self.strip.total if self.strip else self.shape[1]

    @cached_property
    def _strips(self) -> dict[tuple[range, int], Buffer]:
        return {}

    def pixels(self, pixels: range) -> Buffer:
        """These pixels of each row; the same Buffer for the same pixels."""
        height, width, channels = self.shape
        if pixels == range(width):
            return self
        if (pixels, width) not in self._strips:
            self._strips[pixels, width] = replace(
                self,
                offset=self.offset + pixels.start * self.strides[1],
                shape=(height, len(pixels), channels),
                strip=Strip(self.storage, self.pixel0 + pixels.start, self.row_pixels),
            )
        return self._strips[pixels, width]

    def holding(self, pixels: range, total: int) -> Buffer:
        """This room, which need not be as wide as a row, for pixels `pixels` of rows that have `total`."""
        height, width, channels = self.shape
        if pixels == range(width) == range(total):
            return self
        if (pixels, total) not in self._strips:
            strip = Strip(self, pixels.start, total)
            self._strips[pixels, total] = replace(self, shape=(height, len(pixels), channels), strip=strip)
        return self._strips[pixels, total]

    @property
    def row0(self) -> int:
        """Where in the tensor the first row is."""
        return self.strip.row if self.strip else 0

    def sample(self, number: int, count: int) -> Buffer:
        """The rows of sample `number` of `count`, of a whole tensor."""
        height, width, channels = self.shape
        rows = height // count
        strip = Strip(self.storage, self.pixel0, self.row_pixels, self.row0 + number * rows)
        offset = self.offset + number * rows * self.strides[0]
        return replace(self, offset=offset, shape=(rows, width, channels), rows=rows, strip=strip)

    @property
    def whole_rows(self) -> bool:
        return self.rows >= self.shape[0]

    @property
    def gapless(self) -> bool:
        """The pixels of a row follow each other without gaps."""
        channels, item = self.shape[2], self.dtype.itemsize
        return self.kept == channels and self.strides[1:] == (channels * item, item)

    @property
    def dense(self) -> bool:
        """The whole tensor, without gaps."""
        _, width, channels = self.shape
        item = self.dtype.itemsize
        full = self.whole_rows and self.kept == channels
        return full and self.strides == (width * channels * item, channels * item, item)

    def overlaps(self, other: Buffer) -> bool:
        """The two share bytes of RAM."""
        apart = self.offset + self.bytes <= other.offset or other.offset + other.bytes <= self.offset
        return self.region == other.region != CONSTANTS and not apart

    def byte_addresses(self, box: Box) -> Array:
        """As `addresses`, of each byte of an element: int64 [rows, pixels, channels, item bytes]."""
        return self.addresses(box)[..., None] + np.arange(self.dtype.itemsize)

    def addresses(self, box: Box) -> Array:
        """Byte offsets in the region of the elements in `box`: int64 [rows, pixels, channels]."""
        row = np.arange(box.row0, box.row1)[:, None, None] % self.rows
        pixel = np.arange(self.shape[1])[None, :, None]
        channel = np.arange(box.channel0, box.channel1)[None, None, :] % self.kept
        return self.offset + row * self.strides[0] + pixel * self.strides[1] + channel * self.strides[2]
