"""Nearest class means: what is decided and learnt, the same on every engine, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_models import classifier, learning, samples
from learnt import STRICT, accuracy, compared, events

import driftc
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import DataError, ModelError, UsageError
from driftc.codegen.learning import learner as codes
from driftc.codegen.learning.lesson import Means, read_lesson
from driftc.codegen.operators.learn.mean_update import MOST_SAMPLES, MeanUpdate
from driftc.codegen.operators.learn.nearest_mean import NearestMean
from driftc.codegen.sources import LESSON
from driftc.codegen.tensor import Quantization, Tensor
from driftc.simulator.learning import MANY, Event, Kind, Specification

STEP = Event(Kind.STEP, MANY)


def means(folder: Path, model: bytes | None = None, **options: Any) -> Compiled:
    return learning(folder, model, learn="mean", **options)


def lesson_of(found: Compiled) -> Means:
    assert found.lowered.learned is not None
    lesson = found.lowered.learned.lesson
    assert isinstance(lesson, Means)
    return lesson


def told(found: Compiled, *sequence: Event) -> Specification:
    specification = Specification(found.lowered)
    for event in sequence:
        assert specification(event).status >= 0
    return specification


@pytest.mark.parametrize("guard", [True, False])
@pytest.mark.parametrize("softmax", [True, False])
def test_on_this_machine(tmp_path: Path, softmax: bool, guard: bool) -> None:
    """With ASan and UBSan where the compiler has them."""
    found = means(tmp_path, classifier(softmax=softmax), learn_guard=guard)
    assert compared(found, "host", sanitize=found.program().target.cc != "zig") > 250


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m55", "rv32imc"])
def test_on_emulated_cores(tmp_path: Path, core: str) -> None:
    found = means(tmp_path, core=core, learn_store=12 * 13)
    assert compared(found, "unicorn" if core in ("cortex-m0plus", "cortex-m4") else "qemu") > 200


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_any_layer(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    known = data.draw(st.integers(2, 4), label="known")
    length = data.draw(st.integers(1, 19), label="length")
    zero = data.draw(st.sampled_from([-128, -1, 0, 127]), label="zero")
    model = classifier(known, length, data.draw(st.integers(0, 99)), zero=zero, feature_scale=0.01)
    found = learning(
        tmp_path_factory.mktemp("net"), model, known, learn="mean", learn_keep=data.draw(st.integers(1, 6)),
        learn_store=(length + 1) * data.draw(st.integers(2, 30)),
    )  # fmt: skip
    compared(found, "host")


def test_strict_on_both_compilers(tmp_path: Path) -> None:
    means(tmp_path).write(tmp_path / "net")
    for compiler in ("gcc", "clang"):
        if shutil.which(compiler) is None:
            pytest.skip(f"{compiler} is not installed")
        for name in ("net", "net_learn", "net_backward"):
            command = [compiler, "-std=c11", *STRICT, "-c", f"{name}.c"]
            done = subprocess.run(command, cwd=tmp_path / "net", capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr


# --- what is decided ---


def nearest(classes: int, length: int, factor: int = 1 << 14, shift: int = 20) -> NearestMean:
    scale = Quantization(np.array([0.1], np.float32), np.array([0]))
    x = Tensor("x", (1, length), np.dtype(np.int8), scale)
    kept = Tensor("means", (classes, length), np.dtype(np.int8))
    counts = Tensor("counts", (classes,), np.dtype(np.int32))
    out = Tensor("y", (1, classes), np.dtype(np.int8), scale)
    return NearestMean(name="y", inputs=(x, kept, counts), outputs=(out,), factor=factor, shift=shift)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 40))
def test_the_largest_output_is_the_nearest_mean(seed: int, classes: int, length: int) -> None:
    """However coarse the outputs are, one alone is the largest; classes without samples have the lowest."""
    random = np.random.default_rng(seed)
    x, kept = random.integers(-128, 128, (1, length)), random.integers(-128, 128, (classes, length))
    counts = random.integers(-1, 3, classes)
    counts[random.integers(classes)] = 1
    (out,) = nearest(classes, length).spec(x.astype(np.int8), kept.astype(np.int8), counts.astype(np.int32))
    there = [((x[0] - kept[c]) ** 2).sum() if counts[c] > 0 else np.inf for c in range(classes)]
    assert out[0].argmax() == np.argmin(there) and np.count_nonzero(out == 127) == 1
    assert np.all(out[0][np.isinf(there)] == -128)
    present = np.flatnonzero(np.isfinite(there))
    order = present[np.argsort(np.array(there)[present], kind="stable")]
    assert np.all(np.diff(out[0][order].astype(int)) <= 0)


def test_outputs_are_logits_of_the_distance() -> None:
    """Of a Gaussian around each mean, within a rounding: a hundredth of a step of the output for each squared step."""
    operator = nearest(2, 1, factor=20972, shift=21)
    for away in range(1, 128):
        x, kept = np.array([[0]], np.int8), np.array([[0], [away]], np.int8)
        (out,) = operator.spec(x, kept, np.array([1, 1], np.int32))
        assert abs(out[0, 1] - max(127 - max(away**2 * 0.01, 1), -128)) < 0.51


def test_too_many_features_are_refused() -> None:
    with pytest.raises(ModelError, match="the distance of 33026 features can overflow int32; of 33025 it cannot"):
        nearest(2, 33026).check()
    nearest(2, 33025).check()


@given(st.integers(0, 2**32 - 1), st.integers(0, MOST_SAMPLES + 5))
def test_a_step_of_the_mean(seed: int, count: int) -> None:
    """Within half a master's unit of what float64 makes of it, and never out of int8's range."""
    random = np.random.default_rng(seed)
    x = random.integers(-128, 128, (1, 5)).astype(np.int8)
    masters = random.integers(-128 << 16, (127 << 16) + 1, (3, 5)).astype(np.int32)
    counts = np.array([3, count, 0], np.int32) << 4
    tensors = [Tensor(n, s, np.dtype(np.int32)) for n, s in (("m", (3, 5)), ("c", (3,)), ("l", (1,)), ("d", (1,)))]
    features = Tensor("x", (1, 5), np.dtype(np.int8), Quantization(np.array([0.1], np.float32), np.array([0])))
    operator = MeanUpdate(name="u", inputs=(*tensors[:2], features, tensors[2]), outputs=(tensors[3], *tensors[:2]))
    _, moved, counted = operator.spec(masters, counts, x, np.array([1], np.int32))
    number = min(count + 1, MOST_SAMPLES)
    real = masters[1] + (x[0] * 65536.0 - masters[1]) / number
    assert np.abs(moved[1] - real).max() <= 0.5 and np.abs(moved).max() <= 128 << 16
    assert np.array_equal(moved[[0, 2]], masters[[0, 2]]) and counted.tolist() == [48, number << 4, 0]


# --- what is learnt ---


def test_new_classes_without_training(tmp_path: Path) -> None:
    specification = told(means(tmp_path), *events(16, 2, 4), STEP)
    assert accuracy(specification, 2, 4) >= 0.9 and accuracy(specification, 4, 0) >= 0.9
    assert specification.learner.report.kept == 1 and specification.learner.report.saturated == 0


def test_means_are_those_of_the_samples(tmp_path: Path) -> None:
    """A new class's is the mean of its samples within a rounding; a known class counts for as many as --learn-keep."""
    found = means(tmp_path, learn_guard=False, learn_keep=3)
    specification = Specification(found.lowered)
    seen: dict[int, list[Any]] = {0: [], 5: []}
    for event in [*events(6, 1, 0), *events(7, 1, 5)]:
        seen[event.number].append(specification(event).states["features"][0].astype(float))
    specification(STEP)
    values, lesson = specification.learner.values, lesson_of(found)
    assert values["bias"].tolist()[0] == 3 + 6 and values["bias"].tolist()[5] == 7
    assert np.abs(values["weights"][5] - np.mean(seen[5], axis=0)).max() <= 0.51
    known = (3 * lesson.means[0].astype(float) + np.sum(seen[0], axis=0)) / 9
    assert np.abs(values["weights"][0] - known).max() <= 0.51
    assert np.array_equal(values["weights"][1:4], lesson.means[1:4])


