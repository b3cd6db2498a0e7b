"""`--learn last`: the last convolution learns too, on every engine alike and as real numbers would."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import driftc as command
from commands import driftc_json
from hypothesis import Phase, given, reject, settings
from hypothesis import strategies as st
from learning_models import convolving, images, learning_last
from learnt import compared
from models import Activation, ModelBuilder
from numpy.typing import NDArray

import driftc
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import DataError, DriftcError, ModelError
from driftc.codegen.learning import learner as codes
from driftc.codegen.learning.trainable import learnable, widened
from driftc.codegen.operators.learn.conv_update import ConvUpdate
from driftc.codegen.operators.learn.trained_conv import TrainedConv
from driftc.codegen.sources import LESSON
from driftc.simulator.learning import MANY, Event, Kind, Specification

TAILS = ("pointwise", "strided", "depthwise", "projected", "flat", "residual")
CORES = ("cortex-m0plus", "cortex-m4", "cortex-m55", "rv32imc")


@pytest.mark.parametrize("tail", TAILS)
def test_on_this_machine(tmp_path: Path, tail: str) -> None:
    """With ASan and UBSan where the compiler has them."""
    found = learning_last(tmp_path, convolving(tail), learn_passes=1, learn_guard=tail != "flat")
    assert compared(found, "host", sanitize=found.program().target.cc != "zig") > 200


@pytest.mark.parametrize("core", CORES)
def test_on_emulated_cores(tmp_path: Path, core: str) -> None:
    tail = TAILS[CORES.index(core)]
    found = learning_last(tmp_path, convolving(tail), core=core, learn_passes=1, learn_store=8 * 61, learn_keep=1)
    assert compared(found, "unicorn" if core in ("cortex-m0plus", "cortex-m4") else "qemu") > 200


@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(data=st.data())
def test_any_tail(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Channels that come in fours or not, maps of one pixel, zero points, rates of next to nothing and large ones."""
    tail = data.draw(st.sampled_from(TAILS), label="tail")
    size = data.draw(st.sampled_from([(1, 1), (2, 3), (6, 5)]), label="size")
    channels, zero = data.draw(st.sampled_from([2, 3, 8])), data.draw(st.sampled_from([-128, -3, 0]))
    model = convolving(tail, 3, channels, size=size, zero=zero, per_row=data.draw(st.booleans()))
    folder = tmp_path_factory.mktemp("net")
    (folder / "net.tflite").write_bytes(model)
    np.savez(folder / "known.npz", **images(12, 3, size=size))
    try:
        found = driftc.compile(
            folder / "net.tflite", calibrate=folder / "known.npz", learn="last", learn_classes=4, learn_keep=1,
            learn_rate=data.draw(st.sampled_from([1e-4, 0.03])), learn_passes=1, measure=False,
            learn_store=6 * (max(2 * size[0] * size[1], 1) + 1),
        )  # fmt: skip
    except DriftcError as refused:  # with few channels or pixels nothing may be left of what is learnt from
        assert re.search(
            "too near 0 to decide the learning rate|--learn-rate.*: out of range for the scales", str(refused)
        )
        reject()
    compared(found, "host")


@pytest.mark.parametrize("border", ["float32", "int8"])
def test_types_at_the_border(tmp_path: Path, border: str) -> None:
    (tmp_path / "net.tflite").write_bytes(convolving(border=border))
    known = images(24, 4)
    real = (known["x"].astype(np.float32) - 3) * np.float32(0.05)
    np.savez(tmp_path / "known.npz", x=real if border == "float32" else known["x"], y=known["y"])
    found = driftc.compile(
        tmp_path / "net.tflite", calibrate=tmp_path / "known.npz", learn="last", learn_keep=1, learn_passes=1,
        learn_store=8 * 61, measure=False,
    )  # fmt: skip
    assert found.lowered.learned is not None
    rows = found.lowered.learned.classifier.references
    assert {row.tobytes() for row in rows} <= {x.tobytes() for x in known["x"]}
    compared(found, "host")


