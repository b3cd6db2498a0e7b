"""What is learnt, what is refused, and what a user is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from commands import ROOT, driftc_json
from commands import driftc as command
from learning_models import classifier, learning, samples
from learnt import accuracy, compared, events
from models import ModelBuilder
from numpy.typing import NDArray
from shared_data import shared_file

import driftc
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import DataError, DriftcError, ModelError, UsageError
from driftc.codegen.learning import learner as codes
from driftc.codegen.learning.learner import Learner
from driftc.codegen.learning.lesson import read_lesson
from driftc.codegen.operators.learn.cross_entropy import CrossEntropy
from driftc.codegen.operators.learn.dense_update import DenseUpdate
from driftc.codegen.operators.learn.master_sums import BIAS_FRACTION, FRACTION, bias_of, weights_of
from driftc.codegen.sources import LESSON
from driftc.simulator.engines import engine
from driftc.simulator.learning import MANY, Event, Kind, Specification, run
from driftc.simulator.reference import run_graph


def test_new_classes_are_learnt_and_old_ones_held(tmp_path: Path) -> None:
    """A layer of random weights knows nothing: it first learns its four classes, and then two more."""
    specification = Specification(learning(tmp_path).lowered)
    for event in [*events(24, 4, 0), Event(Kind.STEP, MANY)]:
        assert specification(event).status >= 0
    assert accuracy(specification, 4, 0) >= 0.9
    for event in [*events(16, 2, 4), Event(Kind.STEP, MANY)]:
        outcome = specification(event)
    assert outcome.report.kept == 1
    assert accuracy(specification, 2, 4) >= 0.9
    assert accuracy(specification, 4, 0) > 0.9


class InFloat:
    """Softmax, cross-entropy and SGD in float64, in the order that the learner takes the samples in."""

    def __init__(self, found: Learner) -> None:
        _, gradient, update = found.step_operators
        assert isinstance(gradient, CrossEntropy) and isinstance(update, DenseUpdate)
        self.logit = gradient.scale / 2.0**gradient.shift * np.log(2) / 256
        self.rate = update.rate / 2.0 ** (update.shift + FRACTION + 4) * 2.0**15
        self.bias_rate = update.bias_rate / 2.0 ** (update.bias_shift + BIAS_FRACTION) * 2.0**15
        self.zero = update.zero_point
        self.weights: NDArray[np.float64] | None = None
        self.bias: NDArray[np.float64] = np.zeros(0)

    def step(self, x: NDArray[np.int8], label: int) -> None:
        assert self.weights is not None
        f = x.reshape(-1).astype(np.float64) - self.zero
        logits = (self.weights @ f + self.bias) * self.logit
        p = np.exp(logits - logits.max())
        p /= p.sum()
        p[label] -= 1
        self.weights -= np.outer(p * self.rate, f)
        self.weights = self.weights.clip(-127, 127)
        self.bias -= p * self.bias_rate


@pytest.mark.parametrize("per_row", [True, False])
def test_integers_follow_float(tmp_path: Path, per_row: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some hundred steps each weight is within two of its int8 steps of the float one, moved or not."""
    found = learning(tmp_path, classifier(per_row=per_row), learn_rate=0.001, learn_guard=False)
    assert found.lowered.learned is not None
    learner = found.lowered.learned.learner()
    real = InFloat(learner)
    backward = learner.backward

    def both(sample: NDArray[np.int8], label: int) -> int:
        if real.weights is None:
            real.weights = learner.values["masters"] / 2.0**FRACTION
            real.bias = learner.values["bias masters"] / 2.0**BIAS_FRACTION
        real.step(sample, label)
        return backward(sample, label)

    monkeypatch.setattr(learner, "backward", both)
    random = np.random.default_rng(4)
    for number in range(24):
        learner.infer(random.integers(-128, 60, 12).astype(np.int8))
        assert learner.add(number % 4) == codes.OK
    steps = 1
    while learner.step() > 0 and steps < 600:
        steps += 1
    assert steps > 400 and real.weights is not None
    assert np.abs(weights_of(learner.values["masters"]) - real.weights).max() <= 2
    reach = np.abs(real.bias[:4]) + 200
    assert np.all(np.abs(bias_of(learner.values["bias masters"].astype(np.int64))[:4] - real.bias[:4]) < 0.05 * reach)


