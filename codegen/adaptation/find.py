"""From a model and calibration data to an Adaptation: which method, which layers, and whether the data will do."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import driftc.codegen.adaptation as package
from driftc.codegen.adaptation.adapt import candidates, chosen
from driftc.codegen.adaptation.augment import Shifts, shifts
from driftc.codegen.adaptation.auto import BUDGET, SEEN, alone, within
from driftc.codegen.adaptation.calibration import Source, measure
from driftc.codegen.adaptation.constants import Adaptation, Constants
from driftc.codegen.adaptation.known import Known, Normalisation
from driftc.codegen.adaptation.learning import Learning, Progress, Worth
from driftc.codegen.errors import DataError, UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.passes.border import border

if TYPE_CHECKING:
    from driftc.codegen.samples import Samples

FEWEST, ENOUGH = 16, 500  # calibration samples: below the first refused, below the second warned of


Measured = Callable[[], Mapping[str, Source]]  # the sources of the chosen layers; takes its time


class Learner(Protocol):
    """What learns the constants of every live layer together."""

    def fit(self, progress: Progress | None = None) -> dict[str, Constants]: ...

    def worth(self, progress: Progress | None = None) -> Worth: ...


@dataclass(frozen=True)
class Method:
    """What finds the constants of every live layer: all together with shifted samples, or each from its Source."""

    fitting: Callable[[Graph, Measured, Shifts, Learning, Graph | None], Learner] | None = None
    constants: Callable[[Source], Constants] | None = None


@cache
def methods() -> dict[str, Method]:
    """By name."""
    found: dict[str, Method] = {}
    for module in pkgutil.iter_modules(package.__path__):
        defined = vars(import_module(f"{package.__name__}.{module.name}"))
        if callable(defined.get("Fitting")):
            found[module.name] = Method(defined["Fitting"])
        elif callable(defined.get("constants")):
            for name, arguments in defined.get("VARIANTS", {module.name: {}}).items():
                found[name] = Method(constants=partial(defined["constants"], **arguments))
    return dict(sorted(found.items()))


def find(
    graph: Graph,
    method: str,
    layers: str,
    samples: Samples,
    learning: Learning,
    progress: Progress | None = None,
    known: Known | None = None,
    precision: str = "int8",
    budget: float | None = None,
) -> tuple[Adaptation, list[str]]:
    """The constants of each chosen layer, and what the user should know.

    `graph` as the file has it; `samples` for the inputs of its `border`; `known` where it was made of a float model;
    `budget` in percent, for the layers "auto".
    Raises UsageError or DataError.
    """
    how = method_named(method)
    norms = known.layers if known else {}
    able = names = chosen(graph, "all" if layers == "auto" else layers, norms)
    if budget is not None and layers != "auto":
        raise UsageError("--adapt-budget: is what --adapt-layers auto keeps within; give both")
    if budget is not None and not 0 < budget <= 1000:
        raise UsageError(f"--adapt-budget {budget:g}: percent of the instructions, above 0 and at most 1000")
    if len(samples) < FEWEST:
        raise DataError(
            f"{samples.described}: {len(samples)} calibration samples; {FEWEST} are needed, better {ENOUGH}"
        )
    notes = _left_out(graph, norms) if layers in ("all", "auto") else []
    if known is not None and not norms:
        notes.append(
            f"{graph.source}: has no batch normalisation; its layers adapt from their statistics on the samples"
        )
    if len(samples) < ENOUGH:
        notes.append(
            f"{samples.described}: {len(samples)} calibration samples; below {ENOUGH} the constants are uncertain"
        )
    inner = border(graph)
    quantized = samples.quantized
    shifted = shifts(learning.augment, inner, quantized, learning.divisor) if how.fitting else None
    if shifted and not shifted.paired:
        notes.append(
            f"{Path(learning.augment or '').name}: not as many samples as there are calibration samples, and no "
            "'index': taken as copies of none of them"
        )

    real = known.real if known else None

    @cache
    def every() -> Mapping[str, Source]:
        return measure(inner, able, quantized, progress, norms)

    def worth() -> Worth:
        if how.fitting is not None and shifted is not None:
            return how.fitting(inner, every, shifted, learning, real).worth(progress)
        assert how.constants is not None
        return alone(inner, every(), how.constants, quantized[:SEEN], progress)

    if layers == "auto":
        percent = BUDGET if budget is None else budget
        names = within(inner, able, percent, worth, learning.rank or 0)
        listed = ", ".join(names)
        notes.append(f"live within {percent:g} % more instructions: {len(names)} of {len(able)} layers: {listed}")

    def measured() -> Mapping[str, Source]:
        return {name: every()[name] for name in names}

    if how.fitting is not None and shifted is not None:
        found = how.fitting(inner, measured, shifted, learning, real).fit(progress)
    else:
        assert how.constants is not None
        found = {name: how.constants(source) for name, source in measured().items()}
    return Adaptation(method, graph.sha256, found, precision), notes


def _left_out(graph: Graph, norms: Mapping[str, Normalisation]) -> list[str]:
    """The layers that "all" does not mean, with the reasons."""
    titles = {name: norm.name for name, norm in norms.items()}
    found = candidates(graph, norms).items()
    reasons = [f"{titles.get(name, name)}: {problem}" for name, problem in found if problem is not None]
    return [f"{graph.source}: not live: {'; '.join(reasons)}"] if reasons else []


def method_named(method: str) -> Method:
    """Raises UsageError, naming the methods that there are."""
    found = methods()
    if method not in found:
        raise UsageError(f"--adapt {method}: unknown method; driftc has {', '.join(found)}")
    return found[method]
