"""Mutants of a JSON file: values of other types and sizes, keys that go, and text that is none."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Iterator
from typing import Any

from fuzz.mutate import Mutant

LONG = 10**400  # no float64
VALUES: tuple[Any, ...] = (
    None, True, False, "", "x" * 10_000, "../../x", "a\nb\x1b[31m", 0, 1, -1, 1.5, -0.0, 1e308, 1e-308, float("nan"),
    float("inf"), 1 << 31, 1 << 63, LONG, -LONG, 10**4299, [], {}, [[]], [None], {"": {}}, ["x"] * 1000, [1e30] * 8,
)  # fmt: skip
MARK = "nested "  # with a number, for as many lists within lists


class JsonMutator:
    """Makes mutants of one JSON file; mutant `seed` is always the same."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.value = json.loads(text)
        self.places = list(_places(self.value))

    def mutants(self, first: int, count: int) -> Iterator[Mutant]:
        for seed in range(first, first + count):
            yield self.mutant(seed)

    def mutant(self, seed: int) -> Mutant:
        chance = random.Random(seed)
        if chance.random() < 0.15:
            return Mutant(seed, *self._damaged(chance))
        value = copy.deepcopy(self.value)
        done = [self._change(chance, value) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
        return Mutant(seed, "; ".join(done), re.sub(rf'"{MARK}(\d+)"', _nested, json.dumps(value)).encode())

    def _change(self, chance: random.Random, value: Any) -> str:
        """One value, anywhere, replaced, removed, doubled or exchanged with another."""
        path = chance.choice(self.places)
        try:
            holder = _at(value, path[:-1])
            old = holder[path[-1]]
            way = chance.choice(("replace", "replace", "replace", "remove", "rename", "copy", "nudge", "deep"))
            if way == "replace":
                holder[path[-1]] = copy.deepcopy(chance.choice(VALUES))
            elif way == "remove":
                del holder[path[-1]]
            elif way == "rename" and isinstance(holder, dict):
                holder[f"{path[-1]}x"] = holder.pop(path[-1])
            elif way == "copy":
                holder[path[-1]] = copy.deepcopy(_at(value, chance.choice(self.places)))
            elif way == "nudge" and isinstance(old, int | float):
                holder[path[-1]] = chance.choice((-old, old + 1, old * 1e9, old * 1e-9, old * 2))
            elif way == "deep":
                holder[path[-1]] = f"{MARK}{chance.choice((3, 60, 900, 100_000))}"
        except (KeyError, IndexError, TypeError, AttributeError):  # an earlier change took it away
            return "nothing"
        return f"{way} {'.'.join(map(str, path))}"

    def _damaged(self, chance: random.Random) -> tuple[str, bytes]:
        data = bytearray(self.text.encode())
        way = chance.choice(("cut", "flip", "deep", "other", "digits"))
        if way == "cut":
            del data[chance.randrange(len(data)) :]
        elif way == "flip":
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        elif way == "deep":
            data = bytearray(chance.choice((b"[", b'{"a":')) * 100_000)
        elif way == "other":
            data = bytearray(chance.choice((b"", b"[]", b"5", b"null", b'"x"', b"\xff\xfe", b"{}", b"NaN")))
        else:
            data = bytearray(json.dumps(self.value).replace("1", "1" * chance.choice((400, 5000))).encode())
        return way, bytes(data)


def _nested(mark: re.Match[str]) -> str:
    depth = int(mark[1])
    return "[" * depth + "1" + "]" * depth


def _places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value; of a list of numbers, that of its first."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))[: 1 if value and isinstance(value[0], int | float) else None]
    for key, item in items:
        yield (*before, key)
        yield from _places(item, (*before, key))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value