def test_the_guard_keeps_what_was(tmp_path: Path) -> None:
    """Labels at random teach nothing that samples held apart bear out; without the guard they are learnt."""
    for guard, kept in ((True, 0), (False, 1)):
        specification = Specification(learning(tmp_path, learn_guard=guard, learn_rate=0.2).lowered)
        for event in [*events(24, 4, 0), Event(Kind.STEP, MANY)]:
            specification(event)
        random = np.random.default_rng(0)
        wrong = [replace(event, number=int(random.integers(4))) for event in events(20, 4, 0)]
        before = specification(Event(Kind.INFER, 0, wrong[0].inputs)).states["weights"]
        for event in [*wrong, Event(Kind.STEP, MANY)]:
            outcome = specification(event)
        assert outcome.report.kept == kept
        assert np.array_equal(outcome.states["weights"], before) == (not kept)


def test_refusals_change_nothing(tmp_path: Path) -> None:
    found = learning(tmp_path)
    x = events(1, 1, 0)[0].inputs
    infer, step = Event(Kind.INFER, 0, x), Event(Kind.STEP, 1)
    add = [Event(Kind.ADD, label, x) for label in (0, 1, 5)]
    cases = [
        ([], Event(Kind.AGAIN, 0), codes.NO_SAMPLE),
        ([infer], Event(Kind.AGAIN, -1), codes.LABEL),
        ([infer], Event(Kind.AGAIN, 6), codes.LABEL),
        ([], step, codes.FEW),
        ([add[0]], step, codes.FEW),
        ([], Event(Kind.FORGET, 4), codes.LABEL),
        ([], Event(Kind.FORGET, -2), codes.LABEL),
        ([*add, step], Event(Kind.AGAIN, 1), codes.BUSY),
        ([*add, step], Event(Kind.FORGET, -1), codes.BUSY),
        ([*add, step], Event(Kind.MOVE), codes.STATE_BUSY),
        ([Event(Kind.MOVE)], Event(Kind.AGAIN, 0), codes.NO_SAMPLE),
    ]
    for before, refused, status in cases:
        sequence = [infer, *before, refused] if before and before[0].kind is not Kind.MOVE else [*before, refused]
        last, now = list(run(engine("host"), found.program(), found.lowered, [infer, *before, refused]))[-2:]
        if status == codes.NO_SAMPLE:
            now, last = list(run(engine("host"), found.program(), found.lowered, sequence))[-1], last
        assert now[0].status == status, (refused, status)
        if status != codes.NO_SAMPLE:
            assert all(np.array_equal(now[0].states[name], value) for name, value in last[0].states.items())


def test_a_full_store(tmp_path: Path) -> None:
    """The oldest sample of the class goes; a class without one in it is refused."""
    specification = Specification(learning(tmp_path, learn_store=13 * 4).lowered)
    first = events(5, 1, 0)
    for event in first[:4]:
        specification(event)
    outcome = specification(replace(first[4], number=1))
    assert outcome.status == codes.FULL
    outcome = specification(first[4])
    assert outcome.status == codes.OK
    assert outcome.states["counters"].tolist() == [4, 4, 0, 0]
    assert np.array_equal(outcome.states["store"][3], outcome.states["features"][0])


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    """Where no reference holds the others: it would forget them."""
    found = learning(tmp_path)
    assert found.lowered.learned is not None
    lesson = found.lowered.learned.classifier
    bare = replace(lesson, references=lesson.references[:0], labels=lesson.labels[:0])
    learner = Learner(bare, found.lowered.learned.graph)
    learner.infer(np.zeros(12, np.int8))
    for _ in range(3):
        assert learner.add(2) == codes.OK
    assert learner.step() == codes.ONE_CLASS
    assert learner.add(1) == codes.OK
    assert learner.step() > 0


