"""Shifted copies of calibration samples, for fitting. Seeded: the same samples and seed give the same copies.

A kind is a file here that defines `KIND`; or the user brings samples of their own.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.adaptation.augment.kind import Floats, Kind, Random
from driftc.codegen.errors import DataError, UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.tensor import Tensor

if TYPE_CHECKING:
    from driftc.codegen.samples import Samples

Indices = NDArray[np.int64]
FILES = (".npz", ".npy")
FEWEST = 16  # shifted samples in a file


@dataclass(frozen=True, eq=False)
class Shifts:
    """`batch(numbers, random)`: of `count` pairs those, samples and a shifted copy of each, float32 in 0..1.

    Not `paired`: the copies show the shift, and are copies of no sample in particular.
    """

    count: int
    batch: Callable[[Indices, Random], tuple[Floats, Floats]]
    paired: bool = True


@cache
def kinds() -> dict[str, Kind]:
    """Name -> kind."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    found = {name: getattr(import_module(f"{__name__}.{name}"), "KIND", None) for name in modules}
    return {name: kind for name, kind in sorted(found.items()) if kind is not None}


def shifts(augment: str | None, graph: Graph, samples: list[tuple[Any, ...]], divisor: float = 1.0) -> Shifts:
    """How the calibration `samples` of the int8 `graph` are shifted.

    `augment`: a kind, or a file of shifted samples (uint8 there is divided by `divisor`); None: as the shape says.
    Raises UsageError or DataError.
    """
    if len(graph.inputs) != 1:
        raise UsageError(f"{graph.source}: constants are fitted for models with one input and one output")
    (tensor,) = graph.inputs
    if augment is not None and augment not in kinds() and Path(augment).suffix in FILES:
        return _own(Path(augment), tensor, samples, divisor)
    kind = _kind(augment, tensor.shape, graph.source)
    clean = unit(samples)
    made = kind.made(clean, (tensor.zero_point - tensor.limits[0]) / 255)

    def batch(numbers: Indices, random: Random) -> tuple[Floats, Floats]:
        varied = kind.varied(clean[numbers], random)
        return varied, made(varied, random)

    return Shifts(len(clean), batch)


def unit(samples: list[tuple[Any, ...]]) -> Floats:
    """The int8 or uint8 values of a model's one input as float32 in 0..1, [samples, ...]."""
    values = np.concatenate([sample[0] for sample in samples])
    return np.asarray((values.astype(np.float32) - np.iinfo(values.dtype).min) / np.float32(255), np.float32)


def _kind(name: str | None, shape: tuple[int, ...], source: str) -> Kind:
    known = kinds()
    listed = f"{', '.join(known)} or FILE.npz of shifted samples"
    if name is None:
        likely = [kind for kind in known.values() if kind.likely(shape)]
        if len(likely) != 1:
            raise UsageError(
                f"{source}: calibrated needs shifted copies of the samples, and an input {list(shape)} may be many "
                f"things; say which with --augment: {listed}"
            )
        return likely[0]
    if name not in known:
        raise UsageError(f"--augment {name}: is none of {listed}")
    if not known[name].takes(shape):
        raise UsageError(f"--augment {name}: takes {known[name].shapes}; the input of {source} is {list(shape)}")
    return known[name]


def _own(path: Path, tensor: Tensor, samples: list[tuple[Any, ...]], divisor: float) -> Shifts:
    """Of the calibration samples, by `index` in the file where there is one, else by position, else of none."""
    from driftc.codegen.samples import integers, load

    found: Samples = load(path, [tensor], divisor=divisor)
    if len(found) < FEWEST:
        raise DataError(f"{path.name}: {len(found)} shifted samples; {FEWEST} are needed")
    shifted = unit(found.quantized)
    clean, count = unit(samples), len(samples)
    of = integers(path, "index", len(shifted))
    if of is not None and (of.min() < 0 or of.max() >= count):
        raise DataError(
            f"{path.name}: 'index' is {of.min()} to {of.max()}; the calibration samples are 0 to {count - 1}"
        )
    if of is None and len(shifted) == count:
        of = np.arange(count)
    if of is not None:
        return Shifts(len(of), lambda numbers, _: (clean[of[numbers]], shifted[numbers]))
    return Shifts(
        max(count, len(shifted)),
        lambda numbers, _: (clean[numbers % count], shifted[numbers % len(shifted)]),
        paired=False,
    )