def test_one_sample_of_one_class_is_enough(tmp_path: Path) -> None:
    found = means(tmp_path)
    specification = Specification(found.lowered)
    assert specification(Event(Kind.STEP, 1)).status == codes.FEW
    (event,) = events(1, 1, 5)
    assert specification(event).status == codes.OK
    assert specification(STEP).report.kept == 1
    assert accuracy(specification, 1, 5) >= 0.8


def test_the_guard_keeps_what_was(tmp_path: Path) -> None:
    """Samples of a class under another's label are not taken in, where the guard is on."""
    for guard in (True, False):
        found = means(tmp_path, learn_guard=guard)
        wrong = [Event(event.kind, (event.number + 1) % 4, event.inputs) for event in events(32, 4, 0)]
        specification = told(found, *wrong, STEP)
        report = specification.learner.report
        assert report.kept == (not guard or report.held_after > report.held_before)
        assert (report.references > 0) == guard and report.references_before == (20 if guard else 0)


def test_a_class_without_samples_is_not_there_until_it_is_learnt(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(classifier(5))
    np.savez(tmp_path / "known.npz", **samples(60, 4))
    found = driftc.compile(tmp_path / "net.tflite", calibrate=tmp_path / "known.npz", learn="mean", measure=False)
    assert any("no sample of class 4, which is decided for only once it is learnt" in note for note in found.notes)
    specification = Specification(found.lowered)
    assert accuracy(specification, 1, 4) == 0
    for event in [*events(5, 1, 4), STEP]:
        specification(event)
    assert accuracy(specification, 1, 4) >= 0.9
    compared(found, "host")


def test_litert_rounding_stays(tmp_path: Path) -> None:
    """What is learnt rounds nothing as the layer did, which --match litert is about."""
    compared(means(tmp_path, match="litert"), "host")


# --- folders and what is refused ---


def test_a_folder_keeps_it(tmp_path: Path) -> None:
    found = means(tmp_path)
    found.write(tmp_path / "net")
    again = Compiled.load(tmp_path / "net")
    first, second = lesson_of(found), lesson_of(again)
    assert first.as_text() == second.as_text() and np.array_equal(first.means, second.means)
    assert again.verify(random=2, engines=["numpy", "host"], learn=True).bit_exact


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slope": "1"}, "'slope' must be a number"),
        ({"slope": 0}, "'slope' must be above 0 and below 1000"),
        ({"means": [[1]]}, "'means', 'counts' and 'passes' do not belong together"),
        ({"passes": 2}, "'means', 'counts' and 'passes' do not belong together"),
        ({"counts": None}, "whole numbers from -128 to 127"),
        ({"means": [[200] * 12] * 4}, "whole numbers from -128 to 127"),
        ({"means": [[1] * 11] * 4}, "'references' and 'means' do not belong together"),
        ({"method": "classifier"}, None),
    ],
)
def test_other_files_are_refused(tmp_path: Path, change: dict[str, Any], message: str | None) -> None:
    means(tmp_path).write(tmp_path / "net")
    path = tmp_path / "net" / LESSON
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    if message is None:
        assert not isinstance(read_lesson(path), Means)
        return
    with pytest.raises(DataError, match=f"{LESSON}: .*{message}.*compile the model again with --learn"):
        read_lesson(path)


