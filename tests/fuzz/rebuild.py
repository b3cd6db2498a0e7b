"""Mutants of a model that is being built: operators and tensors rearranged, then written as a well-formed file."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf, nan
from typing import Any

import numpy as np
from models import ModelBuilder

from fuzz.mutate import Mutant
from fuzz.seeds import BUILT

SIZES = (0, 1, 2, 3, 5, 7, 64, 1000, 1 << 20, (1 << 31) - 1, -1)
SCALES = (0.0, -1.0, 1e-45, 1e-38, 1e-6, 1.0, 1e6, 3e38, inf, nan)
ZEROS = (-129, -128, 0, 127, 128, 1 << 40)
OPTIONS = (0, 1, 2, 3, 4, 5, -1, 100, 1 << 15, (1 << 31) - 1)
TYPES = ("int8", "int16", "int32", "int64", "uint8", "float32", "bool")
NAMES = ("", "x" * 10_000, "a*/ int main(){} /*", "../../x", "int", "Größe/é", "in", "a\nb", "arena", "ram0", "step")


class Rebuilder:
    """Makes mutants of the built model `name`; mutant `seed` is always the same."""

    def __init__(self, name: str) -> None:
        self.name = name

    def mutants(self, first: int, count: int) -> Iterator[Mutant]:
        for seed in range(first, first + count):
            found = self.mutant(seed)
            if found is not None:
                yield found

    def mutant(self, seed: int) -> Mutant | None:
        """None where the schema itself has no way to write it."""
        chance = random.Random(f"{self.name} {seed}")
        model = BUILT[self.name]()
        ways: tuple[Callable[[random.Random, ModelBuilder], str], ...] = (
            _operands, _operands, _tensor, _tensor, _quantization, _option, _operators, _ports, _code, _constant, _name,
            *([_once] * bool(model.once)),
        )  # fmt: skip
        done = [chance.choice(ways)(chance, model) for _ in range(chance.choice((1, 1, 2, 3)))]
        try:
            return Mutant(seed, "; ".join(done), model.build())
        except (struct.error, TypeError, ValueError, OverflowError, AssertionError, IndexError):
            return None


def _some_tensor(chance: random.Random, model: ModelBuilder) -> int:
    return chance.randrange(len(model.tensors))


def _operands(chance: random.Random, model: ModelBuilder) -> str:
    """One input or output is another tensor: cycles, dead branches, tensors made twice, wrong order."""
    number = chance.randrange(len(model.operators))
    operator = model.operators[number]
    which = chance.choice(("inputs", "outputs"))
    held = list(getattr(operator, which))
    what = chance.choice(("other", "other", "absent", "fewer", "more"))
    if what == "more":
        held.insert(chance.randrange(len(held) + 1), _some_tensor(chance, model))
    elif held:
        place = chance.randrange(len(held))
        if what == "fewer":
            del held[place]
        else:
            held[place] = -1 if what == "absent" else _some_tensor(chance, model)
    changed: Any = {which: tuple(held)}
    model.operators[number] = replace(operator, **changed)
    return f"operator {number} {operator.code}: {which} {held}"


def _tensor(chance: random.Random, model: ModelBuilder) -> str:
    number = _some_tensor(chance, model)
    tensor = model.tensors[number]
    shape = list(tensor.shape)
    what = chance.choice(("extent", "extent", "rank", "type", "swap", "data"))
    if what == "type":
        model.tensors[number] = replace(tensor, dtype=np.dtype(chance.choice(TYPES)))
        return f"tensor {number}: {model.tensors[number].dtype}"
    if what == "data":
        size = min(max(tensor.bytes if hasattr(tensor, "bytes") else 64, 0), 4096)
        model.tensors[number] = replace(tensor, data=None if tensor.data is not None else np.zeros(size, np.int8))
        return f"tensor {number}: data given or taken"
    if what == "rank":
        if shape and chance.random() < 0.5:
            del shape[chance.randrange(len(shape))]
        else:
            shape.insert(chance.randrange(len(shape) + 1), chance.choice(SIZES))
    elif what == "swap":
        shape = list(model.tensors[_some_tensor(chance, model)].shape)
    elif shape:
        shape[chance.randrange(len(shape))] = chance.choice(SIZES)
    model.tensors[number] = replace(tensor, shape=tuple(shape))
    return f"tensor {number}: shape {shape}"


def _quantization(chance: random.Random, model: ModelBuilder) -> str:
    number = _some_tensor(chance, model)
    tensor = model.tensors[number]
    count = chance.choice((len(tensor.scale), len(tensor.scale), 0, 1, 2, 8))
    scale = [tensor.scale[n % len(tensor.scale)] if tensor.scale else 0.1 for n in range(count)]
    zero = [tensor.zero_point[n % len(tensor.zero_point)] if tensor.zero_point else 0 for n in range(count)]
    if scale and chance.random() < 0.7:
        factor = chance.choice((chance.choice(SCALES), scale[0] * 2.0 ** chance.randrange(-40, 40)))
        scale[chance.randrange(count)] = factor
    if zero and chance.random() < 0.4:
        zero[chance.randrange(count)] = chance.choice(ZEROS)
    axis = chance.choice((tensor.axis, tensor.axis, 0, 1, 3, -1, 99))
    model.tensors[number] = replace(tensor, scale=tuple(scale), zero_point=tuple(zero), axis=axis)
    return f"tensor {number}: scale {scale[:9]}, zero point {zero[:9]}, axis {axis}"


def _option(chance: random.Random, model: ModelBuilder) -> str:
    number = chance.randrange(len(model.operators))
    operator = model.operators[number]
    options = dict(operator.options)
    if not options or chance.random() < 0.15:
        other = chance.choice(model.operators)
        model.operators[number] = replace(operator, options_table=other.options_table, options=other.options)
        return f"operator {number} {operator.code}: {other.options_table}"
    key = chance.choice(sorted(options))
    old = options[key]
    if isinstance(old, (int, float)):
        options[key] = chance.choice(OPTIONS) if not isinstance(old, float) else chance.choice(SCALES)
    else:
        options[key] = [chance.choice(OPTIONS) for _ in range(chance.randrange(5))]
    model.operators[number] = replace(operator, options=options)
    return f"operator {number} {operator.code}: {key} = {options[key]}"


def _operators(chance: random.Random, model: ModelBuilder) -> str:
    number = chance.randrange(len(model.operators))
    what = chance.choice(("dropped", "doubled", "moved"))
    operator = model.operators.pop(number)
    if what == "doubled":
        model.operators[number:number] = [operator, operator]
    elif what == "moved":
        model.operators.insert(chance.randrange(len(model.operators) + 1), operator)
    return f"operator {number} {operator.code} {what}"


def _ports(chance: random.Random, model: ModelBuilder) -> str:
    """The model's inputs or outputs: inner tensors, constants, the same twice, none."""
    which = chance.choice(("inputs", "outputs"))
    ports = getattr(model, which)
    what = chance.choice(("more", "more", "other", "fewer"))
    if what == "fewer" or not ports:
        ports[:] = ports[1:]
    elif what == "more":
        ports.insert(chance.randrange(len(ports) + 1), chance.choice(model.tensors))
    else:
        ports[chance.randrange(len(ports))] = chance.choice(model.tensors)
    return f"{which}: {[tensor.index for tensor in ports]}"


