"""From a model and calibration data to an Adaptation: which method, which layers, and whether the data will do."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

import driftc.codegen.adaptation as package
from driftc.codegen.adaptation.adapt import chosen
from driftc.codegen.adaptation.calibration import Source, measure
from driftc.codegen.adaptation.constants import Adaptation, Constants
from driftc.codegen.errors import DataError, UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.passes.border import border

if TYPE_CHECKING:
    from driftc.simulator.data import Samples

DEFAULT = "calibrated"
FEWEST, ENOUGH = 16, 500  # calibration samples: below the first refused, below the second warned of


@cache
def methods() -> dict[str, Callable[[Source], Constants]]:
    """Name -> what makes a layer's constants."""
    found: dict[str, Callable[[Source], Constants]] = {}
    for module in pkgutil.iter_modules(package.__path__):
        make = vars(import_module(f"{package.__name__}.{module.name}")).get("constants")
        if callable(make):
            found[module.name] = make
    return dict(sorted(found.items()))


def find(
    graph: Graph, method: str, layers: str, samples: Samples, progress: Callable[[int, int], None] | None = None
) -> tuple[Adaptation, list[str]]:
    """The constants of each chosen layer, and what the user should know.

    `graph` as the file has it; `samples` for the inputs of its `border`. Raises UsageError or DataError.
    """
    make = method_named(method)
    names = chosen(graph, layers)
    if len(samples) < FEWEST:
        raise DataError(
            f"{samples.described}: {len(samples)} calibration samples; {FEWEST} are needed, better {ENOUGH}"
        )
    notes = []
    if len(samples) < ENOUGH:
        notes.append(
            f"{samples.described}: {len(samples)} calibration samples; below {ENOUGH} the constants are uncertain"
        )
    sources = measure(border(graph), names, samples.quantized, progress)
    return Adaptation(method, graph.sha256, {name: make(source) for name, source in sources.items()}), notes


def method_named(method: str) -> Callable[[Source], Constants]:
    """Raises UsageError, naming the methods that there are."""
    found = methods()
    if method == DEFAULT and DEFAULT not in found:
        raise UsageError(
            f"--adapt {DEFAULT}: its constants cannot be found by this version of driftc yet; give a file of them with "
            f"--adapt-constants, or choose --adapt {' or '.join(found)}"
        )
    if method not in found:
        raise UsageError(f"--adapt {method}: unknown method; driftc has {', '.join(found)}")
    return found[method]
