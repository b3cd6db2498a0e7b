"""What each way of learning would give a model, measured when compiling: classes that are left out, and learnt anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.graph import Graph
from driftc.codegen.learning.backward import backward
from driftc.codegen.learning.layers import Tail
from driftc.codegen.learning.learner import Learner
from driftc.codegen.learning.lesson import Lesson
from driftc.codegen.learning.room import plan_step
from driftc.codegen.learning.trainable import learnable, trainable, trained_parts
from driftc.codegen.operators.learn.cross_entropy import NO_LABEL
from driftc.codegen.operators.learn.trained_dense import ABSENT
from driftc.codegen.passes import passed
from driftc.codegen.plan.cost import instructions
from driftc.codegen.tensor import Array

TAUGHT, TESTED, PASSES = 10, 8, 5  # samples of a class that are learnt, and tested; how often each is seen
FEWEST = 4  # classes: two are left out, and two stay


@dataclass(frozen=True, eq=False)
class Way:
    """A way of learning and, of each labelled sample, what is stored of it."""

    name: str
    lesson: Lesson
    tail: Tail | None
    stored: NDArray[np.int8]  # [n, size]


@dataclass(frozen=True)
class Measured:
    """Of the classes left out, how many are right once they are learnt; of the others, what that changes. In shares."""

    name: str
    plasticity: float
    stability: float
    bytes: int  # of weights, biases and their masters
    instructions: int  # of a step, estimated

    def __str__(self) -> str:
        kb, millions = self.bytes / 1024, self.instructions / 1e6
        gain, loss = 100 * self.plasticity, 100 * self.stability
        return (
            f"{self.name}: {gain:.1f}% of them right, the others {loss:+.1f}%; {kb:.1f} KB, about "
            f"{self.instructions:,} instructions a step ({gain / kb:.1f} and {loss / kb:+.1f} points a KB, "
            f"{gain / millions:.1f} and {loss / millions:+.1f} a million instructions)"
        )


def measure(model: Graph, ways: Sequence[Way], labels: NDArray[np.int64], core: str) -> list[Measured]:
    """Two classes at a time are left out, and learnt from samples that are no references.

    Instructions are those that the planner expects of a step on `core`.
    Empty where there are fewer than FEWEST classes, or not two samples more of each.
    """
    known = ways[0].lesson.known
    spare = [_spare(ways[0], labels, label) for label in range(known)]
    if known < FEWEST or min(map(len, spare)) < 2:
        return []
    return [_measured(model, way, labels, spare, core) for way in ways]


def _spare(way: Way, labels: NDArray[np.int64], label: int) -> NDArray[np.int64]:
    """Numbers of samples of the class that are no references."""
    kept = {row.tobytes() for row in way.lesson.references}
    return np.array([n for n in np.flatnonzero(labels == label) if way.stored[n].tobytes() not in kept], np.int64)


def _measured(
    model: Graph, way: Way, labels: NDArray[np.int64], spare: Sequence[NDArray[np.int64]], core: str
) -> Measured:
    lesson = replace(way.lesson, slots=2 * TAUGHT, passes=PASSES, guard=False, classes=way.lesson.known)
    graph = backward(trainable(model, lesson, way.tail), learnable(model), lesson, way.tail)
    learner = Learner(lesson, graph)
    taught = [found[: min(TAUGHT, len(found) // 2)] for found in spare]
    tested = [found[len(mine) :][:TESTED] for found, mine in zip(spare, taught, strict=True)]

    def right(classes: Sequence[int]) -> float:
        numbers = np.concatenate([tested[label] for label in classes])
        learner.load_masters()
        return float(np.mean([learner.backward(way.stored[n], NO_LABEL) == labels[n] for n in numbers]))

    plasticity, stability = [], []
    for first in range(0, lesson.known - 1, 2):
        pair = (first, first + 1)
        others = [label for label in range(lesson.known) if label not in pair]
        learner.reset()
        apart = ~np.isin(lesson.labels, pair)
        learner.lesson = replace(lesson, references=lesson.references[apart], labels=lesson.labels[apart])
        for label in pair:
            learner.values["weights"][label], learner.values["bias"][label] = 0, ABSENT
        before = right(others)
        for label in pair:
            for number in taught[label]:
                learner.infer(way.stored[number])
                learner.add(label)
        while learner.step() > 0:
            pass
        plasticity.append(right(pair))
        stability.append(right(others) - before)
    program = plan_step(passed(graph, keep_constant=False), "greedy", core).plan.program
    return Measured(
        way.name, float(np.mean(plasticity)), float(np.mean(stability)), _bytes(learner.values, lesson),
        round(instructions(program)),
    )  # fmt: skip


def _bytes(values: dict[str, Array], lesson: Lesson) -> int:
    return sum(values[name].nbytes for names in trained_parts(lesson) for name in names)