def taught(found: Compiled) -> tuple[float, float]:
    """Shares right of four old and two new classes, once both are learnt."""
    specification = Specification(found.lowered)

    def right(first: int, classes: int) -> float:
        test = images(24, classes, seed=9, first=first)
        decided = [int(np.argmax(specification(Event(Kind.INFER, 0, (x[None],))).outputs[0])) for x in test["x"]]
        return float(np.mean(np.array(decided) == test["y"]))

    for first, classes in ((0, 4), (4, 2)):
        given = images(4 * classes, classes, first=first)
        for x, y in zip(given["x"], given["y"], strict=True):
            assert specification(Event(Kind.ADD, int(y), (x[None],))).status == codes.OK
        assert specification(Event(Kind.STEP, MANY)).status == 0
    return right(0, 4), right(4, 2)


def test_it_learns_what_the_dense_layer_alone_cannot(tmp_path: Path) -> None:
    """A network of random weights learns the classes that it was said to know, then two more."""
    last = learning_last(tmp_path, convolving("residual"), learn_passes=10, learn_store=40 * 61, learn_guard=False)
    dense = driftc.compile(
        tmp_path / "net.tflite", calibrate=tmp_path / "known.npz", learn="classifier", learn_classes=6,
        learn_passes=10, learn_guard=False, measure=False,
    )  # fmt: skip
    assert min(taught(last)) >= 0.85
    assert max(taught(dense)) <= 0.6


class InFloat:
    """The same in float64: a convolution, ReLU, mean and softmax regression, SGD on the last two from int8 inputs."""

    def __init__(self, found: Compiled) -> None:
        assert found.lowered.learned is not None
        lesson, graph = found.lowered.learned.classifier, found.lowered.learned.graph
        self.conv = next(op for op in graph.operators if isinstance(op, TrainedConv))
        self.rate, self.conv_rate = lesson.rate, lesson.rates[0]
        layer, (y,) = self.conv.layer, self.conv.outputs
        self.scales = layer.quantization.scale.astype(np.float64)
        self.unit, self.zero = float(layer.inputs[0].scale), layer.inputs[0].zero_point
        self.top = float(y.scale) * (127 - y.zero_point)
        self.filters: NDArray[np.float64] = np.zeros((0, 0))
        self.bias: NDArray[np.float64] = np.zeros(0)
        self.weights: NDArray[np.float64] = np.zeros(0)
        self.offsets: NDArray[np.float64] = np.zeros(0)

    def begin(self, values: dict[str, NDArray[Any]], name: str, rows: NDArray[np.float64], feature: float) -> None:
        """From the masters."""
        self.filters = values[f"{name} masters"][:, 0, 0] / 2.0**16 * self.scales[:, None]
        self.bias = values[f"{name} bias masters"] / 2.0**4 * self.scales * self.unit
        self.weights = values["masters"] / 2.0**16 * rows[:, None]
        self.offsets = values["bias masters"] / 2.0**4 * rows * feature

    def step(self, x: NDArray[np.int8], label: int) -> NDArray[np.float64]:
        """The logits before it."""
        u = (x.reshape(-1, self.filters.shape[1]).astype(np.float64) - self.zero) * self.unit
        sums = u @ self.filters.T + self.bias
        live = (sums > 0) & (sums < self.top)
        f = np.clip(sums, 0, self.top).mean(axis=0)
        logits = self.weights @ f + self.offsets
        p = np.exp(logits - logits.max())
        p /= p.sum()
        if label >= 0:
            p[label] -= 1
            e = self.weights.T @ p / len(u)
            self.filters -= self.conv_rate * (live * e).T @ u
            self.bias -= self.conv_rate * (live * e).sum(axis=0)
            self.weights -= self.rate * np.outer(p, f)
            self.offsets -= self.rate * p
        return np.asarray(logits, np.float64)


def test_integers_follow_float(tmp_path: Path) -> None:
    """From the same weights each step moves the convolution as it would in float64, and they decide alike."""
    found = learning_last(tmp_path, convolving(channels=16), learn_guard=False, learn_rate=0.02, learn_classes=4)
    assert found.lowered.learned is not None
    learned = found.lowered.learned
    learner, real = learned.learner(), InFloat(found)
    dense = learnable(widened(found.lowered.source, learned.classifier.reach))
    rows, feature = dense.quantization.scale.astype(np.float64), float(dense.inputs[0].scale)
    learner.load_masters()
    name, agree, alike = real.conv.name, [], []
    given = images(40, 4, seed=6)
    for x, y in zip(given["x"], given["y"], strict=True):
        real.begin(learner.values, name, rows, feature)
        before = real.filters.copy()
        cut = learner.traced(x, int(y))[real.conv.inputs[0].name]
        logits = real.step(cut, int(y))
        agree.append(int(np.argmax(logits)) == learner.backward(x, int(y)))
        after = learner.values[f"{name} masters"][:, 0, 0] / 2.0**16 * real.scales[:, None]
        moved, wanted = (after - before).reshape(-1), (real.filters - before).reshape(-1)
        length = float(np.linalg.norm(moved) * np.linalg.norm(wanted))
        if np.linalg.norm(wanted) > real.scales.max():
            alike.append(float(moved @ wanted) / length)
            assert 0.9 < np.linalg.norm(moved) / np.linalg.norm(wanted) < 1.1
    assert np.mean(agree) >= 0.95
    assert len(alike) > 10 and np.mean(alike) > 0.99


