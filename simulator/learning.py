"""Learning on every engine: a sequence of events, and after each what the learner in NumPy has in its state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.learning.ecotta import MetaLearner
from driftc.codegen.learning.layers import part
from driftc.codegen.learning.learner import Learner, Report
from driftc.codegen.lower import Lowered
from driftc.codegen.passes.border import border
from driftc.codegen.samples import Samples
from driftc.codegen.tensor import Tensor
from driftc.simulator.difference import Difference, Pairs, first_difference
from driftc.simulator.engine import Engine, Port, Program, Sample
from driftc.simulator.reference import GraphRun

Array = NDArray[Any]
INT32 = np.dtype(np.int32)
ANSWER = ("status", "left", *(field.name for field in fields(Report)))
LAYER = "learning"  # the step that a call of NAME_learn is
SINGLE = 200  # steps that are compared one by one
MANY = 1 << 20  # more than any learning has
ADAPTED = 150  # samples that a meta network meets


class Kind(IntEnum):
    """What an event does; as templates/learning.h.j2 numbers them."""

    INFER = 0
    ADD = 1  # after an inference, under a label
    STEP = 2  # so many steps of learning
    FORGET = 3  # a label, or -1
    MOVE = 4  # what was learnt is saved, the model reset, and that loaded
    AGAIN = 5  # the last inference's sample is added, under a label
    RESET = 6  # of the model, whatever is under way


@dataclass(frozen=True, eq=False)
class Event:
    """`number` is a label or a number of steps; `inputs` of the inference, where the event has one."""

    kind: Kind
    number: int = 0
    inputs: tuple[Array, ...] = ()


@dataclass(frozen=True, eq=False)
class Outcome:
    """Of an event: the outputs of its inference, the answer of the call (ANSWER), the states by what they are."""

    outputs: tuple[Array, ...]
    answer: Array
    states: dict[str, Array]

    @property
    def status(self) -> int:
        return int(self.answer[0])

    @property
    def left(self) -> int:
        """Steps of the learning that is under way."""
        return int(self.answer[1])

    @property
    def report(self) -> Report:
        """Of the last learning that ended; empty while one is under way."""
        return Report(*(int(value) for value in self.answer[2:]))


def as_learning(program: Program) -> Program:
    """`program` built to take events."""
    event, answer = Port("event", (2,), INT32), Port("answer", (len(ANSWER),), INT32)
    return replace(
        program,
        learns=True,
        inputs=(*program.inputs, event),
        outputs=(*program.outputs, answer),
        steps=(*program.steps, LAYER),
    )


class Decider:
    """The model in NumPy, on states that something else changes between inferences."""

    def __init__(self, lowered: Lowered) -> None:
        self._run = GraphRun(border(lowered.model))
        self._outputs = [tensor.name for tensor in lowered.graph.outputs]

    def infer(self, inputs: Sequence[Array], states: dict[str, Array]) -> tuple[tuple[Array, ...], dict[str, Array]]:
        """The outputs, and the states after an inference that `states` were before, by what they are."""
        for state in self._run.graph.states:
            self._run.states[state.tensor.name] = states[part(state.tensor)]
        values = self._run.run(inputs)
        after = {part(state.tensor): values[state.next] for state in self._run.graph.states}
        return tuple(values[name] for name in self._outputs), after


class Told:
    """What learns, in NumPy, and the model that decides with what it has learnt; each event as the C takes it."""

    learner: Learner | MetaLearner

    def __init__(self, lowered: Lowered) -> None:
        assert lowered.learned is not None
        self._model = Decider(lowered)

    def __call__(self, event: Event) -> Outcome:
        learner, status = self.learner, 0
        outputs: tuple[Array, ...] = ()
        if event.kind <= Kind.ADD:
            outputs, after = self._model.infer(event.inputs, learner.values)
            self.inferred(after)
        if event.kind is Kind.MOVE:
            status = learner.move()
        elif event.kind is Kind.RESET:
            learner.reset()
        elif event.kind is not Kind.INFER:
            status = self.called(event)
        answer = np.array([status, *self.told()], np.int32)
        return Outcome(outputs, answer, {name: value.copy() for name, value in learner.values.items()})

    def inferred(self, after: dict[str, Array]) -> None:
        """An inference left these states, by what they are."""
        raise NotImplementedError

    def called(self, event: Event) -> int:
        """What the call of `event` gives."""
        raise NotImplementedError

    def told(self) -> tuple[int, ...]:
        """Steps left, and the report."""
        return (0, *astuple(Report()))


class Specification(Told):
    """Of the learner."""

    learner: Learner

    def __init__(self, lowered: Lowered) -> None:
        super().__init__(lowered)
        assert lowered.learned is not None
        self.learner = lowered.learned.learner()

    def inferred(self, after: dict[str, Array]) -> None:
        self.learner.infer(after["features"])

    def called(self, event: Event) -> int:
        if event.kind is Kind.STEP:
            return self._steps(event.number)
        if event.kind is Kind.FORGET:
            return self.learner.forget(event.number)
        return self.learner.add(event.number)

    def told(self) -> tuple[int, ...]:
        learner = self.learner
        return (learner.left, *astuple(Report() if learner.busy else learner.report))

    def _steps(self, count: int) -> int:
        status = 0
        for _ in range(count):
            status = self.learner.step()
            if status <= 0:
                break
        return status


class MetaSpecification(Told):
    """Of a meta network: ADD and AGAIN learn from the last inference, whatever their label."""

    learner: MetaLearner

    def __init__(self, lowered: Lowered) -> None:
        super().__init__(lowered)
        assert lowered.learned is not None
        self.learner = lowered.learned.meta_learner()

    def inferred(self, after: dict[str, Array]) -> None:
        left = ("sums", "logits", "squares", "sample")
        self.learner.infer(**{name: value for name, value in after.items() if name in left})

    def called(self, event: Event) -> int:
        return self.learner.adapt() if event.kind in (Kind.ADD, Kind.AGAIN) else 0


def specification_of(lowered: Lowered) -> Specification | MetaSpecification:
    """Of what `lowered` learns with."""
    assert lowered.learned is not None
    return MetaSpecification(lowered) if lowered.learned.api == "adapt" else Specification(lowered)


def run(
    engine: Engine, program: Program, lowered: Lowered, events: Sequence[Event]
) -> Iterator[tuple[Outcome, Sample]]:
    """The C of `program`, event by event from the model as compiled."""
    learnt, learning = lowered.learned, as_learning(program)
    assert learnt is not None
    nothing = tuple(np.zeros(port.shape, port.dtype) for port in program.inputs)
    samples = [(*(event.inputs or nothing), np.array([event.kind, event.number], np.int32)) for event in events]
    for event, sample in zip(events, engine.run(learning, samples, trace=False), strict=True):
        there = event.kind is Kind.INFER or (event.kind is Kind.ADD and learnt.api == "learn")  # else overwritten
        outputs = sample.outputs[:-1] if there else ()
        yield Outcome(outputs, sample.outputs[-1], _states(lowered, sample.state)), sample


def _states(lowered: Lowered, region: bytes) -> dict[str, Array]:
    found = {}
    for state, place in zip(lowered.graph.states, lowered.plan.states, strict=True):
        tensor, start = state.tensor, place.before.offset
        values = np.frombuffer(region[start : start + tensor.bytes], tensor.dtype.newbyteorder("<"))
        found[part(tensor)] = values.astype(tensor.dtype).reshape(tensor.shape)
    return found


def verify_learning(
    lowered: Lowered, program: Program, engines: Sequence[Engine], events: Sequence[Event]
) -> tuple[int, Difference | None]:
    """Events compared, and the first byte of outputs, answers or states in which an engine departs."""
    specification = specification_of(lowered)
    streams = {engine.name: run(engine, program, lowered, events) for engine in engines}
    for number, event in enumerate(events):
        expected = specification(event)
        for name, stream in streams.items():
            found, _ = next(stream)
            difference = first_difference(name, _pairs(lowered, expected, found), {}, number, ())
            if difference is not None:
                return number, difference
    return len(events), None


def _pairs(lowered: Lowered, expected: Outcome, found: Outcome) -> Pairs:
    answer = Tensor("answer", (len(ANSWER),), INT32, label=f"answer of {LAYER}")
    pairs: Pairs = [(answer, expected.answer, found.answer)]
    pairs += [
        (tensor, before, after)
        for tensor, before, after in zip(lowered.graph.outputs, expected.outputs, found.outputs, strict=False)
    ]
    tensors = {part(state.tensor): state.tensor for state in lowered.graph.states}
    return pairs + [(tensor, expected.states[name], found.states[name]) for name, tensor in tensors.items()]


def every_event(lowered: Lowered, samples: Samples, seed: int = 0) -> list[Event]:
    """A sequence that meets each call and each of its refusals, with the samples under their labels, or any."""
    assert lowered.learned is not None
    if lowered.learned.api == "adapt":
        return _every_adaptation(samples)
    lesson = lowered.learned.classifier
    random = np.random.default_rng(seed)
    labels = random.integers(0, lesson.classes, len(samples)) if samples.labels is None else samples.labels
    labelled = [(x, int(label)) for x, label in zip(samples.quantized, labels, strict=True)]
    some = [labelled[number % len(labelled)] for number in range(lesson.slots + 4)]
    new = range(lesson.known, lesson.classes)

    def adds(pairs: Sequence[tuple[tuple[Array, ...], int]]) -> list[Event]:
        return [Event(Kind.ADD, label, x) for x, label in pairs]

    x = some[0][0]
    found = [Event(Kind.AGAIN, 0), Event(Kind.STEP, 1), Event(Kind.INFER, 0, x), Event(Kind.STEP, 1)]
    found += [Event(Kind.AGAIN, label) for label in (-1, lesson.classes, 0)]
    found += adds([(some[n % len(some)][0], label) for label in new for n in range(label, label + 3)])
    found += adds(some[: lesson.slots // 2])
    found += [Event(Kind.STEP, 1)] * SINGLE + [Event(Kind.AGAIN, 0), Event(Kind.FORGET, 0), Event(Kind.MOVE)]
    found += [Event(Kind.STEP, MANY), Event(Kind.INFER, 0, x), Event(Kind.MOVE), Event(Kind.AGAIN, 0)]
    found += adds(some)  # more than the store holds
    found += [Event(Kind.STEP, 5), Event(Kind.RESET), Event(Kind.STEP, 1), *adds(some), Event(Kind.STEP, 5)]
    found += [Event(Kind.RESET), *adds(some[:6]), Event(Kind.STEP, MANY), *adds(some)]
    found += [Event(Kind.STEP, MANY), *(Event(Kind.FORGET, label) for label in (-2, 0, lesson.classes - 1))]
    return [*found, Event(Kind.INFER, 0, x), Event(Kind.FORGET, -1), Event(Kind.INFER, 0, x)]


def _every_adaptation(samples: Samples) -> list[Event]:
    """Each sample many times over, so that gates open and close; calls that are refused; what moves and is reset."""
    given = samples.quantized
    found = [Event(Kind.AGAIN), Event(Kind.INFER, 0, given[0]), Event(Kind.AGAIN), Event(Kind.AGAIN)]
    for number in range(ADAPTED):
        found.append(Event(Kind.ADD, 0, given[number * 7 % len(given)]))
        if number % 50 == 49:
            found += [Event(Kind.INFER, 0, given[number % len(given)]), Event(Kind.MOVE), Event(Kind.AGAIN)]
    found += [Event(Kind.ADD, 0, given[0])] * 12
    return [*found, Event(Kind.RESET), Event(Kind.AGAIN), Event(Kind.INFER, 0, given[0])]
