"""The first byte in which an engine departs from the specification, and the likeliest reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.names import readable
from driftc.codegen.tensor import Tensor

Array = NDArray[Any]
Pairs = list[tuple[Tensor, Array, Array | None]]  # tensor, what the specification says, what the engine gave


@dataclass(frozen=True)
class Difference:
    """The first byte that is not as the specification says."""

    engine: str
    sample: int
    layer: str  # as `compile` reports it, which is the name of its function in C
    tensor: str  # its name in the model file
    element: tuple[int, ...]
    expected: int | float
    got: int | float
    share: float  # of the tensor's elements that differ
    cause: str

    def as_json(self) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "element": list(self.element),
            "expected": self.expected,
            "got": self.got,
            "engine": self.engine,
        }

    def __str__(self) -> str:
        tensor = f"tensor '{readable(self.tensor)}', " if self.tensor != self.layer else ""
        return (
            f"{self.engine}: {readable(self.layer)}{list(self.element)} is {self.got}, expected {self.expected} "
            f"({tensor}sample {self.sample}; {self.share:.1%} of its elements differ). {self.cause}"
        )


def first_difference(
    engine: str, pairs: Pairs, layers: dict[str, str], sample: int, edited: Sequence[str]
) -> Difference | None:
    """In `pairs` of one sample; `layers` names what computes each tensor, `edited` files are no longer driftc's."""
    for tensor, expected, got in pairs:
        label = tensor.label or tensor.name
        layer = layers.get(tensor.name, label)
        if got is None:
            cause = "The hook never showed this layer."
            return Difference(engine, sample, layer, label, (0,), 0, 0, 1.0, cause)
        flat, other = expected.reshape(-1), got.reshape(-1)
        if flat.dtype != other.dtype or flat.size != other.size:
            raise AssertionError(
                f"{engine}: {tensor.name} is {other.dtype}[{other.size}], not {flat.dtype}[{flat.size}]"
            )
        if flat.tobytes() == other.tobytes():
            continue
        unlike = np.flatnonzero(
            flat.view(np.uint8).reshape(flat.size, -1) != other.view(np.uint8).reshape(flat.size, -1)
        )
        where = int(unlike[0]) // flat.dtype.itemsize
        return Difference(
            engine,
            sample,
            layer,
            label,
            tuple(int(i) for i in np.unravel_index(where, tensor.shape or (1,))),
            flat[where].item(),
            other[where].item(),
            float(np.mean(flat != other)),
            _cause(engine, flat, other, edited),
        )
    return None


def _cause(engine: str, expected: Array, got: Array, edited: Sequence[str]) -> str:
    """The likeliest reason, from who differs and how."""
    if edited and engine not in ("numpy", "tflm", "litert"):
        return f"Likely cause: {', '.join(edited)} changed since driftc wrote it; compile the model again."
    gap = np.abs(expected.astype(np.float64) - got.astype(np.float64))
    shape = "off by one, as a rounding that differs would be" if gap.max() <= 1 else "not a matter of rounding"
    if np.all(got == got[0]):
        shape = "every element is the same: the layer was not computed, or computed from nothing"
    who = {
        "numpy": "the Plan computes something else than the Graph, which is a bug in driftc's planner",
        "tflm": "the specification departs from TFLite Micro's kernel, which is a bug in driftc",
        "litert": "LiteRT departs here in a way that docs/arithmetic.md does not list; TFLite Micro decides",
        "host": "the generated C departs from the specification: a bug in driftc or in the host compiler",
    }.get(engine, "the code for this core departs: compare with the host engine, another compiler (--cc) or -O")
    return f"Likely cause: {who} ({shape})."
