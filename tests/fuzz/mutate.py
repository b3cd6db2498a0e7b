"""Mutants of a .tflite file: damage to its bytes, and fields overwritten with values that no converter writes."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, nan

from fuzz.layout import Field, Layout, layout

INTEGERS = (0, 1, -1, 2, 3, 4, 7, 8, 127, 128, 255, -128, -129, 1 << 15, 1 << 16, 1 << 24, (1 << 31) - 1, -(1 << 31))
FLOATS = (0.0, -0.0, nan, inf, -inf, -0.5, 1e-45, 1e-38, 3.4e38, 1.0, 0.5, 1e-7, 1e-3, 1e3, 2.0**-31, 2.0**31)
NAMES = (b"a*/ int main(){}", b"../../../../x", b"\n#error x\n", b'");exit(1);("', b"%s%n", b"\0\xff\xfe", b"[/b]")


@dataclass(frozen=True)
class Mutant:
    """`description` says what was done, `seed` which mutant of its model it is."""

    seed: int
    description: str
    data: bytes


class Mutator:
    """Makes mutants of one model; mutant `seed` is always the same."""

    def __init__(self, model: bytes) -> None:
        self.model = model
        self.layout: Layout = layout(model)
        self.kinds: dict[str, list[Field]] = {}
        for field in self.layout.fields:
            self.kinds.setdefault(field.kind, []).append(field)
        self.plain = _outside(self.layout.bulk, len(model))  # bytes that are not bulk constants

    def mutant(self, seed: int) -> Mutant:
        chance = random.Random(seed)
        data = bytearray(self.model)
        ways: Sequence[tuple[int, Callable[[random.Random, bytearray], str]]] = (
            (1, self._truncate),
            (2, self._flip),
            (2, self._overwrite),
            (1, self._move),
            (8, self._field),
            (4, self._exchange),
        )
        chosen = chance.choices([way for _, way in ways], [weight for weight, _ in ways])[0]
        times = chance.choice((1, 1, 1, 2, 3))
        done = [chosen(chance, data) for _ in range(times)]
        return Mutant(seed, "; ".join(done), bytes(data))

    def mutants(self, first: int, count: int) -> Iterator[Mutant]:
        for seed in range(first, first + count):
            yield self.mutant(seed)

    # --- damage ---

    def _place(self, chance: random.Random, data: bytearray) -> int:
        """A byte of the file, hardly ever in the bulk constants."""
        if self.plain and chance.random() < 0.95:
            return min(chance.choice(self.plain), len(data) - 1)
        return chance.randrange(len(data))

    def _truncate(self, chance: random.Random, data: bytearray) -> str:
        length = chance.choice((chance.randrange(len(data)), self._place(chance, data), max(len(data) - 4, 1)))
        del data[max(length, 1) :]
        return f"cut to {len(data)} bytes"

    def _flip(self, chance: random.Random, data: bytearray) -> str:
        places = [self._place(chance, data) for _ in range(chance.choice((1, 1, 2, 8)))]
        for place in places:
            data[place] ^= 1 << chance.randrange(8)
        return f"bits flipped at {places}"

    def _overwrite(self, chance: random.Random, data: bytearray) -> str:
        format = chance.choice(("<b", "<h", "<i", "<q"))
        size = struct.calcsize(format)
        if len(data) <= size:
            return "nothing"
        place = min(self._place(chance, data), len(data) - size)
        value = _fitting(chance.choice(INTEGERS), format)
        struct.pack_into(format, data, place, value)
        return f"{value} ({size} bytes) at {place}"

    def _move(self, chance: random.Random, data: bytearray) -> str:
        """Bytes taken out, doubled or copied elsewhere."""
        start = self._place(chance, data)
        stop = min(len(data), start + chance.choice((1, 4, 16, 64)))
        part = bytes(data[start:stop])
        what = chance.choice(("removed", "doubled", "copied"))
        if what == "removed" and len(data) > 64:
            del data[start:stop]
        elif what == "doubled":
            data[start:start] = part
        else:
            target = max(0, min(self._place(chance, data), len(data) - len(part)))
            data[target : target + len(part)] = part
        return f"bytes {start} to {stop} {what}"

    # --- fields ---

    def _pick(self, chance: random.Random, data: bytearray) -> Field | None:
        field = chance.choice(self.kinds[chance.choice(sorted(self.kinds))])
        return field if field.position + field.size <= len(data) else None

    def _field(self, chance: random.Random, data: bytearray) -> str:
        field = self._pick(chance, data)
        if field is None:
            return "nothing"
        if field.kind == "name":
            text = chance.choice(NAMES)[: len(data) - field.position]
            data[field.position : field.position + len(text)] = text
            return f"name at {field.position} = {text!r}"
        old = struct.unpack_from(field.format, data, field.position)[0]
        if field.format == "<f":
            new: float = chance.choice((*FLOATS, old * 1e3, old * 1e-3, old * 2, old / 2))
            new = min(max(new, -3.4e38), 3.4e38) if abs(new) not in (inf,) and new == new else new
        else:
            near = (old - 1, old + 1, old * 2, old // 2, -old)
            new = _fitting(chance.choice((*near, chance.choice(INTEGERS), chance.randrange(12))), field.format)
        struct.pack_into(field.format, data, field.position, new)
        return f"{field.kind} at {field.position}: {old} -> {new}"

    def _exchange(self, chance: random.Random, data: bytearray) -> str:
        """A field takes another's value: tensors made twice, cycles, options and shapes of another operator."""
        field = self._pick(chance, data)
        if field is None:
            return "nothing"
        group = {"operand": ("operand", "result", "model input", "model output")}
        kinds = next((kinds for kinds in group.values() if field.kind in kinds), (field.kind,))
        others = [f for kind in kinds for f in self.kinds.get(kind, []) if f.position + f.size <= len(data)]
        other = chance.choice(others)
        value = struct.unpack_from(other.format, data, other.position)[0]
        if field.kind in ("offset", "table offset", "options"):  # relative to where they lie
            value = max(0, value + other.position - field.position) & 0xFFFFFFFF
        struct.pack_into(field.format, data, field.position, value)
        return f"{field.kind} at {field.position} as at {other.position}: {value}"


def _fitting(value: int, format: str) -> int:
    """`value` as the integer of that format with the same low bits."""
    bits = 8 * struct.calcsize(format)
    value &= (1 << bits) - 1
    return value - (1 << bits) if format[1].islower() and value >> (bits - 1) else value


def _outside(ranges: Sequence[tuple[int, int]], length: int) -> list[int]:
    covered = bytearray(length)
    for start, stop in ranges:
        covered[start:stop] = b"\1" * (stop - start)
    return [place for place in range(length) if not covered[place]]