def test_forgetting_a_class(tmp_path: Path) -> None:
    specification = Specification(learning(tmp_path).lowered)
    as_compiled = {name: value.copy() for name, value in specification(Event(Kind.FORGET, -1)).states.items()}
    for event in [*events(16, 2, 4), *events(8, 1, 1), Event(Kind.STEP, MANY)]:
        outcome = specification(event)
    assert outcome.report.kept == 1
    for label in (5, 1):
        outcome = specification(Event(Kind.FORGET, label))
        assert outcome.status == codes.OK
        assert np.array_equal(outcome.states["weights"][label], as_compiled["weights"][label])
        assert outcome.states["bias"][label] == as_compiled["bias"][label]
    assert outcome.states["counters"][0] == 5
    assert not np.isin(outcome.states["store labels"][: outcome.states["counters"][1]], (1, 5)).any()
    outcome = specification(Event(Kind.FORGET, -1))
    assert all(np.array_equal(outcome.states[name], value) for name, value in as_compiled.items())


@pytest.mark.parametrize("method", ["classifier", "mean"])
def test_a_class_of_zeros_is_learnt(tmp_path: Path, method: str) -> None:
    """A spare row that the training left at 0 has no scale of its own: it is learnt on that of the coarsest."""
    found = learning(tmp_path, classifier(idle=3), learn=method, learn_guard=False)
    specification = Specification(found.lowered)
    for event in [*events(24, 4, 0), Event(Kind.STEP, MANY)]:
        outcome = specification(event)
    assert np.any(outcome.states["weights"][3]) and accuracy(specification, 1, 3) >= 0.9
    compared(found, "host")


def test_its_bias_stays_what_it_is(tmp_path: Path) -> None:
    """In steps of the accumulator on the other scale; what is decided as compiled differs by a step at most."""
    found = learning(tmp_path, classifier(idle=3, softmax=False), learn_classes=4)
    (tmp_path / "plain.tflite").write_bytes(classifier(idle=3, softmax=False))
    plain = driftc.compile(tmp_path / "plain.tflite", measure=False)
    for x in samples(20, 4)["x"].reshape(20, 1, 8):
        (one,), (other,) = (run_graph_of(compiled, x) for compiled in (found, plain))
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


def run_graph_of(found: Compiled, x: NDArray[np.int8]) -> list[NDArray[Any]]:
    """The outputs, as compiled."""
    graph = found.lowered.graph
    values = run_graph(graph, (x,))
    return [values[tensor.name] for tensor in graph.outputs]


