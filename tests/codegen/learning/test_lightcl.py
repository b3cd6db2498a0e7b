"""`--learn lightcl` and `--learn-hold`: channels held to what they were, new classes among themselves, and what each
way of learning is measured to give."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting import counting
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from learning_models import classifier, convolving, images, learning, learning_last, samples
from learnt import compared

from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import DataError, UsageError
from driftc.codegen.learning import learner as codes
from driftc.codegen.operators.learn.hold_errors import HoldErrors
from driftc.codegen.operators.learn.trained_conv import TrainedConv
from driftc.codegen.operators.learn.trained_dense import ABSENT
from driftc.codegen.plan.cost import instructions
from driftc.codegen.sources import LESSON
from driftc.simulator.learning import MANY, Event, Kind, Specification

CORES = ("cortex-m0plus", "cortex-m4", "cortex-m55", "rv32imc")


def held(folder: Path, tail: str = "pointwise", hold: float = 0.01, **options: Any) -> Compiled:
    """Compiled with --learn lightcl, or what `options` say."""
    chosen = {"learn": "lightcl", "learn_hold": hold or None, "learn_passes": 1, "learn_store": 8 * 61, **options}
    return learning_last(folder, convolving(tail), **chosen)


@pytest.mark.parametrize("guard", [True, False])
@pytest.mark.parametrize("tail", ["projected", "flat"])
def test_on_this_machine(tmp_path: Path, tail: str, guard: bool) -> None:
    """With ASan and UBSan where the compiler has them."""
    method = "lightcl" if guard else "last"
    found = held(tmp_path, tail, learn=method, learn_guard=guard)
    assert compared(found, "host", sanitize=found.program().target.cc != "zig") > 200


@pytest.mark.parametrize("core", CORES)
def test_on_emulated_cores(tmp_path: Path, core: str) -> None:
    tail = ("pointwise", "strided", "depthwise", "residual")[CORES.index(core)]
    found = held(tmp_path, tail, core=core, learn_keep=1)
    assert compared(found, "unicorn" if core in ("cortex-m0plus", "cortex-m4") else "qemu") > 200


def operator(found: Compiled) -> tuple[HoldErrors, TrainedConv]:
    assert found.lowered.learned is not None
    operators = found.lowered.learned.graph.operators
    hold = next(op for op in operators if isinstance(op, HoldErrors))
    return hold, next(op for op in operators if isinstance(op, TrainedConv))


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(data=st.data())
def test_errors_that_are_held(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Against Python's integers, at any exponent: v, its largest, and the shift that makes it fit."""
    if not hasattr(test_errors_that_are_held, "made"):
        test_errors_that_are_held.made = operator(held(tmp_path_factory.mktemp("net"), "projected"))[0]  # type: ignore[attr-defined]
    op: HoldErrors = test_errors_that_are_held.made  # type: ignore[attr-defined]
    random = np.random.default_rng(data.draw(st.integers(0, 999)))
    exponent, label = data.draw(st.sampled_from([0, 3, 15])), data.draw(st.sampled_from([-1, 2]))
    errors = random.integers(-(2**14), 2**14 + 1, op.inputs[0].shape).astype(np.int16)
    now, before, *maps = (
        random.integers(-128, 128, tensor.shape).astype(np.int8) for tensor in (*op.inputs[2:4], *op.inputs[5:])
    )
    numbers = np.array([exponent], np.int32), np.array([label], np.int32)
    found, more = op.spec(errors, numbers[0], now, before, numbers[1], *maps)
    pixels = now.size // op.channels
    wanted = []
    for place in range(pixels * op.channels):
        channel = place % op.channels
        pairs = [(bounds, at) for bounds, at in zip(op.live, maps, strict=True) if bounds is not None]
        assert len(pairs) == len(maps)
        alive = all(low < int(at.reshape(-1)[place]) < high for (low, high), at in pairs)
        value = int(errors.reshape(-1)[channel]) * 2**exponent if alive else 0
        away = int(now.reshape(-1)[place]) - int(before.reshape(-1)[place])
        if op.held[channel]:
            value += (2 * away * op.hold + 2**op.shift) // 2 ** (op.shift + 1)
        wanted.append(max(min(value, 2**30), -(2**30)) if label >= 0 else 0)
    largest = max(map(abs, wanted))
    assert largest >> int(more[0]) < 2**14
    assert int(more[0]) == 0 or largest >> int(more[0]) - 1 >= 2**14
    half = 2 ** int(more[0])
    assert found.reshape(-1).tolist() == [(2 * value + half) // (2 * half) for value in wanted]


def taught(found: Compiled, labels: tuple[int, ...], steps: int = MANY) -> tuple[Specification, int]:
    """The specification after samples of these classes, and what the last step gave."""
    specification = Specification(found.lowered)
    for label in labels:
        for x in images(4, 1, seed=7, first=label)["x"]:
            assert specification(Event(Kind.ADD, label, (x[None],))).status == codes.OK
    return specification, specification(Event(Kind.STEP, steps)).status


def test_channels_that_are_held_move_less(tmp_path: Path) -> None:
    """What the convolution gives of the samples that were learnt, by the masters, from what it gave as compiled."""
    moved = []
    for hold in (0.0, 0.02):
        found = held(tmp_path, "residual", hold, learn="last", learn_guard=False, learn_passes=4)
        assert found.lowered.learned is not None
        channels = held(tmp_path, "residual", 0.02, learn="last").lowered.learned
        assert channels is not None and len(channels.classifier.held) == 1
        learner = found.lowered.learned.learner()
        name = next(op.outputs[0].name for op in found.lowered.learned.graph.operators if isinstance(op, TrainedConv))
        learner.load_masters()
        given = images(24, 4, seed=7)
        before = [learner.traced(x, -1)[name].astype(int) for x in given["x"]]
        for _ in range(4):
            for x, y in zip(given["x"], given["y"], strict=True):
                learner.backward(x, int(y))
        after = [learner.traced(x, -1)[name].astype(int) for x in given["x"]]
        away = np.abs(np.array(after) - np.array(before))
        moved.append(float(away[..., list(channels.classifier.held)].mean()))
    assert moved[0] > 0.5
    assert moved[1] < 0.7 * moved[0]


def test_new_classes_among_themselves(tmp_path: Path) -> None:
    """Rows of classes without new samples stay as they are, and are not there while others are learnt."""
    found = held(tmp_path, learn_guard=False)
    specification, left = taught(found, (4, 5), steps=3)
    assert left > 0
    hidden = specification.learner.values["bias masters"]
    assert hidden[:4].tolist() == [ABSENT * 16] * 4 and (hidden[4:] > ABSENT * 16).all()
    before = specification.learner.values["weights"][:4].copy()
    after = specification(Event(Kind.STEP, MANY))
    assert after.report.kept == 1
    assert np.array_equal(after.states["weights"][:4], before)
    assert np.array_equal(after.states["bias"][:4], found.lowered.graph.states[1].initial[:4])
    assert np.any(after.states["weights"][4:])


def test_one_class_among_itself_is_refused(tmp_path: Path) -> None:
    assert taught(held(tmp_path), (4,))[1] == codes.ONE_CLASS


def test_ways_are_measured(tmp_path: Path) -> None:
    """Four ways, each with plasticity, stability, bytes and what they are for these; too few samples are said."""
    told = re.compile(
        r"at most: (.*?): ([\d.]+)% of them right, the others ([-+][\d.]+)%; ([\d.]+) KB, about ([\d,]+) instructions "
        r"a step \(([\d.]+) and ([-+][\d.]+) points a KB, ([\d.]+) and ([-+][\d.]+) a million instructions\)"
    )
    found = [match.groups() for note in held(tmp_path).notes if (match := told.search(note))]
    assert [name for name, *_ in found] == ["classifier", "last", "last --learn-hold", "lightcl"]
    for _, *numbers in found:
        gain, loss, kb, work, gain_kb, loss_kb, gain_work, loss_work = (float(n.replace(",", "")) for n in numbers)
        for each, share, unit in (
            (gain, gain_kb, kb), (loss, loss_kb, kb), (gain, gain_work, work / 1e6), (loss, loss_work, work / 1e6),
        ):  # fmt: skip
            assert share == pytest.approx(each / unit, abs=0.06 + abs(each) * 0.06 / unit**2 + 0.06 / unit)
    few = held(tmp_path, learn_keep=6).notes
    assert any("two samples of each that are no references" in note for note in few)


@pytest.mark.parametrize("tail", ["dense", "pointwise", "residual"])
def test_what_the_planner_expects_of_a_step(tmp_path: Path, tail: str) -> None:
    """Is what the core takes, give or take a third: it is to tell ways of learning apart by."""
    counting()
    if tail == "dense":
        found = learning(tmp_path, classifier(4, 40), core="cortex-m4")
    else:
        found = learning_last(tmp_path, convolving(tail), core="cortex-m4")
    given = samples(8, 4) if tail == "dense" else images(8, 4)
    np.savez(tmp_path / "few.npz", x=given["x"], y=(given["y"] + 1) % 4)
    counted = found.teach(tmp_path / "few.npz").step_instructions
    assert counted is not None and found.lowered.learned is not None
    assert 0.67 < instructions(found.lowered.learned.plan.program) / counted < 1.5


def test_bad_options(tmp_path: Path) -> None:
    for options, problem in (
        ({"learn": "classifier", "learn_hold": 0.1}, "--learn-hold belongs"),
        ({"learn_hold": -1.0}, "--learn-hold -1"),
        ({"learn_hold": 900.0}, "--learn-hold 900: out of range"),
    ):
        with pytest.raises(UsageError, match=problem):
            learning_last(tmp_path, **{"learn": "lightcl", **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("change", ['"hold": -1', '"hold": "a"', '"held": [99]', '"held": [0.5]', '"held": []'])
def test_bad_lessons(tmp_path: Path, change: str) -> None:
    held(tmp_path).write(tmp_path / "net")
    path = tmp_path / "net" / LESSON
    key = change.split(":")[0]
    text = re.sub(rf"{key}: (\[[^\]]*\]|[\d.e-]+)", change, path.read_text())
    assert change in text
    path.write_text(text)
    with pytest.raises(DataError, match="compile"):
        Compiled.load(tmp_path / "net")