def test_a_sample_is_what_is_smaller(tmp_path: Path) -> None:
    """The input of 60 bytes, or 15 channels of what a strided network leaves of it; rows are not kept."""
    m = ModelBuilder()
    random = np.random.default_rng(1)
    x = m.input("x", (1, 6, 5, 2), scale=0.05, zero_point=3)
    for number, stride in enumerate((3, 1)):
        filters = random.integers(-127, 128, (4, 3, 3, x.shape[3]), dtype=np.int8)
        x = m.conv_2d(
            x, filters, weight_scale=0.01, stride=stride, activation=Activation.RELU, out_scale=0.05,
            out_zero_point=-128, name=f"conv_{number}",
        )  # fmt: skip
    x = m.mean(x, (1, 2), out_scale=0.05, out_zero_point=-128, name="pool")
    m.output(m.fully_connected(x, np.eye(3, 4, dtype=np.int8) * 99, weight_scale=0.01, out_scale=0.1, name="dense"))
    (tmp_path / "net.tflite").write_bytes(m.build())
    np.savez(tmp_path / "known.npz", **images(24, 3))
    for feed in (None, "rows"):
        found = driftc.compile(
            tmp_path / "net.tflite", calibrate=tmp_path / "known.npz", learn="last", learn_passes=1, learn_store=170,
            learn_keep=1, measure=False, feed=feed,
        )  # fmt: skip
        assert found.lowered.learned is not None
        assert found.lowered.learned.classifier.references.shape == (3, 16)
        assert any("stored as what 'conv_1' reads, 16 B" in note for note in found.notes)
        compared(found, "host")


def test_rows_that_are_fed(tmp_path: Path) -> None:
    """What the tail reads is stored then, though the input is smaller; with two of those, it is refused."""
    found = learning_last(tmp_path, feed="rows", learn_passes=1, learn_store=241 * 8, learn_keep=1)
    assert any("240 B" in note for note in found.notes)
    compared(found, "host")
    with pytest.raises(ModelError, match=r"net.tflite: .*'last'.*--feed rows.*classifier"):
        learning_last(tmp_path, convolving("projected"), feed="rows")


