"""C expressions for where things lie: what a template needs to turn rows, pixels and channels into pointers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from driftc.codegen.operators.windowed import Windowed
from driftc.codegen.plan.buffer import CONSTANTS, Buffer
from driftc.codegen.tensor import Shape

Index = int | str
C_TYPES = {
    "int8": "int8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "uint8": "uint8_t",
    "bool": "uint8_t",
}


def c_type(buffer: Buffer) -> str:
    """Of one element. The arena is aligned to words, which an int64_t there must not be asked to be."""
    if buffer.dtype.itemsize == 8 and buffer.region != CONSTANTS:
        return "driftc_wide_t"
    return C_TYPES[buffer.dtype.name]


def times(index: Index, factor: int) -> Index:
    """index * factor, folded where it can be."""
    if isinstance(index, int):
        return index * factor
    if factor in (0, 1):
        return 0 if factor == 0 else index
    return f"{_grouped(index)} * {factor}"


def plus(*terms: Index) -> Index:
    """The sum of the terms, numbers folded into one at the end."""
    constant = sum(term for term in terms if isinstance(term, int))
    texts = [term for term in terms if isinstance(term, str)]
    if not texts:
        return constant
    tail = f" + {constant}" if constant > 0 else f" - {-constant}" if constant < 0 else ""
    return " + ".join(texts) + tail


def modulo(index: Index, size: int, whole: bool) -> Index:
    if whole:
        return index
    if size == 1:
        return 0
    return index % size if isinstance(index, int) else f"{_grouped(index)} % {size}"


def offset(buffer: Buffer, y: Index = 0, x: Index = 0, c: Index = 0) -> Index:
    """Elements from the start of `buffer` to [y, x, c], circular rows and kept channels included."""
    item = buffer.dtype.itemsize
    row, pixel, channel = (stride // item for stride in buffer.strides)
    return plus(
        times(modulo(y, buffer.rows, buffer.whole_rows), row),
        times(x, pixel),
        times(modulo(c, buffer.kept, buffer.kept >= buffer.shape[2]), channel),
    )


def at(buffer: Buffer, base: str, y: Index = 0, x: Index = 0, c: Index = 0) -> str:
    """A pointer to [y, x, c] of `buffer`, which starts at `base`."""
    where = offset(buffer, y, x, c)
    return base if where == 0 else f"{base} + {where}"


def minus(number: int) -> str:
    """ " - 3", " + 3", or nothing for 0."""
    return "" if number == 0 else f" {'-' if number > 0 else '+'} {abs(number)}"


def names_of(shape: Sequence[int]) -> list[Index]:
    """The loop variables over a shape's axes: i0, i1, ..."""
    return [f"i{axis}" for axis in range(len(shape))]


def element(buffer: Buffer, shape: Shape, index: Sequence[Index]) -> Index:
    """Elements from the start of `buffer` to `index` of a tensor of `shape`, one index an axis.

    Leading axes fold into rows, as `Tensor.hwc` folds them.
    """
    row: Index = 0
    for extent, place in zip(shape[:-2], index[:-2], strict=True):
        row = plus(times(row, extent), place)
    pixel = index[-2] if len(index) > 1 else 0
    return offset(buffer, row, pixel, index[-1] if index else 0)


def _grouped(text: str) -> str:
    return f"({text})" if " " in text else text


@dataclass(frozen=True)
class Range:
    """A Span as the function sees it: literal, or from a parameter that the program's loop gives."""

    start: Index
    count: int

    @property
    def stop(self) -> Index:
        return plus(self.start, self.count)

    @property
    def literal(self) -> bool:
        return isinstance(self.start, int)


def inside(op: Windowed, rows: Range) -> str:
    """The C condition under which the window of output (y, x) lies wholly inside the input; "" = always."""
    terms: list[str] = []
    for axis, variable in ((0, "y"), (1, "x")):
        first, last = op.interior(axis)
        span = rows if axis == 0 else Range(0, op.outputs[0].hwc[1])
        start, stop = (span.start, span.stop) if span.literal else (0, op.outputs[0].hwc[axis])
        if first >= last:
            return "0"
        if int(start) < first:
            terms.append(f"{variable} >= {first}")
        if int(stop) > last:
            terms.append(f"{variable} < {last}")
    return " && ".join(terms)