@pytest.mark.parametrize("options", [{"learn_rate": 0.1}, {"learn_passes": 3}])
def test_it_has_no_rate_and_no_passes(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="--learn mean takes each sample once into its class's mean: it has no rate"):
        means(tmp_path, **options)


@pytest.mark.parametrize("method", ["mean", "classifier"])
def test_numbers_of_classes_that_are_forgotten(tmp_path: Path, method: str) -> None:
    """In the middle a number stays free; at the end those that are free are no classes any more."""
    specification = told(learning(tmp_path, learn=method, learn_classes=8, learn_guard=False), *events(16, 2, 4))
    learner = specification.learner
    assert specification(Event(Kind.ADD, 7, events(1, 1, 0)[0].inputs)).status == codes.OK
    assert specification(STEP).status == 0
    for label, left in ((5, 8), (6, 8), (7, 5), (7, None), (4, 4)):
        status = specification(Event(Kind.FORGET, label)).status
        assert status == (codes.LABEL if left is None else codes.OK)
        assert learner.values["counters"][0] == (left or 5)
    assert accuracy(specification, 2, 4) == 0


def test_sample_by_sample(tmp_path: Path) -> None:
    """The simulated device learns after each sample; the classifier needs two."""
    np.savez(tmp_path / "new.npz", **samples(6, 2, first=4))
    means(tmp_path).write(tmp_path / "net")
    found = Compiled.load(tmp_path / "net").teach(tmp_path / "new.npz", every=1)
    assert [one.added for one in found.rounds] == [1, 2, 3, 4, 5, 6] and not any(one.refused for one in found.rounds)
    assert found.rounds[-1].scores.new == 1
    with pytest.raises(UsageError, match="--learn-every 1: needs to be a whole number of 2 or more samples"):
        learning(tmp_path).teach(tmp_path / "new.npz", every=1)
