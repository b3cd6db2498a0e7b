"""The learner in NumPy: what NAME_learn.c does, byte for byte. Each step is the backward Graph's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from driftc.codegen.graph import Graph
from driftc.codegen.learning.layers import part
from driftc.codegen.learning.lesson import Lesson
from driftc.codegen.learning.trainable import COUNTERS, trained_parts
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.learn.cross_entropy import NO_LABEL
from driftc.codegen.operators.learn.master_sums import (
    BIAS_FRACTION,
    FRACTION,
    NARROW_FRACTION,
    bias_of,
    weights_of,
)
from driftc.codegen.operators.learn.trained_dense import ABSENT
from driftc.codegen.tensor import Array, Tensor

OK, LABEL, FULL, BUSY, NO_SAMPLE, FEW, ONE_CLASS = 0, -1, -2, -3, -4, -5, -6
STATE_BUSY = 7  # DRIFTC_STATE_BUSY
REASONS = {
    LABEL: "no class of that number, nor room for it",
    FULL: "the store is full, and holds no sample of that class that could go",
    BUSY: "an inference or learning is under way",
    NO_SAMPLE: "no inference since the state was reset or loaded",
    FEW: "too few new samples: two are needed, or one for a class mean",
    ONE_CLASS: "all samples are of one class, and none of another is known: it would forget",
}
GOLDEN = 0x9E3779B9
REMEMBERED = 512  # samples whose way through the frozen layers is kept


def run(operators: Sequence[Operator], values: dict[str, Array]) -> None:
    """Add to `values` what can be computed from them and is not there yet."""
    for operator in operators:
        if operator.outputs[0].name in values:
            continue
        given = (values.get(tensor.name, tensor.data) for tensor in operator.inputs)
        inputs = [value for value in given if value is not None]
        if len(inputs) == len(operator.inputs):
            values |= dict(zip((t.name for t in operator.outputs), operator.spec(*inputs), strict=True))


@dataclass
class Report:
    """What the last learning did; the fields of driftc_learn_report_t."""

    kept: int = 0
    trained: int = 0
    held: int = 0
    held_before: int = 0
    held_after: int = 0
    references: int = 0
    references_before: int = 0
    references_after: int = 0
    saturated: int = 0


class Learner:
    """`values`: what each state holds, by what it is (see `trainable`); its arrays are changed in their place."""

    def __init__(self, lesson: Lesson, graph: Graph) -> None:
        """`graph` is the backward one."""
        self.lesson = lesson
        self.step_operators = graph.operators
        self._graph = graph
        self._trained = trained_parts(lesson)
        self._fraction = FRACTION if lesson.masters == 32 else NARROW_FRACTION  # of a master
        self._seen: dict[bytes, dict[str, Array]] = {}
        self._initial = {part(state.tensor): state.initial for state in graph.states}
        self.report = Report()
        self.reset()

    def reset(self) -> None:
        """As compiled; the report stays that of the last learning that began."""
        self.values: dict[str, Array] = {name: np.array(value) for name, value in self._initial.items()}
        self.inferred = False
        self._turn = self._turns = 0

    @property
    def busy(self) -> bool:
        return self._turns != 0

    @property
    def left(self) -> int:
        """Steps of the learning that is under way."""
        return self._turns - self._turn

    def infer(self, features: Array) -> None:
        """An inference ended with these int8 features of the layer that learns, or what else is stored of a sample."""
        self.values["features"][...] = features.reshape(self.values["features"].shape)
        self.inferred = True

    def add(self, label: int) -> int:
        """NAME_learn_add."""
        if self.busy:
            return BUSY
        if not self.inferred:
            return NO_SAMPLE
        if not 0 <= label < self.lesson.classes:
            return LABEL
        if self._counter("count") == self.lesson.slots and not self._drop_oldest(label):
            return FULL
        at = self._counter("count")
        self.values["store"][at] = self.values["features"].reshape(-1)
        self.values["store labels"][at] = label
        self._count("count", 1)
        self._set("classes", max(self._counter("classes"), label + 1))
        return OK

    def forget(self, label: int) -> int:
        """NAME_learn_forget."""
        if self.busy:
            return BUSY
        if not -1 <= label < self._counter("classes"):
            return LABEL
        if label == -1:
            self.reset()
            return OK
        while self._drop_oldest(label):
            pass
        for name in ("weights", "bias"):
            self.values[name][label] = self._initial[name][label]
        while self._counter("classes") > self.lesson.known and self._is_free(self._counter("classes") - 1):
            self._count("classes", -1)
        return OK

    def _is_free(self, label: int) -> bool:
        """Nothing is left of an added class."""
        return bool(self.values["bias"][label] == ABSENT and label not in self._labels)

    def move(self) -> int:
        """NAME_learn_save, NAME_reset and NAME_learn_load: all is as it was, but no sample is there to be added."""
        if self.busy:
            return STATE_BUSY
        self.inferred = False
        return OK

    def step(self) -> int:
        """NAME_learn_step: how many are left, or below 0 why it did not begin."""
        if not self.busy:
            refused = self._begin()
            if refused != OK:
                return refused
        training = self._turns - 2 * self._checked
        turn = self._turn - self._checked
        if turn < 0 or turn >= training:
            self._check(self._turn if turn < 0 else turn - training, "before" if turn < 0 else "after")
        else:
            self._train(turn)
        self._turn += 1
        if self.lesson.alone and self._turn == self._checked + training:
            self._other_rows(lambda label: int(self.values["bias"][label]) << BIAS_FRACTION)
        if self._turn == self._turns:
            self._end()
        return self.left

    # --- the steps ---

    def _begin(self) -> int:
        learnt, count = self._counter("references"), self._counter("count")
        labels = self._labels[learnt:count]
        if len(labels) < (2 if self.lesson.trains else 1):
            return FEW
        known = set(self.lesson.labels.tolist()) | set(self._labels[:learnt].tolist())
        fresh = set(labels.tolist())
        if self.lesson.trains and len(fresh) == 1 and (self.lesson.alone or known <= fresh):
            return ONE_CLASS
        held = [self._is_held(number, learnt) for number in range(learnt, count)]
        numbers = list(range(learnt, count))
        apart = [number for number, away in zip(numbers, held, strict=True) if away]
        self._order = [number for number, away in zip(numbers, held, strict=True) if not away] + apart[::-1]
        references = len(self.lesson.labels) + learnt
        self.report = Report(trained=len(labels) - len(apart), held=len(apart), references=references)
        self._checked = len(apart) + references if self.lesson.guard else 0
        ratio = (len(known) + len(fresh)) // (2 * len(fresh))
        self._replays = min(max(ratio, 1), 4) if references and self.lesson.trains and not self.lesson.alone else 0
        self._turn = 0
        self._turns = 2 * self._checked + self.lesson.passes * self.report.trained * (1 + self._replays)
        self._random = (self.lesson.seed + self._counter("rounds") * GOLDEN) % 2**32 or 1
        self._count("rounds", 1)
        self.load_masters()
        return OK

    def load_masters(self) -> None:
        """From the weights that the layers have."""
        for weights, bias, masters, bias_masters in self._trained:
            self.values[masters][...] = self.values[weights].astype(np.int32) << self._fraction
            self.values[bias_masters][...] = self.values[bias] << BIAS_FRACTION

    def _check(self, number: int, when: str) -> None:
        held = self.report.held
        if number < held:
            at = self._order[self.report.trained + number]
            sample, label, what = self.values["store"][at], int(self._labels[at]), "held"
        else:
            (sample, label), what = self._reference(number - held), "references"
        name = f"{what}_{when}"
        setattr(self.report, name, getattr(self.report, name) + (self.backward(sample, NO_LABEL) == label))

    def _train(self, turn: int) -> None:
        cycle, item = turn % (1 + self._replays), turn // (1 + self._replays) % self.report.trained
        if turn == 0:
            self._first_rows()
        if cycle == 0 and item == 0:
            for place in range(self.report.trained - 1, 0, -1):
                other = self._next_random() % (place + 1)
                self._order[place], self._order[other] = self._order[other], self._order[place]
        if cycle == 0:
            at = self._order[item]
            self.backward(self.values["store"][at], int(self._labels[at]))
        else:
            self.backward(*self._reference(self._next_random() % self.report.references))

    def _end(self) -> None:
        found = self.report
        if self.lesson.trains:
            each = (self.values[masters].astype(np.int64) for _, _, masters, _ in self._trained)
            found.saturated = sum(int(np.count_nonzero(np.abs(masters) == 127 << self._fraction)) for masters in each)
        lost = found.references_before - found.references_after
        as_good = found.held_after == found.held_before and lost * 20 <= found.references
        found.kept = int(not self.lesson.guard or found.held_after > found.held_before or as_good)
        if found.kept:
            for weights, bias, masters, bias_masters in self._trained:
                self.values[weights][...] = weights_of(self.values[masters], self._fraction)
                self.values[bias][...] = bias_of(self.values[bias_masters].astype(np.int64))
            self._set("references", self._counter("count"))
            for label in range(self._counter("classes")):
                while np.count_nonzero(self._labels == label) > self.lesson.keep:
                    self._drop_oldest(label)
        self._turns = self._turn = 0

    def _first_rows(self) -> None:
        """The rows of classes that were never learnt begin at 0, and are decided like any other from here on."""
        fresh = self._labels[self._counter("references") :]
        for label in range(self._counter("classes")):
            if self.values["bias"][label] == ABSENT and label in fresh:
                self.values["bias masters"][label] = 0
        if self.lesson.alone:
            self._other_rows(lambda label: ABSENT << BIAS_FRACTION)

    def _other_rows(self, bias: Callable[[int], int]) -> None:
        """Bias masters of classes that have no new samples: they are not there while new ones are learnt alone."""
        fresh = self._labels[self._counter("references") :]
        for label in range(self._counter("classes")):
            if label not in fresh:
                self.values["bias masters"][label] = bias(label)

    def backward(self, sample: Array, label: int) -> int:
        """A step of the backward Graph; gives the class decided."""
        found = self.traced(sample, label)
        for state in self._graph.states:
            self.values[part(state.tensor)][...] = found[state.next]
        return int(found[self._graph.outputs[0].name][0])

    def traced(self, sample: Array, label: int) -> dict[str, Array]:
        """Every tensor of a step, which changes nothing yet."""
        given, wanted = self._graph.inputs
        found = dict(self._frozen(sample, given)) | {wanted.name: np.array([label], np.int32)}
        found |= {state.tensor.name: self.values[part(state.tensor)] for state in self._graph.states}
        run(self._graph.operators, found)
        return found

    def _frozen(self, sample: Array, given: Tensor) -> dict[str, Array]:
        """What depends on the sample alone: it comes back many times, and what it meets there is the same."""
        key = sample.tobytes()
        if key not in self._seen:
            found = {given.name: np.array(sample).reshape(given.shape)}
            run(self._graph.operators, found)
            if len(self._seen) >= REMEMBERED:
                self._seen.clear()
            self._seen[key] = found
        return self._seen[key]

    # --- the store ---

    def _is_held(self, at: int, learnt: int) -> bool:
        fresh = self._labels[learnt:] == self._labels[at]
        every, place = int(fresh.sum()), int(fresh[: at - learnt].sum())
        return self.lesson.guard and every >= 2 and (place == every - 1 if every < 5 else place % 5 == 4)

    def _reference(self, number: int) -> tuple[Array, int]:
        own = number - len(self.lesson.labels)
        if own < 0:
            return self.lesson.references[number], int(self.lesson.labels[number])
        return self.values["store"][own], int(self._labels[own])

    def _drop_oldest(self, label: int) -> bool:
        found = np.flatnonzero(self._labels == label)
        if found.size == 0:
            return False
        at, count = int(found[0]), self._counter("count")
        for name in ("store", "store labels"):
            self.values[name][at : count - 1] = self.values[name][at + 1 : count].copy()
        self._count("count", -1)
        if at < self._counter("references"):
            self._count("references", -1)
        return True

    @property
    def _labels(self) -> Array:
        """Of the samples in the store, the oldest first."""
        return self.values["store labels"][: self._counter("count")]

    def _counter(self, name: str) -> int:
        return int(self.values["counters"][COUNTERS.index(name)])

    def _set(self, name: str, value: int) -> None:
        self.values["counters"][COUNTERS.index(name)] = value

    def _count(self, name: str, by: int) -> None:
        self._set(name, self._counter(name) + by)

    def _next_random(self) -> int:
        """xorshift32."""
        state = self._random
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        self._random = state
        return state