@pytest.mark.parametrize(
    "options",
    [
        {"learn": 3}, {"learn_classes": "6"}, {"learn_classes": True}, {"learn_store": 520.0}, {"learn_keep": None},
        {"learn_rate": "fast"}, {"learn_rate": True}, {"learn_passes": [30]}, {"learn_guard": "on"}, {"learn_guard": 1},
        {"adapt_running": "7"},
    ],
)  # fmt: skip
def test_options_of_the_wrong_type(tmp_path: Path, options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(UsageError, match=f"option {name}: a .* is of the wrong type"):
        learning(tmp_path, **options)
    with pytest.raises(UsageError, match=r"--learn-every 3\.0"):
        learning(tmp_path).teach(tmp_path / "known.npz", every=3.0)  # type: ignore[arg-type]


def test_a_folder_remembers(tmp_path: Path) -> None:
    learning(tmp_path).write(tmp_path / "net")
    again = Compiled.load(tmp_path / "net")
    assert again.edited() == []
    assert again.lowered.learned is not None
    assert again.lowered.learned.classifier.classes == 6


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": 2}, "format"),
        ({"slots": 0}, "'slots'"),
        ({"slots": True}, "'slots'"),
        ({"method": "none"}, "method"),
        ({"classes": 3}, "classes"),
        ({"rate": "much"}, "'rate'"),
        ({"rate": 10**400}, "learning.json"),
        ({"labels": [0, 9]}, "labels"),
        ({"references": [[1, 2], [3]]}, "learning.json"),
        ({"references": [[300]]}, "-128 to 127"),
        ({"seed": None}, "'seed'"),
    ],
)
def test_bad_lessons(tmp_path: Path, change: dict[str, object], problem: str) -> None:
    learning(tmp_path).write(tmp_path / "net")
    path = tmp_path / "net" / LESSON
    data = json.loads(path.read_text()) | change
    path.write_text(json.dumps(data))
    with pytest.raises(DriftcError, match=problem):
        Compiled.load(tmp_path / "net")
    path.write_text(json.dumps({key: value for key, value in data.items() if key not in change}))
    with pytest.raises(DataError):
        read_lesson(path)
    path.write_text("{")
    with pytest.raises(DataError):
        read_lesson(path)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"learn": "all"}, "classifier"),
        ({"learn": None, "learn_keep": 3}, "--learn"),
        ({"learn_classes": 3}, "the model has 4"),
        ({"learn_classes": 128}, "127"),
        ({"learn_store": 20}, "holds 1 samples"),
        ({"learn_keep": 0}, "--learn-keep 0"),
        ({"learn_passes": 0}, "--learn-passes 0"),
        ({"learn_rate": 0.0}, "--learn-rate 0"),
        ({"learn_rate": 900.0}, "out of range"),
        ({"learn_rate": 1e-13}, "out of range"),
    ],
)
def test_bad_options(tmp_path: Path, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        learning(tmp_path, **{"learn_classes": None, **options})


def test_samples_without_labels(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(classifier())
    np.savez(tmp_path / "x.npz", x=samples(20, 4)["x"])
    done = command("compile", "net.tflite", "--learn", "--calibrate", "x.npz", cwd=tmp_path, code=2)
    assert "needs labels" in done.stderr
    np.savez(tmp_path / "y.npz", x=samples(20, 4)["x"], y=np.full(20, 4))
    done = command("compile", "net.tflite", "--learn", "--calibrate", "y.npz", cwd=tmp_path, code=2)
    assert "0 to 3" in done.stderr
    done = command("compile", "net.tflite", "--learn", cwd=tmp_path, code=2)
    assert "--calibrate" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.tflite", "x.npz", "y.npz"]


def test_another_models_lesson(tmp_path: Path) -> None:
    """Each field fits its own rules, but not the model; references of another length would be read past their end."""
    learning(tmp_path).write(tmp_path / "net")
    path = tmp_path / "net" / LESSON
    data = json.loads(path.read_text())
    narrow = [row[:-1] for row in data["references"]]
    wrong = ({"references": narrow}, {"known": 5}, {"layer": "features"}, {"sha256": "0" * 64})
    for change in wrong:
        path.write_text(json.dumps(data | change))
        with pytest.raises(DataError, match="another model's"):
            Compiled.load(tmp_path / "net")
    path.write_text(json.dumps(data))
    Compiled.load(tmp_path / "net")


def test_engines_that_cannot_learn(tmp_path: Path) -> None:
    found = learning(tmp_path)
    for name in ("tflm", "numpy", "fast"):
        with pytest.raises(UsageError, match=f"engine '{name}'.*host, unicorn, qemu"):
            found.teach(tmp_path / "known.npz", engine=name)
    with pytest.raises(UsageError, match="--learn-every -3"):
        found.teach(tmp_path / "known.npz", every=-3)


def test_models_that_cannot_learn(tmp_path: Path) -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 8), scale=0.05)
    weights = np.ones((3, 8), np.int8)
    y = m.fully_connected(x, weights, weight_scale=0.01, out_scale=0.1, name="dense")
    m.output(m.reshape(y, (1, 3, 1), name="turned"))
    with pytest.raises(ModelError, match=r"RESHAPE 'turned'.*dense"):
        learning(tmp_path, m.build(), 3)
    m = ModelBuilder()
    x = m.input("x", (1, 8), scale=0.05)
    for name in ("left", "right"):
        m.output(m.fully_connected(x, weights, weight_scale=0.01, out_scale=0.1, name=name))
    with pytest.raises(ModelError, match="2 outputs"):
        learning(tmp_path, m.build(), 3)


