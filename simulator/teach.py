"""A stream of labelled samples, learnt by the C on an engine: what it gains, what it loses, what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.errors import DataError
from driftc.codegen.learning.layers import part
from driftc.codegen.learning.learner import REASONS, Report
from driftc.codegen.learning.trainable import trained_parts
from driftc.codegen.lower import Lowered
from driftc.codegen.samples import Samples
from driftc.simulator.engine import Engine, Program
from driftc.simulator.learning import MANY, Event, Kind, Outcome, run

MEASURED = 12  # steps of learning whose instructions are counted
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Shares of the test samples that are decided right: of classes that the model had, of those that it learns."""

    old: float | None
    new: float | None
    all: float

    @property
    def mean(self) -> float:
        """Of old and new, where there are both."""
        found = [value for value in (self.old, self.new) if value is not None]
        return sum(found) / len(found)


@dataclass(frozen=True)
class Round:
    """After `added` samples: how learning went, and what is decided right since."""

    added: int
    refused: str  # why it did not learn
    report: Report
    scores: Scores


@dataclass(frozen=True)
class Taught:
    """What a stream taught. Bytes are of RAM; instructions of one step of learning on the core, the dearest."""

    engine: str
    core: str
    before: Scores
    rounds: tuple[Round, ...]
    store_bytes: int
    reference_bytes: int  # in flash
    trained_bytes: int  # masters, weights and biases
    step_instructions: int | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def teach(
    lowered: Lowered,
    program: Program,
    engine: Engine,
    counter: Engine | None,
    stream: Samples,
    tests: Samples,
    every: int | None = None,
) -> Taught:
    """Add `stream` in its order and learn after `every` samples (None: as many as the store holds), and at its end.

    Raises DataError where samples have no labels, or labels that the model has no room for.
    """
    assert lowered.learned is not None
    lesson = lowered.learned.classifier
    given, wanted = (labels_of(samples, lesson.classes, "--learn-classes makes room") for samples in (stream, tests))
    size = min(every or lesson.slots, lesson.slots)
    test = [Event(Kind.INFER, 0, x) for x in tests.quantized]
    events, marks = [*test], []
    for first in range(0, len(stream), size):
        some = range(first, min(first + size, len(stream)))
        events += [Event(Kind.ADD, int(given[n]), stream.quantized[n]) for n in some]
        marks.append((len(events), some.stop))
        events += [Event(Kind.STEP, MANY), *test]
    outcomes = [outcome for outcome, _ in run(engine, program, lowered, events)]
    for event, outcome in zip(events, outcomes, strict=True):
        if event.kind is Kind.ADD and outcome.status < 0:
            raise DataError(f"{stream.described}: a sample of class {event.number}: {REASONS[outcome.status]}")
    rounds = []
    for at, added in marks:
        learnt = outcomes[at]
        scores = _scores(outcomes[at + 1 : at + 1 + len(test)], wanted, lesson.known)
        rounds.append(Round(added, REASONS.get(learnt.status, ""), learnt.report, scores))
    sizes = {part(state.tensor): state.tensor.bytes for state in lowered.graph.states}
    return Taught(
        engine.name,
        program.target.core,
        _scores(outcomes[: len(test)], wanted, lesson.known),
        tuple(rounds),
        sizes["store"] + sizes["store labels"],
        lesson.references.nbytes + lesson.labels.nbytes,
        sum(sizes[name] for names in trained_parts(lesson) for name in names),
        None if counter is None else _instructions(lowered, program, counter, stream.quantized, given),
    )


def labels_of(samples: Samples, classes: int, beyond: str) -> Labels:
    """Raises DataError where there are none, or others than `classes`; `beyond` says what then."""
    if samples.labels is None:
        raise DataError(f"{samples.described}: learning needs labels, as y in the same file, one whole number a sample")
    found = np.asarray(samples.labels, np.int64).reshape(-1)
    if found.size == 0 or int(found.min()) < 0 or int(found.max()) >= classes:
        raise DataError(f"{samples.described}: labels must be classes 0 to {classes - 1}; {beyond}")
    return found


def _scores(outcomes: Sequence[Outcome], labels: Labels, known: int) -> Scores:
    decided = np.array([int(np.argmax(outcome.outputs[0].reshape(-1))) for outcome in outcomes])
    right, old = decided == labels, labels < known

    def share(of: NDArray[np.bool_]) -> float | None:
        return float(right[of].mean()) if of.any() else None

    return Scores(share(old), share(~old), float(right.mean()))


def _instructions(
    lowered: Lowered, program: Program, counter: Engine, samples: Sequence[tuple[Any, ...]], labels: Labels
) -> int | None:
    """Of the dearest of the first steps that train; None where they did not begin."""
    assert lowered.learned is not None
    some = range(min(len(samples), 8))
    adds = [Event(Kind.ADD, int(labels[n]), samples[n]) for n in some]
    checks = len(some) + len(lowered.learned.classifier.labels)
    events = [*adds, Event(Kind.STEP, checks + 1), *[Event(Kind.STEP, 1)] * MEASURED]
    found = list(run(counter, program, lowered, events))[-MEASURED:]
    counts = [sample.instructions[-1] for outcome, sample in found if outcome.status > 0 and sample.instructions]
    return max(counts) if counts else None
