"""From a model and calibration data to an Adaptation: which method, which layers, and whether the data will do."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING

import driftc.codegen.adaptation as package
from driftc.codegen.adaptation.adapt import chosen
from driftc.codegen.adaptation.auto import BUDGET, within
from driftc.codegen.adaptation.calibration import Source, measure
from driftc.codegen.adaptation.constants import Adaptation, Constants
from driftc.codegen.adaptation.known import Known
from driftc.codegen.errors import DataError, UsageError
from driftc.codegen.graph import Array, Graph
from driftc.codegen.passes.border import border

if TYPE_CHECKING:
    from driftc.simulator.data import Samples

FEWEST, ENOUGH = 16, 500  # calibration samples: below the first refused, below the second warned of


Progress = Callable[[int, int], None]
Measured = Callable[[], Mapping[str, Source]]  # the sources of the chosen layers; takes its time
Fit = Callable[[Graph, Measured, "list[tuple[Array, ...]]", Progress | None, Graph | None], dict[str, Constants]]


@cache
def methods() -> dict[str, Fit]:
    """Name -> what finds the constants of every live layer."""
    found: dict[str, Fit] = {}
    for module in pkgutil.iter_modules(package.__path__):
        defined = vars(import_module(f"{package.__name__}.{module.name}"))
        if callable(defined.get("fit")):
            found[module.name] = defined["fit"]
        elif callable(defined.get("constants")):
            for name, arguments in defined.get("VARIANTS", {module.name: {}}).items():
                found[name] = _layer_by_layer(partial(defined["constants"], **arguments))
    return dict(sorted(found.items()))


def _layer_by_layer(constants: Callable[[Source], Constants]) -> Fit:
    return lambda graph, measured, samples, progress, real: {
        name: constants(source) for name, source in measured().items()
    }


def find(
    graph: Graph,
    method: str,
    layers: str,
    samples: Samples,
    progress: Progress | None = None,
    known: Known | None = None,
    precision: str = "int8",
    budget: float | None = None,
) -> tuple[Adaptation, list[str]]:
    """The constants of each chosen layer, and what the user should know.

    `graph` as the file has it; `samples` for the inputs of its `border`; `known` where it was made of a float model;
    `budget` in percent, for the layers "auto". Raises UsageError or DataError.
    """
    fit = method_named(method)
    norms = known.layers if known else {}
    names = chosen(graph, "all" if layers == "auto" else layers, norms)
    if budget is not None and layers != "auto":
        raise UsageError("--adapt-budget: is what --adapt-layers auto keeps within; give both")
    if budget is not None and not 0 < budget <= 1000:
        raise UsageError(f"--adapt-budget {budget:g}: percent of the instructions, above 0 and at most 1000")
    if len(samples) < FEWEST:
        raise DataError(
            f"{samples.described}: {len(samples)} calibration samples; {FEWEST} are needed, better {ENOUGH}"
        )
    notes = []
    if known is not None and not norms:
        notes.append(
            f"{graph.source}: has no batch normalisation; its layers adapt from their statistics on the samples"
        )
    if len(samples) < ENOUGH:
        notes.append(
            f"{samples.described}: {len(samples)} calibration samples; below {ENOUGH} the constants are uncertain"
        )
    inner = border(graph)
    real = known.real if known else None
    quantized = samples.quantized
    if layers == "auto":
        able, percent = len(names), BUDGET if budget is None else budget
        names = within(inner, names, quantized, percent, progress, norms)
        notes.append(f"live within {percent:g} % more instructions: {len(names)} of {able} layers: {', '.join(names)}")
    found = fit(inner, lambda: measure(inner, names, quantized, progress, norms), quantized, progress, real)
    return Adaptation(method, graph.sha256, found, precision), notes


def method_named(method: str) -> Fit:
    """Raises UsageError, naming the methods that there are."""
    found = methods()
    if method not in found:
        raise UsageError(f"--adapt {method}: unknown method; driftc has {', '.join(found)}")
    return found[method]
