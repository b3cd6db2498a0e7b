"""The rows of the table: ways of learning, each from the same features in the same order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tasks import Draw, Int8, Labels, Task

from driftc.codegen.errors import UsageError
from driftc.codegen.learning.learned import prepared
from driftc.codegen.learning.learner import OK, Learner
from driftc.codegen.learning.lesson import Lesson
from driftc.codegen.learning.trainable import row_scales
from driftc.codegen.operators.learn.nearest_mean import distances

Floats = NDArray[np.float64]
Decisions = tuple[Labels, Labels]  # of a draw's old samples and new ones
DECAY = 1e-4  # of the joint row's weights


@dataclass(frozen=True)
class Costs:
    """Bytes of samples in RAM; of weights and their masters; of references in flash; instructions of a step."""

    samples: int
    weights: int
    flash: int
    step: int | None  # None where the core's emulator is absent


class Row:
    """One way of learning."""

    def fits(self, task: Task) -> bool:
        """The task has what the row needs."""
        return True

    def decisions(self, task: Task, draw: Draw) -> Decisions:
        """What old and new samples are decided to be afterwards."""
        raise NotImplementedError

    def scores(self, task: Task, draw: Draw) -> tuple[float, float]:
        """Shares of old and of new that are decided right afterwards."""
        return scored(self.decisions(task, draw), draw)

    def costs(self, task: Task) -> Costs | None:
        """None where nothing is learnt on the device."""
        return None


@dataclass(frozen=True)
class OnDevice(Row):
    """`--learn METHOD` to the bit, as compiled but for these fields of the Lesson."""

    changes: tuple[tuple[str, object], ...] = ()
    references: bool = True
    learns: bool = True
    method: str = "classifier"

    def lesson(self, task: Task) -> Lesson:
        known = task.means if self.method == "mean" else task.lesson
        found = replace(known, **dict(self.changes))  # type: ignore[arg-type]
        if self.references:
            return found
        return replace(found, references=found.references[:0], labels=found.labels[:0])

    def decisions(self, task: Task, draw: Draw) -> Decisions:
        lesson = self.lesson(task)
        learner = Learner(lesson, prepared(task.model, lesson)[1])
        if self.learns:
            taught(learner, draw.x, draw.y)
        return _decided(task, learner, draw.old[0]), _decided(task, learner, draw.new[0])

    def costs(self, task: Task) -> Costs | None:
        if not self.learns:
            return None
        lesson, length = self.lesson(task), self.lesson(task).references.shape[1]
        return Costs(
            lesson.slots * (length + 1), lesson.classes * ((1 + lesson.masters // 8) * length + 8),
            lesson.constant_bytes, task.step_instructions(self.method, lesson.masters),
        )  # fmt: skip


UNCHECKED = OnDevice((("guard", False),))


class InFloat(Row):
    """The same in float64: SGD on the last layer from the dequantised weights, with the device's order of samples."""

    def decisions(self, task: Task, draw: Draw) -> Decisions:
        lesson = UNCHECKED.lesson(task)
        learner = Learner(lesson, prepared(task.model, lesson)[1])
        layer = task.layer(lesson)
        scales = row_scales(layer, lesson.classes)
        unit, zero = float(layer.inputs[0].scale), layer.inputs[0].zero_point
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
        taught(learner, draw.x, draw.y)

        def decided(x: Int8) -> Labels:
            f = (x.astype(np.float64) - zero) * unit
            return np.asarray(np.where(there, f @ weights.T + bias, -np.inf).argmax(axis=1), np.int64)

        return decided(draw.old[0]), decided(draw.new[0])


class MeansInFloat(Row):
    """Nearest class means in float64, each of all samples of its class: what was trained on is kept, too."""

    def decisions(self, task: Task, draw: Draw) -> Decisions:
        x, y = _all(task, draw)
        there = np.unique(y)
        means = np.stack([x[y == label].mean(axis=0) for label in there])

        def decided(x: Int8) -> Labels:
            away = x.astype(np.float64)[:, None] - means
            return np.asarray(there[(away**2).sum(axis=2).argmin(axis=1)], np.int64)

        return decided(draw.old[0]), decided(draw.new[0])


