"""Samples that a compiled model is run on: of a file, or made from a seed within what its inputs can be."""

from __future__ import annotations

from pathlib import Path

from driftc.codegen import samples as source
from driftc.codegen.errors import UsageError
from driftc.codegen.lower import Lowered
from driftc.codegen.operators.movement.gather import Gather
from driftc.codegen.operators.movement.gather_nd import GatherND
from driftc.codegen.samples import Samples

RANDOM_SAMPLES = 5  # where no data is given


def samples_of(
    lowered: Lowered,
    float_io: bool,
    data: Path | None,
    *,
    random: int | None = None,
    labels: str | None = None,
    divisor: float = 1.0,
    sample: int | None = None,
    restart: str | None = None,
) -> Samples:
    """As Compiled.samples says. Raises UsageError or DataError."""
    inputs = lowered.graph.inputs
    if data is not None and random is not None:
        raise UsageError("give either data or random, not both")
    if restart is not None and not lowered.graph.states:
        raise UsageError(f"--restart {restart}: the model keeps no state, so every sample stands for itself")
    if data is None and labels is not None:
        raise UsageError("--labels belongs to --data: random samples have no classes")
    if data is not None:
        found = source.load(data, inputs, labels=labels, divisor=divisor)
    else:
        count = RANDOM_SAMPLES if random is None else random
        found = source.random(count, inputs, index_limits(lowered), _real_inputs(lowered, float_io))
    if restart is not None:
        found = source.restarted(found, data, restart)
    return found if sample is None else found.only(sample)


def _real_inputs(lowered: Lowered, float_io: bool) -> set[str]:
    """Inputs that the user gives as real values: all of them with `float_io`, else the model's float border."""
    quantized = {tensor.name for tensor in lowered.graph.inputs if tensor.stands_for_reals}
    return quantized if float_io else quantized & lowered.real_inputs


def index_limits(lowered: Lowered) -> dict[str, int]:
    """Rows of the smallest table that each int32 input indexes, itself or by another shape."""
    limits: dict[str, int] = {}
    for operator in lowered.graph.operators:
        if isinstance(operator, Gather | GatherND):
            name, entries = operator.indices.name, operator.entries
            for indices in {name, lowered.plan.views.get(name, name)}:
                limits[indices] = min(entries, limits.get(indices, entries))
    return limits