def test_scales_that_cannot_be_learnt(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"net.tflite: .*out of any range"):
        learning(tmp_path, classifier(weight_scale=1.0, feature_scale=50.0, out_scale=30000.0), learn_rate=1e-6)
    with pytest.raises(ModelError, match=r"net.tflite: .*too near 0"):
        learning(tmp_path, classifier(feature_scale=1e-7, out_scale=1e-8, softmax=False))


def test_more_classes_than_there_is_room_for(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="among 130 classes"):
        learning(tmp_path, classifier(130), learn_classes=None)


def test_litert_is_refused(tmp_path: Path) -> None:
    """What learns rounds as TFLite Micro: untaught, some outputs would not be LiteRT's."""
    with pytest.raises(ModelError, match="--match litert"):
        learning(tmp_path, match="litert")


def test_the_lowest_weight_is_noted(tmp_path: Path) -> None:
    assert not learning(tmp_path).notes
    found = learning(tmp_path, classifier(lowest=True), learn_keep=15)  # all samples: none to rehearse with
    assert "12 weights of -128" in found.notes[0]


def test_a_float_tflite_is_quantised_first(tmp_path: Path) -> None:
    """As any float model: it was taken for an int8 one, and refused for the float inside."""
    path = shared_file("mlperf_tiny/models/kws/kws_ref_model_float32.tflite")
    x = np.random.default_rng(0).normal(size=(36, 49, 10, 1)).astype(np.float32)
    np.savez(tmp_path / "known.npz", x=x, y=np.arange(36) % 12)
    found = driftc.compile(
        path, calibrate=tmp_path / "known.npz", learn="classifier", learn_classes=13, measure=False, name="kws"
    )
    assert found.quantized is not None and found.lowered.learned is not None
    assert found.verify(random=1, engines=["numpy", "host"]).bit_exact


def test_the_command_line(tmp_path: Path) -> None:
    """Compile, verify, and teach two classes; the numbers of the report are those of the state."""
    (tmp_path / "net.tflite").write_bytes(classifier())
    np.savez(tmp_path / "known.npz", **samples(60, 4))
    stream = samples(24, 6)
    np.savez(tmp_path / "stream.npz", **stream)
    options = ("--learn", "--learn-classes", "6", "--no-measure", "--calibrate", "known.npz")
    report = driftc_json("compile", "net.tflite", *options, cwd=tmp_path)
    assert report["learning"]["layer"] == "decides"
    assert {state["name"] for state in report["states"]} >= {"decides/weights", "decides/store"}
    done = command("verify", "net", "--learn", "--engine", "host", cwd=tmp_path)
    assert "events of learning" in done.stdout
    printed = command("simulate", "net", "--learn", "stream.npz", "--json", cwd=tmp_path).stdout
    found = json.loads(printed)
    schema = json.loads((ROOT / "docs" / "schemas" / "simulate-learn.json").read_text(encoding="utf-8"))
    jsonschema.validate(found, schema, cls=jsonschema.Draft202012Validator)
    assert found["before"]["new"] == 0
    assert found["rounds"][-1]["scores"]["new"] > 0.8
    assert found["store_bytes"] == 40 * 13
    shown = command("simulate", "net", "--learn", "stream.npz", "--learn-every", "12", cwd=tmp_path).stdout
    assert "24 samples" in shown and "kept" in shown
    np.savez(tmp_path / "far.npz", x=stream["x"], y=np.full(24, 6))
    done = command("simulate", "net", "--learn", "far.npz", cwd=tmp_path, code=2)
    assert "--learn-classes" in done.stderr
    done = command("simulate", "net", "--learn-every", "3", cwd=tmp_path, code=2)
    assert "--learn" in done.stderr
    (tmp_path / "plain").mkdir()
    command("compile", "net.tflite", "--no-measure", "-o", "plain/net", cwd=tmp_path)
    done = command("verify", "plain/net", "--learn", cwd=tmp_path, code=2)
    assert "compile it with --learn" in done.stderr
