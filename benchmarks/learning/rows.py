"""The rows of the table: ways of learning, each from the same features in the same order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tasks import Draw, Int8, Labels, Task

from driftc.codegen.errors import UsageError
from driftc.codegen.learning.backward import backward
from driftc.codegen.learning.learner import OK, Learner
from driftc.codegen.learning.lesson import Lesson
from driftc.codegen.learning.trainable import row_scales, trainable

Floats = NDArray[np.float64]


class Row:
    """One way of learning."""

    def scores(self, task: Task, draw: Draw) -> tuple[float, float]:
        """Shares of old and of new that are decided right afterwards."""
        raise NotImplementedError

    def costs(self, task: Task) -> tuple[int, int]:
        """Bytes of samples in RAM and flash, and how many weights are trained."""
        raise NotImplementedError


@dataclass(frozen=True)
class OnDevice(Row):
    """`--learn classifier` to the bit, as compiled but for these fields of the Lesson."""

    changes: tuple[tuple[str, object], ...] = ()
    references: bool = True
    learns: bool = True

    def lesson(self, task: Task) -> Lesson:
        assert task.compiled.lowered.learned is not None
        found = replace(task.compiled.lowered.learned.classifier, **dict(self.changes))  # type: ignore[arg-type]
        if self.references:
            return found
        return replace(found, references=found.references[:0], labels=found.labels[:0])

    def scores(self, task: Task, draw: Draw) -> tuple[float, float]:
        lesson = self.lesson(task)
        learner = Learner(lesson, backward(trainable(task.model, lesson), task.layer, lesson))
        if self.learns:
            for x, y in zip(draw.x, draw.y, strict=True):
                learner.infer(x)
                if learner.add(int(y)) != OK:
                    raise UsageError(f"the store has no room for {len(draw.y)} samples")
            while learner.step() > 0:
                pass
        return _right(task, learner, draw.old), _right(task, learner, draw.new)

    def costs(self, task: Task) -> tuple[int, int]:
        lesson = self.lesson(task)
        length = task.layer.weights.shape[1]
        stored = lesson.references.nbytes + lesson.slots * length if self.learns else 0
        return stored, lesson.classes * length if self.learns else 0


UNCHECKED = OnDevice((("guard", False),))


class InFloat(Row):
    """The same in float64: SGD on the last layer from the dequantised weights, with the device's order of samples."""

    def scores(self, task: Task, draw: Draw) -> tuple[float, float]:
        lesson = UNCHECKED.lesson(task)
        learner = Learner(lesson, backward(trainable(task.model, lesson), task.layer, lesson))
        scales = row_scales(task.layer, lesson.classes)
        unit, zero = float(task.layer.inputs[0].scale), task.layer.inputs[0].zero_point
        weights = learner.values["weights"].astype(np.float64) * scales[:, None]
        bias = np.where(learner.values["bias"] > -(1 << 26), learner.values["bias"] * scales * unit, 0.0)
        there = learner.values["bias"] > -(1 << 26)
        integers = learner.backward

        def step(sample: Int8, label: int) -> int:
            nonlocal there
            decided = integers(sample, label)
            if label >= 0:
                there = learner.values["bias masters"] > -(1 << 30)
                f = (sample.reshape(-1).astype(np.float64) - zero) * unit
                logits = np.where(there, weights @ f + bias, -np.inf)
                p = np.exp(logits - logits.max())
                p /= p.sum()
                p[label] -= 1
                weights[...] -= lesson.rate * np.outer(p, f)
                bias[...] -= lesson.rate * p
            return decided

        learner.backward = step  # type: ignore[method-assign]
        for x, y in zip(draw.x, draw.y, strict=True):
            learner.infer(x)
            learner.add(int(y))
        while learner.step() > 0:
            pass

        def right(test: tuple[Int8, Labels]) -> float:
            f = (test[0].astype(np.float64) - zero) * unit
            return float((np.where(there, f @ weights.T + bias, -np.inf).argmax(axis=1) == test[1]).mean())

        return right(draw.old), right(draw.new)

    def costs(self, task: Task) -> tuple[int, int]:
        return UNCHECKED.costs(task)


def _right(task: Task, learner: Learner, test: tuple[Int8, Labels]) -> float:
    """By the layer's sums, which its int8 outputs order alike but for ties."""
    values, scales = learner.values, row_scales(task.layer, learner.lesson.classes)
    x = test[0].astype(np.int64) - task.layer.inputs[0].zero_point
    sums = x @ values["weights"].astype(np.int64).T + values["bias"]
    return float((np.argmax(sums * scales, axis=1) == test[1]).mean())


ROWS: dict[str, Row] = {
    "before": OnDevice(learns=False),
    "tinyol": OnDevice((("guard", False),), references=False),
    "classifier": OnDevice(),
    "unchecked": UNCHECKED,
    "unchecked-float": InFloat(),
}
