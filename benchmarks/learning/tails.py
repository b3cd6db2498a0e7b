"""The rows of `--learn last` and `lightcl`: the last convolution learns too, from what is stored of each sample.

`naive-tasks` and `lightcl-tasks` are decided as LightCL's paper does, old samples among the old classes alone, new ones
among the new, with and without what holds the channels that mattered. `last-unchecked-float` is `last-unchecked` in
float64 by PyTorch, the network before it as the integers have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from rows import Costs, Decisions, Floats, Row, taught
from tasks import Draw, Int8, Labels, Task, quick_tail

from driftc.codegen.learning.learned import prepared
from driftc.codegen.learning.learner import Learner
from driftc.codegen.learning.lesson import Lesson
from driftc.codegen.learning.teaching import HOLD, most_active
from driftc.codegen.learning.trainable import row_scales, widened
from driftc.codegen.learning.values import tensor_of
from driftc.codegen.operators.learn.cross_entropy import NO_LABEL


@dataclass(frozen=True)
class LastConvolution(Row):
    """To the bit, but that samples are stored at the cut where they can be: their way there is the same for each step,
    and long."""

    guard: bool = False
    hold: float = 0.0
    alone: bool = False  # new classes among themselves, nothing of old ones seen
    tasks: bool = False  # decided among the classes of the sample's task alone
    floats: bool = False
    masters: int = 32

    def fits(self, task: Task) -> bool:
        return task.cuts is not None and (not self.tasks or task.last.known < task.last.classes)

    @cache  # noqa: B019 - a run has few tasks
    def lesson(self, task: Task) -> Lesson:
        found = replace(task.last, masters=self.masters)
        tail = quick_tail(widened(task.model, found.reach))
        rows = found.references
        if found.sample != tail.sample.name:
            stored = next(t for op in task.model.operators for t in op.inputs if t.name == found.sample)
            rows = tensor_of(task.model, tail.sample, [(row.reshape(stored.shape),) for row in rows])
        found = replace(found, references=rows, sample=tail.sample.name, guard=self.guard, slots=task.lesson.slots)
        held = most_active(widened(task.model, found.reach), tail, found) if self.hold else ()
        if not self.alone:
            return replace(found, hold=self.hold, held=held)
        none = {"references": found.references[:0], "labels": found.labels[:0]}
        return replace(found, method="lightcl", hold=self.hold, held=held, **none)

    def decisions(self, task: Task, draw: Draw) -> Decisions:
        assert task.cuts is not None and draw.at is not None
        lesson, cuts = self.lesson(task), task.cuts()
        learner = Learner(lesson, prepared(task.model, lesson)[1])
        chosen, old, new = draw.at
        if self.floats:
            from floating import FloatTail

            decide: Any = FloatTail(learner, quick_tail(widened(task.model, lesson.reach))).decide
            taught(learner, cuts[chosen], draw.y)
        else:
            taught(learner, cuts[chosen], draw.y)
            learner.load_masters()  # what decides is what was kept
            scales = row_scales(task.layer(lesson), lesson.classes)

            def decide(samples: Int8, among: Sequence[int] | None) -> Labels:
                return _decided(learner, samples, scales, among)

        first, second = (range(lesson.known), range(lesson.known, lesson.classes)) if self.tasks else (None, None)
        return decide(cuts[old], first), decide(cuts[new], second)

    def costs(self, task: Task) -> Costs | None:
        if self.alone or self.hold or self.floats or self.masters != 32:
            return None  # beside `last`, which costs about as much
        lesson = task.last
        assert task.last_compiled.lowered.learned is not None
        bytes_of = {s.tensor.name: s.tensor.bytes for s in task.last_compiled.lowered.graph.states}
        weights = sum(size for name, size in bytes_of.items() if name.endswith(("weights", "bias", "masters")))
        return Costs(
            task.lesson.slots * (lesson.references.shape[1] + 1), weights, lesson.constant_bytes,
            task.step_instructions("last"),
        )  # fmt: skip


def _decided(learner: Learner, samples: Int8, scales: Floats, among: Sequence[int] | None) -> Labels:
    """By the sums of the masters, `among` some classes."""
    sums = np.array([learner.traced(sample, NO_LABEL)["learn/sums"][0] for sample in samples]) * scales
    if among is not None:
        sums = np.where(np.isin(np.arange(sums.shape[1]), among), sums, -np.inf)
    return np.asarray(sums.argmax(axis=1), np.int64)


ROWS: dict[str, Row] = {
    "last": LastConvolution(guard=True),
    "last-unchecked": LastConvolution(),
    "last-narrow": LastConvolution(guard=True, masters=16),
    "last-narrow-unchecked": LastConvolution(masters=16),
    "last-unchecked-float": LastConvolution(floats=True),
    "last-held": LastConvolution(hold=HOLD),
    "lightcl": LastConvolution(hold=HOLD, alone=True),
    "naive-tasks": LastConvolution(alone=True, tasks=True),
    "lightcl-tasks": LastConvolution(hold=HOLD, alone=True, tasks=True),
}