def refused(tmp_path: Path, m: ModelBuilder, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        learning_last(tmp_path, m.build(), 3)


def test_tails_without_a_gradient(tmp_path: Path) -> None:
    weights = np.ones((3, 4), np.int8)
    m = ModelBuilder()
    x = m.input("x", (1, 6, 5, 2), scale=0.05)
    x = m.conv_2d(x, np.ones((4, 1, 1, 2), np.int8), weight_scale=0.01, out_scale=0.1, name="conv")
    x = m.mean(m.logistic(x, name="sigmoid"), (1, 2), out_scale=0.1, name="mean")
    m.output(m.fully_connected(x, weights, weight_scale=0.01, out_scale=0.1, name="dense"))
    refused(tmp_path, m, r"LOGISTIC 'sigmoid' lies between .*no gradient")
    m = ModelBuilder()
    x = m.input("x", (1, 6, 5, 2), scale=0.05)
    y = m.mean(x, (1, 2), out_scale=0.1, name="mean")
    m.output(m.fully_connected(y, np.ones((3, 2), np.int8), weight_scale=0.01, out_scale=0.1, name="dense"))
    refused(tmp_path, m, r"'dense'.*no convolution|'dense'.*there is none")


def test_maps_and_several_outputs(tmp_path: Path) -> None:
    """A network that segments, and one with two heads: what learns decides one class."""
    m = ModelBuilder()
    x = m.input("x", (1, 6, 5, 2), scale=0.05)
    m.output(m.conv_2d(x, np.ones((3, 1, 1, 2), np.int8), weight_scale=0.01, out_scale=0.1, name="map"))
    refused(tmp_path, m, r"CONV_2D 'map'.*dense layer that decides")
    m = ModelBuilder()
    x = m.input("x", (1, 6, 5, 2), scale=0.05)
    x = m.mean(x, (1, 2), out_scale=0.1, name="mean")
    for name in ("boxes", "scores"):
        m.output(m.fully_connected(x, np.ones((3, 2), np.int8), weight_scale=0.01, out_scale=0.1, name=name))
    refused(tmp_path, m, "2 outputs")


def test_another_models_lesson(tmp_path: Path) -> None:
    learning_last(tmp_path).write(tmp_path / "net")
    path = tmp_path / "net" / LESSON
    data = json.loads(path.read_text())
    changes: tuple[dict[str, Any], ...] = (
        {"layers": ["conv"]}, {"layers": []}, {"sample": "y"}, {"rates": [0.1, 0.1]}, {"rates": ["a"]},
        {"layers": ["conv_2d_last", 3]}, {"references": [row[:-1] for row in data["references"]]},
    )  # fmt: skip
    for change in changes:
        path.write_text(json.dumps(data | change))
        with pytest.raises(DataError, match="compile"):
            Compiled.load(tmp_path / "net")
    path.write_text(json.dumps(data))
    assert Compiled.load(tmp_path / "net").lowered.learned is not None


def test_frozen_weights_are_there_once(tmp_path: Path) -> None:
    """The step reads them where the model has them; what it reads alone is counted, as it is in the file."""
    found = learning_last(tmp_path)
    found.write(tmp_path / "net")
    step = (tmp_path / "net" / "net_backward_weights.h").read_text()
    assert "extern const int8_t frozen_weights[" in step and "static const int8_t frozen_weights" not in step
    learned = found.lowered.learned
    assert learned is not None
    update = next(op for op in learned.graph.operators if isinstance(op, ConvUpdate))
    own = update.rate.nbytes + update.bias_rate.nbytes
    assert 0 < own <= learned.constant_bytes - learned.lesson.constant_bytes <= own + 96  # and of the dense layer


def test_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(convolving("residual"))
    np.savez(tmp_path / "known.npz", **images(24, 4))
    np.savez(tmp_path / "new.npz", **images(16, 2, first=4))
    options = ("--learn", "last", "--learn-classes", "6", "--learn-passes", "6", "--no-measure")
    report = driftc_json("compile", "net.tflite", *options, "--calibrate", "known.npz", cwd=tmp_path)
    assert report["learning"]["convolutions"] == ["last"]
    assert report["learning"]["features"] == 60
    assert report["learning"]["weight_bytes"] == 5 * (6 * 8 + 9 * 8 * 8) + 8 * (6 + 8)
    assert "bit-exact" in command("verify", "net", "--learn", "--engine", "host", cwd=tmp_path).stdout
    found = json.loads(command("simulate", "net", "--learn", "new.npz", "--json", cwd=tmp_path).stdout)
    assert found["trained_bytes"] == report["learning"]["weight_bytes"]
    assert found["rounds"][-1]["scores"]["new"] > found["before"]["new"] == 0


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_strict_on_both_compilers(tmp_path: Path, compiler: str) -> None:
    """And linked: what is lent has one definition, in a package too."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    held: dict[str, Any] = {"learn": "lightcl", "learn_hold": 0.01} if compiler == "gcc" else {}
    learning_last(tmp_path, convolving("projected", channels=6), **held).write(tmp_path / "net")
    command("export", "net", "--to", "cmake", "-o", "package", cwd=tmp_path)
    (tmp_path / "main.c").write_text(
        '#include "net_learn.h"\nNET_STATIC_MEMORY(memory);\nint main(void)\n{\n    static net_t net;\n'
        "    static net_learn_t learn;\n\n"
        "    return net_init(&net, &memory) || net_learn_init(&learn, &net, &memory) ||\n"
        "           net_learn_step(&learn) >= 0;\n}\n"
    )
    for folder in ("net", "package/src"):
        sources = [str(path) for path in (tmp_path / folder).glob("*.c") if "selftest" not in path.name]
        flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror"]
        where = [f"-I{folder}", "-Ipackage/include"]
        run = [compiler, *flags, *where, "main.c", *sources, "-o", "program"]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert subprocess.run([str(tmp_path / "program")], check=False).returncode == 0
