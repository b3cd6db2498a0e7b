"""Where the fields of a well-formed .tflite lie, so that they can be overwritten in place."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

INT32, INT64, FLOAT32 = "<i", "<q", "<f"
UINT8, UINT32 = "<B", "<I"


@dataclass(frozen=True)
class Field:
    """A number in the file. `kind` groups those that mean the same, such as every extent of every shape."""

    kind: str
    position: int
    format: str

    @property
    def size(self) -> int:
        return struct.calcsize(self.format)


@dataclass(frozen=True)
class Layout:
    """`bulk` are the [start, stop) byte ranges of large constants: changes there test nothing but arithmetic."""

    fields: tuple[Field, ...]
    bulk: tuple[tuple[int, int], ...]


SMALL = 64  # bytes; a constant up to this size may be axes, a shape or paddings


class _Walker:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.fields: list[Field] = []
        self.bulk: list[tuple[int, int]] = []

    def get(self, format: str, position: int) -> int:
        return int(struct.unpack_from(format, self.data, position)[0])

    def slot(self, table: int, number: int) -> int | None:
        """Where field `number` of the table at `table` lies, if it is stored."""
        vtable = table - self.get(INT32, table)
        at = 4 + 2 * number
        offset = self.get("<H", vtable + at) if at < self.get("<H", vtable) else 0
        return table + offset if offset else None

    def follow(self, position: int) -> int:
        return position + self.get(UINT32, position)

    def note(self, kind: str, position: int | None, format: str) -> None:
        if position is not None:
            self.fields.append(Field(kind, position, format))

    def scalar(self, table: int, number: int, kind: str, format: str) -> None:
        self.note(kind, self.slot(table, number), format)

    def child(self, table: int, number: int) -> int | None:
        position = self.slot(table, number)
        if position is None:
            return None
        self.note("offset", position, UINT32)
        return self.follow(position)

    def vector(self, table: int, number: int, kind: str, format: str) -> None:
        start = self.child(table, number)
        if start is None:
            return
        self.note("length", start, UINT32)
        length, size = self.get(UINT32, start), struct.calcsize(format)
        for index in range(min(length, 64)):
            self.note(kind, start + 4 + index * size, format)

    def tables(self, table: int, number: int) -> Iterator[int]:
        start = self.child(table, number)
        if start is None:
            return
        self.note("length", start, UINT32)
        for index in range(self.get(UINT32, start)):
            position = start + 4 + 4 * index
            self.note("table offset", position, UINT32)
            yield self.follow(position)

    def walk(self) -> Layout:
        model = self.follow(0)
        self.note("offset", 0, UINT32)
        for code in self.tables(model, 1):
            self.scalar(code, 0, "operator code", UINT8)
            self.scalar(code, 2, "version", INT32)
            self.scalar(code, 3, "operator code", INT32)
        for subgraph in self.tables(model, 2):
            for tensor in self.tables(subgraph, 0):
                self.tensor(tensor)
            self.vector(subgraph, 1, "model input", INT32)
            self.vector(subgraph, 2, "model output", INT32)
            for operator in self.tables(subgraph, 3):
                self.operator(operator)
        for buffer in self.tables(model, 4):
            start = self.child(buffer, 0)
            if start is None:
                continue
            self.note("length", start, UINT32)
            length = self.get(UINT32, start)
            if length > SMALL:
                self.bulk.append((start + 4, start + 4 + length))
            for position in range(start + 4, start + 4 + (length & ~3) if length <= SMALL else 0, 4):
                self.note("small constant", position, INT32)
        return Layout(tuple(self.fields), tuple(sorted(self.bulk)))

    def tensor(self, table: int) -> None:
        self.vector(table, 0, "extent", INT32)
        self.scalar(table, 1, "type", UINT8)
        self.scalar(table, 2, "buffer", UINT32)
        self.vector(table, 3, "name", UINT8)
        self.scalar(table, 5, "variable", UINT8)
        quantization = self.child(table, 4)
        if quantization is not None:
            self.vector(quantization, 2, "scale", FLOAT32)
            self.vector(quantization, 3, "zero point", INT64)
            self.scalar(quantization, 6, "quantised axis", INT32)

    def operator(self, table: int) -> None:
        self.scalar(table, 0, "code index", UINT32)
        self.vector(table, 1, "operand", INT32)
        self.vector(table, 2, "result", INT32)
        self.scalar(table, 3, "options type", UINT8)
        position = self.slot(table, 4)
        if position is None:
            return
        self.note("options", position, UINT32)
        options = self.follow(position)
        for number in range(8):
            self.scalar(options, number, "option", INT32)
            self.scalar(options, number, "option byte", UINT8)


def layout(model: bytes) -> Layout:
    """The fields of `model`, which must be well formed."""
    return _Walker(model).walk()
