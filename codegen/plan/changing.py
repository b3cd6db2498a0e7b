"""Where in RAM the constants of updatable layers lie, as their kernels read them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from driftc.codegen.kernels.kernel import Changing
from driftc.codegen.operators.base import Operator
from driftc.codegen.plan.call import Statement, static_calls
from driftc.codegen.plan.place import aligned


@dataclass(frozen=True)
class Kept:
    """An array in the region PARAMETERS: `key` of the kernel's constants, from byte `offset` on."""

    key: str
    offset: int
    dtype: np.dtype[Any]
    size: int

    @property
    def end(self) -> int:
        return aligned(self.offset + self.size * self.dtype.itemsize)


@dataclass(frozen=True, eq=False)
class KeptLayer:
    """An updatable operator, and its arrays in RAM."""

    operator: Operator
    layout: str
    arrays: tuple[Kept, ...]

    def offset(self, key: str) -> int:
        return next(array.offset for array in self.arrays if array.key == key)


def kept_layers(program: Iterable[Statement]) -> tuple[KeptLayer, ...]:
    """In the program's order, one behind the other."""
    found: dict[str, KeptLayer] = {}
    place = 0
    for call in static_calls(tuple(program)):
        operator = call.operator
        if not operator.updatable or operator.name in found:
            continue
        changing = call.kernel.changing(operator)
        assert isinstance(changing, Changing), f"{call.kernel.name} computes no updatable layer"
        constants = call.kernel.constants(operator)
        arrays = []
        for key in changing.keys:
            arrays.append(Kept(key, place, constants[key].dtype, constants[key].size))
            place = arrays[-1].end
        found[operator.name] = KeptLayer(operator, changing.layout, tuple(arrays))
    return tuple(found.values())