class Joint(Row):
    """The last layer trained anew in float64 on all that it was trained on and the new samples, each class as heavy as
    another, until it gets no better: what it could be if nothing had to be learnt on the device."""

    def decisions(self, task: Task, draw: Draw) -> Decisions:
        from scipy.optimize import minimize

        x, y = _all(task, draw)
        classes, middle, spread = int(y.max()) + 1, x.mean(axis=0), x.std() + 1e-9
        counts = np.bincount(y, minlength=classes)
        heavy = 1 / counts[y] / np.count_nonzero(counts)

        def extended(features: Int8 | Floats) -> Floats:
            return np.hstack([(features - middle) / spread, np.ones((len(features), 1))])

        f = extended(x)

        def loss(flat: Floats) -> tuple[float, Floats]:
            weights = flat.reshape(classes, -1)
            logits = f @ weights.T
            logits -= logits.max(axis=1, keepdims=True)
            log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            slope = np.exp(log_p)
            slope[np.arange(len(y)), y] -= 1
            value = -(heavy * log_p[np.arange(len(y)), y]).sum() + DECAY / 2 * (weights**2).sum()
            return float(value), ((slope * heavy[:, None]).T @ f + DECAY * weights).reshape(-1)

        found = minimize(loss, np.zeros(classes * f.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
        weights = found.x.reshape(classes, -1)

        first, second = ((extended(x) @ weights.T).argmax(axis=1) for x in (draw.old[0], draw.new[0]))
        return first, second


def _all(task: Task, draw: Draw) -> tuple[Floats, Labels]:
    """Features and labels of what was trained on, and of the draw."""
    x, y = task.known
    return np.concatenate([x, draw.x]).astype(np.float64), np.concatenate([y, draw.y])


def taught(learner: Learner, samples: Int8, labels: Labels) -> None:
    """Learn these samples, each as it is stored."""
    for x, y in zip(samples, labels, strict=True):
        learner.infer(x)
        if learner.add(int(y)) != OK:
            raise UsageError(f"the store has no room for {len(labels)} samples")
    while learner.step() > 0:
        pass


def scored(decided: Decisions, draw: Draw) -> tuple[float, float]:
    """Shares of old and of new that are right."""
    return float((decided[0] == draw.old[1]).mean()), float((decided[1] == draw.new[1]).mean())


def _decided(task: Task, learner: Learner, samples: Int8) -> Labels:
    """By the layer's sums, which its int8 outputs order alike but for ties, or by the nearest mean."""
    values = learner.values
    if not learner.lesson.trains:
        away = [distances(x, values["weights"].astype(np.int64), values["bias"]) for x in samples]
        return np.array(away).argmin(axis=1)
    layer = task.layer(learner.lesson)
    scales = row_scales(layer, learner.lesson.classes)
    x = samples.astype(np.int64) - layer.inputs[0].zero_point
    sums = x @ values["weights"].astype(np.int64).T + values["bias"]
    return np.asarray(np.argmax(sums * scales, axis=1), np.int64)


ROWS: dict[str, Row] = {
    "before": OnDevice(learns=False),
    "mean": OnDevice(method="mean"),
    "mean-unchecked": OnDevice((("guard", False),), references=False, method="mean"),
    "mean-float": MeansInFloat(),
    "tinyol": OnDevice((("guard", False),), references=False),
    "classifier": OnDevice(),
    "unchecked": UNCHECKED,
    "narrow": OnDevice((("masters", 16),)),
    "narrow-unchecked": OnDevice((("masters", 16), ("guard", False))),
    "unchecked-float": InFloat(),
    "joint": Joint(),
}
