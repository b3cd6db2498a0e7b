"""A stream of samples without labels, from which the C adapts on an engine: what it gains and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.errors import UsageError
from driftc.codegen.lower import Lowered
from driftc.codegen.operators.learn.meta_update import LEARNT, RETURNED
from driftc.codegen.samples import Samples
from driftc.simulator.engine import Engine, Program
from driftc.simulator.learning import Event, Kind, Outcome, run
from driftc.simulator.teach import labels_of

MEASURED = 8  # samples whose instructions are counted
BLOCK = 100


@dataclass(frozen=True)
class Block:
    """Samples in a row: shares that are decided right, how many were learnt from, and returns to what was compiled."""

    samples: int
    adapted: float
    plain: float  # by the same network, which does not learn
    learnt: int
    returned: int


@dataclass(frozen=True)
class Adapted:
    """What a stream gave. `whole` is all of it; instructions are the core's, of the dearest sample that was counted."""

    engine: str
    core: str
    whole: Block
    blocks: tuple[Block, ...]
    state_bytes: int
    adapt_instructions: int | None
    inference_instructions: int | None  # of the same sample, without NAME_adapt

    @property
    def share(self) -> float | None:
        """Of NAME_adapt in an inference."""
        if self.adapt_instructions is None or not self.inference_instructions:
            return None
        return self.adapt_instructions / self.inference_instructions

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "adapt_share": self.share}


def adapt(
    lowered: Lowered,
    program: Program,
    engine: Engine,
    counter: Engine | None,
    stream: Samples,
    block: int | None = None,
) -> Adapted:
    """Infer each sample and learn from it at once; `block` samples (None: 100) are a Block, the last may have fewer.

    Raises UsageError where the model does not learn without labels, DataError without labels for the score.
    """
    if lowered.learned is None or lowered.learned.api != "adapt":
        raise UsageError(f"{lowered.graph.source}: --stream needs a model that was compiled with --learn ecotta")
    block = block or BLOCK
    labels = labels_of(stream, lowered.graph.outputs[0].size, "the model has no others")
    infers = [Event(Kind.INFER, 0, x) for x in stream.quantized]
    events = [*infers, Event(Kind.RESET), *(event for infer in infers for event in (infer, Event(Kind.AGAIN)))]
    outcomes = [outcome for outcome, _ in run(engine, program, lowered, events)]
    plain, adapting = outcomes[: len(infers)], outcomes[len(infers) + 1 :]
    right = _decided(adapting[::2]) == labels, _decided(plain) == labels
    status = np.array([outcome.status for outcome in adapting[1::2]])
    learnt, returned = status == LEARNT, status == RETURNED

    def part(first: int, last: int) -> Block:
        adapted, before = (float(found[first:last].mean()) for found in right)
        counts = (int(found[first:last].sum()) for found in (learnt, returned))
        return Block(min(last, len(labels)) - first, adapted, before, *counts)

    cost = None if counter is None else _instructions(lowered, program, counter, stream.quantized, learnt)
    return Adapted(
        engine.name,
        program.target.core,
        part(0, len(labels)),
        tuple(part(first, first + block) for first in range(0, len(labels), block)),
        lowered.plan.state_bytes,
        *(cost or (None, None)),
    )


def _decided(outcomes: Sequence[Outcome]) -> NDArray[np.int64]:
    return np.array([int(np.argmax(outcome.outputs[0].reshape(-1))) for outcome in outcomes])


def _instructions(
    lowered: Lowered,
    program: Program,
    counter: Engine,
    samples: Sequence[tuple[Any, ...]],
    learnt: NDArray[np.bool_],
) -> tuple[int, int] | None:
    """Of NAME_adapt and of the inference before it, the dearest; of samples that were learnt from, where there are."""
    chosen = np.argsort(~learnt, kind="stable")[:MEASURED]
    events = [event for n in chosen for event in (Event(Kind.INFER, 0, samples[n]), Event(Kind.AGAIN))]
    counts = [sample.instructions for _, sample in run(counter, program, lowered, events)]
    pairs = [
        (after[-1], sum(before[:-1]))
        for before, after in zip(counts[::2], counts[1::2], strict=True)
        if before is not None and after is not None
    ]
    return max(pairs, default=None)