def _code(chance: random.Random, model: ModelBuilder) -> str:
    number = chance.randrange(len(model.operators))
    codes = sorted({operator.code for make in BUILT.values() for operator in make().operators})
    code = chance.choice([*codes, "LOG_SOFTMAX", "IF", "CUSTOM", "CALL", "WHILE"])
    model.operators[number] = replace(model.operators[number], code=code)
    return f"operator {number} is {code}"


def _constant(chance: random.Random, model: ModelBuilder) -> str:
    """An element of a constant: axes, shapes, paddings, slices, biases."""
    held = [tensor for tensor in model.tensors if tensor.data is not None and tensor.data.size]
    if not held:
        return "nothing"
    tensor = chance.choice([t for t in held if t.dtype == np.int32] or held)
    assert tensor.data is not None
    data = tensor.data.copy()
    limits = np.iinfo(data.dtype) if data.dtype.kind in "iu" else None
    value = chance.choice(OPTIONS)
    data.reshape(-1)[chance.randrange(data.size)] = min(max(value, limits.min), limits.max) if limits else value
    model.tensors[tensor.index] = replace(tensor, data=data)
    return f"tensor {tensor.index} holds {data.reshape(-1)[:8].tolist()}"


def _once(chance: random.Random, model: ModelBuilder) -> str:
    """A tensor or an operator of what CALL_ONCE runs."""
    once = model.once[0]
    tensors, operators = list(once.tensors), list(once.operators)
    what = chance.choice(("dropped", "operands", "shape", "type", "value"))
    number = chance.randrange(len(operators))
    place = chance.randrange(len(tensors))
    if what == "dropped":
        del operators[number]
    elif what == "operands":
        held = tuple(chance.randrange(-1, len(tensors)) for _ in range(chance.randrange(4)))
        operators[number] = replace(operators[number], inputs=held)
    elif what == "shape":
        tensors[place] = replace(tensors[place], shape=tuple(chance.choice(SIZES) for _ in range(chance.randrange(4))))
    elif what == "type":
        tensors[place] = replace(tensors[place], dtype=np.dtype(chance.choice(TYPES)))
    else:
        tensors[place] = replace(tensors[place], data=None)
    model.once[0] = replace(once, tensors=tensors, operators=operators)
    return f"CALL_ONCE: {what} {number} {place}"


def _name(chance: random.Random, model: ModelBuilder) -> str:
    number = _some_tensor(chance, model)
    name = chance.choice((*NAMES, model.tensors[_some_tensor(chance, model)].name))
    model.tensors[number] = replace(model.tensors[number], name=name)
    return f"tensor {number} is named {name[:40]!r}"
