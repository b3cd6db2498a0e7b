"""The rows of `--learn last` and `lightcl`: the last convolution learns too, from what it reads of each recording.

`naive-tasks` and `lightcl-tasks` are decided as LightCL's paper does: old samples among the old classes alone, new ones
among the new, with and without what holds the channels that mattered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from rows import Costs, Floats, Row
from tasks import Draw, Int8, Labels, Task

from driftc.codegen.learning.learned import prepared
from driftc.codegen.learning.learner import OK, Learner
from driftc.codegen.learning.lesson import Lesson
from driftc.codegen.learning.tail import tail_of
from driftc.codegen.learning.teaching import HOLD, most_active, tensor_of
from driftc.codegen.learning.trainable import row_scales
from driftc.codegen.operators.learn.cross_entropy import NO_LABEL


@dataclass(frozen=True)
class LastConvolution(Row):
    """To the bit, but that samples are stored at the cut: their way there is the same for each step, and long."""

    guard: bool = False
    hold: float = 0.0
    alone: bool = False  # new classes among themselves, nothing of old ones seen
    tasks: bool = False  # decided among the classes of the sample's task alone

    def fits(self, task: Task) -> bool:
        return task.cuts is not None and (not self.tasks or task.last.known < task.last.classes)

    def lesson(self, task: Task) -> Lesson:
        found = task.last
        cut = tail_of(task.model, fed=True).sample
        shape = tail_of(task.model).sample.shape
        rows = tensor_of(task.model, cut, [(row.reshape(shape),) for row in found.references])
        tail = tail_of(task.model, fed=True)
        found = replace(found, references=rows, sample=cut.name, guard=self.guard)
        held = most_active(task.model, tail, found) if self.hold else ()
        if not self.alone:
            return replace(found, hold=self.hold, held=held)
        none = {"references": found.references[:0], "labels": found.labels[:0]}
        return replace(found, method="lightcl", hold=self.hold, held=held, **none)

    def scores(self, task: Task, draw: Draw) -> tuple[float, float]:
        assert task.cuts is not None and draw.at is not None
        lesson, cuts = self.lesson(task), task.cuts()
        learner = Learner(lesson, prepared(task.model, lesson)[1])
        chosen, old, new = draw.at
        for number, y in zip(chosen, draw.y, strict=True):
            learner.infer(cuts[number])
            assert learner.add(int(y)) == OK
        while learner.step() > 0:
            pass
        learner.load_masters()  # what decides is what was kept
        known = learner.lesson.known
        first, second = (range(known), range(known, learner.lesson.classes)) if self.tasks else (None, None)
        scales = row_scales(task.layer, learner.lesson.classes)
        return (
            _right(learner, cuts[old], draw.old[1], scales, first),
            _right(learner, cuts[new], draw.new[1], scales, second),
        )

    def costs(self, task: Task) -> Costs | None:
        if self.alone or self.hold:
            return None  # beside `last`, which costs about as much
        lesson = task.last
        assert task.last_compiled.lowered.learned is not None
        bytes_of = {s.tensor.name: s.tensor.bytes for s in task.last_compiled.lowered.graph.states}
        weights = sum(size for name, size in bytes_of.items() if name.endswith(("weights", "bias", "masters")))
        return Costs(
            lesson.slots * (lesson.references.shape[1] + 1), weights, lesson.constant_bytes,
            task.step_instructions("last"),
        )  # fmt: skip


def _right(learner: Learner, cuts: Int8, labels: Labels, scales: Floats, among: range | None) -> float:
    """By the sums of the masters, `among` some classes."""
    sums = np.array([learner.traced(cut, NO_LABEL)["learn/sums"][0] for cut in cuts]) * scales
    if among is not None:
        sums = np.where(np.isin(np.arange(sums.shape[1]), among), sums, -np.inf)
    return float((sums.argmax(axis=1) == labels).mean())


ROWS: dict[str, Row] = {
    "last": LastConvolution(guard=True),
    "last-unchecked": LastConvolution(),
    "last-held": LastConvolution(hold=HOLD),
    "lightcl": LastConvolution(hold=HOLD, alone=True),
    "naive-tasks": LastConvolution(alone=True, tasks=True),
    "lightcl-tasks": LastConvolution(hold=HOLD, alone=True, tasks=True),
}
