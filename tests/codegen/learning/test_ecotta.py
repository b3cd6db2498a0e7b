"""A meta network that learns from its own decisions: the same on every engine, and bounded whatever it meets."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from commands import ROOT
from commands import driftc as command
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from learning_models import adapts, pooled
from models import ModelBuilder
from numpy.typing import NDArray

import driftc
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import DriftcError, ModelError, UsageError
from driftc.codegen.learning.ecotta import ENTROPY, HOLD, MetaLearner
from driftc.codegen.learning.learner import NO_SAMPLE
from driftc.codegen.learning.lesson import Meta
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.learn.entropy import AVERAGE_RATE, BALANCE, LEAST, MIXED, SHARE_RATE
from driftc.codegen.operators.learn.meta import UNITY
from driftc.codegen.operators.learn.meta_running import MetaNorm
from driftc.codegen.operators.learn.meta_update import FARTHEST, LEARNT, RETURNED, distance
from driftc.codegen.plan.call import static_calls
from driftc.codegen.samples import Samples
from driftc.simulator.engines import engine
from driftc.simulator.learning import Event, Kind, MetaSpecification, Outcome, every_event, verify_learning
from driftc.simulator.reference import GraphRun

CORES = ("cortex-m0plus", "cortex-m4", "cortex-m33", "cortex-m55", "rv32imc")


def samples(found: Compiled, count: int, seed: int = 0) -> Samples:
    """Inputs of which each is decided differently, as far as the network can."""
    random = np.random.default_rng(seed)
    shape = found.lowered.graph.inputs[0].shape
    x = random.integers(-128, 128, (count, 1, 1, 1, shape[3])) + random.integers(-20, 21, (count, *shape))
    rows: list[tuple[NDArray[Any], ...]] = [(np.clip(row, -128, 127).astype(np.int8).reshape(shape),) for row in x]
    return Samples(rows, [(None,)] * count)


def compared(found: Compiled, name: str, **options: Any) -> int:
    chosen, program = engine(name, **options), found.program()
    if absent := chosen.missing_for(program.target.core):
        pytest.skip(f"engine {name}: {absent}")
    events = every_event(found.lowered, samples(found, 40))
    count, difference = verify_learning(found.lowered, program, [chosen], events)
    assert difference is None, str(difference)
    return count


@pytest.mark.parametrize("running", [None, 4])
@pytest.mark.parametrize("mean", [True, False])
def test_on_this_machine(tmp_path: Path, mean: bool, running: int | None) -> None:
    found = adapts(tmp_path, pooled(mean=mean, per_row=mean), **({"adapt_running": running} if running else {}))
    assert compared(found, "host", sanitize=found.program().target.cc != "zig") > 150


@pytest.mark.parametrize("core", CORES)
def test_on_emulated_cores(tmp_path: Path, core: str) -> None:
    name = "unicorn" if core in ("cortex-m0plus", "cortex-m4", "cortex-m33") else "qemu"
    running: dict[str, Any] = {"adapt_running": 5} if core in ("cortex-m0plus", "rv32imc") else {}
    assert compared(adapts(tmp_path, core=core, **running), name) > 150


@pytest.mark.parametrize(("size", "mean"), [((12, 10), True), ((16, 17), False), ((24, 25), True)])
def test_four_channels_at_a_time(tmp_path: Path, size: tuple[int, int], mean: bool) -> None:
    """Sums of more points than 16 bits hold, and products that int32 does not."""
    model = pooled(6, 8, size=size, mean=mean, zero=-128 if mean else 0)
    found = adapts(tmp_path, model, core="cortex-m4", learn_rate=0.02)
    used = [call.kernel.name for call in static_calls(found.lowered.plan.program)]
    assert "dsp/pool_sums" in used
    events = every_event(found.lowered, samples(found, 20))[:90]
    for name in ("host", "unicorn"):
        _, difference = verify_learning(found.lowered, found.program(), [engine(name)], events)
        assert difference is None, str(difference)


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_pooled(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    channels, size = data.draw(st.integers(1, 9)), (data.draw(st.integers(1, 6)), data.draw(st.integers(1, 25)))
    model = pooled(
        data.draw(st.integers(3, 9)), channels, data.draw(st.integers(0, 99)),
        mean=data.draw(st.booleans()), softmax=data.draw(st.booleans()), per_row=data.draw(st.booleans()), size=size,
        zero=data.draw(st.sampled_from([-128, 0, 9])),
    )  # fmt: skip
    options: dict[str, Any] = {"learn_rate": data.draw(st.sampled_from([1e-4, 2e-3, 0.05]))}
    if (running := data.draw(st.sampled_from([None, 3, 6, 10]))) is not None:
        options["adapt_running"] = running
        options["learn_rate"] = data.draw(st.sampled_from([0, options["learn_rate"]]))
    try:
        found = adapts(tmp_path_factory.mktemp("net"), model, **options)
    except ModelError as refused:  # with few points the mean's scale is large beside the rate
        assert options["learn_rate"] == 0.05 and "the learning rate is out of range for its scales" in str(refused)
        reject()
    compared(found, "host")


@pytest.mark.parametrize("running", [{}, {"adapt_running": 3}, {"adapt_running": 7, "learn_rate": 0}])
@pytest.mark.parametrize("mean", [True, False])
def test_untaught_it_is_the_network_without_it(tmp_path: Path, mean: bool, running: dict[str, Any]) -> None:
    """Every tensor that both have, byte for byte."""
    path = tmp_path / "net.tflite"
    path.write_bytes(pooled(mean=mean))
    plain = driftc.compile(path, measure=False).lowered.model
    found = adapts(tmp_path, pooled(mean=mean), **running)
    for sample in samples(found, 10).quantized:
        with_it, without = GraphRun(found.lowered.model).run(sample), GraphRun(plain).run(sample)
        for name, value in without.items():
            assert name not in with_it or np.array_equal(with_it[name], value), name
        assert plain.outputs[0].name in with_it


class InFloat:
    """The algorithm in float64, from the same int8 logits and sums (learning.md, part 3, section 4)."""

    def __init__(self, found: Compiled, rate: float) -> None:
        model = found.lowered.source
        self.dense = next(op for op in model.operators if isinstance(op, FullyConnected))
        pool = next(op for op in model.operators if op.name == "pool")
        height, width, self.features = pool.inputs[0].hwc
        self.pixels, self.unit, self.rate = height * width, pool.inputs[0].scale, rate
        self.classes = self.dense.outputs[0].size
        self.a, self.b = np.ones(self.features), np.zeros(self.features)
        self.mean = np.full(self.classes, 1 / self.classes)
        self.share = np.full(self.classes, 1 / self.classes)

    def adapt(self, logits: NDArray[np.int8], sums: NDArray[np.int16]) -> bool:
        z = logits.reshape(-1).astype(np.float64) * self.dense.outputs[0].scale
        p = np.exp(z - z.max())
        p /= p.sum()
        x = z.max() - z
        most = self.share.max()
        self.share += ((np.arange(self.classes) == z.argmax()) - self.share) * (SHARE_RATE / 65536)
        middle = float(p @ x)
        entropy = middle + np.log(np.exp(z - z.max()).sum())
        logs = np.log(self.mean + LEAST / 32768)
        g = p * (x - middle) + BALANCE * p * (logs - p @ logs)
        self.mean += (p - self.mean) * (AVERAGE_RATE / 65536)
        if most >= MIXED / 32768 or entropy >= ENTROPY * np.log(self.classes):
            return False
        assert self.dense.weights.data is not None
        weights = self.dense.weights.data * self.dense.quantization.scale.astype(np.float64)[:, None]
        t = weights.T @ g
        f = sums.reshape(-1) / self.pixels * self.unit
        side = np.sign((self.a - 1) * f + self.b)
        self.a = np.clip(self.a - self.rate * (t * f + HOLD * side * f / self.features), -2, 2)
        self.b = np.clip(self.b - self.rate * (t + HOLD * side / self.features), -2, 2)
        return True


def test_integers_follow_float(tmp_path: Path) -> None:
    """Step by step from the integers' own state: the same gates open, and each map moves as in float."""
    rate = 2e-3
    found = adapts(tmp_path, pooled(8, 12, seed=5), learn_rate=rate)
    assert found.lowered.learned is not None
    learner, real = found.lowered.learned.meta_learner(), InFloat(found, rate)
    random = np.random.default_rng(3)
    opened = 0
    for _ in range(300):
        logits = random.integers(-60, 0, (1, 8)).astype(np.int8)
        logits[0, random.integers(8)] = random.integers(20, 80)
        sums = random.integers(0, 255 * 20, (1, 12)).astype(np.int16)
        before = {name: value.astype(np.float64) for name, value in learner.values.items()}
        real.a, real.b = before["gains"] / UNITY, before["offsets"] / 2.0**20 * real.unit
        real.mean, real.share = before["means"] / 32768, before["shares"] / 32768
        learner.infer(sums=sums, logits=logits)
        status = learner.adapt()
        assert bool(status) == real.adapt(logits, sums)
        opened += status
        moved = np.abs(real.a - before["gains"] / UNITY).max()
        assert np.abs(learner.values["gains"] / UNITY - real.a).max() <= 0.01 * moved + 2.0**-22
        shifted = np.abs(real.b - before["offsets"] / 2.0**20 * real.unit).max()
        assert np.abs(learner.values["offsets"] / 2.0**20 * real.unit - real.b).max() <= 0.01 * shifted + 2.0**-18
        assert np.abs(learner.values["means"] / 32768 - real.mean).max() < 2.0**-14
    assert opened > 100


def test_one_class_after_the_other_changes_nothing(tmp_path: Path) -> None:
    """While one class has most of the decisions; certain and mixed samples are learnt from, uncertain ones are not."""
    found = adapts(tmp_path)
    assert found.lowered.learned is not None
    learner: MetaLearner = found.lowered.learned.meta_learner()

    def met(best: int, margin: int) -> int:
        logits = np.full((1, 5), -40, np.int8)
        logits[0, best] = -40 + margin
        learner.infer(sums=np.full((1, 6), 900, np.int16), logits=logits)
        return learner.adapt()

    for _ in range(30):
        met(2, 90)
    before = learner.values["gains"].copy()
    assert [met(2, 90) for _ in range(50)] == [0] * 50
    assert np.array_equal(learner.values["gains"], before)
    for number in range(40):
        met(number % 5, 90)
    assert [met(number % 5, 90) for number in range(5)] == [1] * 5
    assert [met(number % 5, 3) for number in range(5)] == [0] * 5
    assert learner.adapt() == NO_SAMPLE


def stated(found: Compiled, rate: float) -> float:
    """What one sample moves an offset by at most, as docs/learning.md says; a gain by that times its feature."""
    dense = next(op for op in found.lowered.source.operators if isinstance(op, FullyConnected))
    assert dense.weights.data is not None
    largest = float(np.abs(dense.weights.data * dense.quantization.scale.reshape(-1, 1)).max())
    classes, features = dense.weights.shape
    return float(rate * (largest * (0.8 * np.log(classes) + 17.3) + HOLD / features))


def moves(found: Compiled, outcomes: list[Outcome], rate: float) -> NDArray[np.float64]:
    """Of each sample: how far gains and offsets moved, as a share of what is stated; but for those that returned."""
    pool = next(op for op in found.lowered.source.operators if op.name == "pool")
    unit, pixels = float(pool.inputs[0].scale), pool.inputs[0].hwc[0] * pool.inputs[0].hwc[1]
    most, shares = stated(found, rate), []
    for before, after in pairwise(outcomes):
        if after.status == RETURNED:
            continue
        states = [{name: s.states[name].astype(np.float64) for name in ("gains", "offsets")} for s in (before, after)]
        shifted = np.abs(states[1]["offsets"] - states[0]["offsets"]) / 2.0**20 * unit
        feature = np.abs(after.states["sums"].reshape(-1).astype(np.float64)) / pixels * unit
        scaled = np.abs(states[1]["gains"] - states[0]["gains"]) / UNITY
        slack = 2.0**-17
        shares.append(max(shifted.max() / most - slack, ((scaled - slack) / (most * feature + slack)).max()))
    return np.array(shares)


@pytest.mark.parametrize("rate", [0.002, 0.05, 0.2])
def test_hostile_samples_change_no_more_than_is_stated(tmp_path: Path, rate: float) -> None:
    """Constant, saturated and random inputs among others, at rates that are far too high."""
    found = adapts(tmp_path, pooled(8, 12, seed=5), learn_rate=rate)
    random = np.random.default_rng(0)
    shape = found.lowered.graph.inputs[0].shape
    specification = MetaSpecification(found.lowered)
    outcomes = [specification(Event(Kind.RESET))]
    for number, x in enumerate(samples(found, 300).quantized):
        colours = random.integers(-128, 128, (1, 1, 1, shape[3])) + np.zeros(shape)
        foes = (colours, np.full(shape, 127), np.full(shape, -128), random.integers(-128, 128, shape))
        given = x if number % 2 else (foes[number // 2 % 4].astype(np.int8),)
        outcomes.append(specification(Event(Kind.ADD, 0, given)))
    found_shares = moves(found, outcomes, rate)
    assert 0.05 < found_shares.max() <= 1.001
    for outcome in outcomes:
        assert np.abs(outcome.states["gains"].astype(np.int64)).max() <= 2 * UNITY
        assert np.abs(outcome.states["offsets"] / 2.0**20 * 0.03).max() <= 2.0001
        assert outcome.states["distance"][0] < FARTHEST
    returned = [outcome for outcome in outcomes if outcome.status == RETURNED]
    assert bool(returned) == (rate == 0.2)
    for outcome in returned:
        assert np.array_equal(outcome.states["gains"], np.full(12, UNITY))
        assert not outcome.states["offsets"].any() and not outcome.states["distance"].any()


def test_it_returns_on_engines(tmp_path: Path) -> None:
    """Where it went too far: the same sample, the same bytes; and after that it learns again."""
    found = adapts(tmp_path, pooled(8, 12, seed=5), learn_rate=0.2, core="cortex-m4")
    events = [Event(Kind.ADD, 0, x) for x in samples(found, 200).quantized]
    specification = MetaSpecification(found.lowered)
    status = [specification(event).status for event in events]
    first = status.index(RETURNED)
    assert 1 in status[:first] and 1 in status[first:]
    for name in ("host", "unicorn"):
        _, difference = verify_learning(found.lowered, found.program(), [engine(name)], events[: first + 20])
        assert difference is None, str(difference)


@settings(max_examples=200, deadline=None)
@given(
    gains=st.lists(st.integers(-(2**25), 2**25 - 1), min_size=3, max_size=3),
    sums=st.lists(st.integers(-32767, 32767), min_size=3, max_size=3),
)
def test_the_distance_is_what_it_says(gains: list[int], sums: list[int]) -> None:
    apart = (np.array(gains) - UNITY) * np.array(sums)
    size = float(np.abs(sums).sum())
    real = min(1.0, float(np.abs(apart).sum()) / 2**24 / size) if size else 0.0
    assert abs(distance(apart, np.array(sums)) / 32768 - real) <= (1 / size if size else 0.0) + 2.0**-14


def in_a_row(found: Compiled, x: NDArray[Any], bests: list[int]) -> MetaLearner:
    """Each sample's statistics, under these decisions."""
    assert found.lowered.learned is not None
    learner = found.lowered.learned.meta_learner()
    for values, best in zip(x.astype(np.int64), bests, strict=True):
        logits = np.full((1, 5), -4, np.int8)
        logits[0, best] = -3
        sums = values.sum(axis=0).astype(np.int16).reshape(1, -1)
        squares = (values**2).sum(axis=0).astype(np.int32).reshape(1, -1)
        learner.infer(sums=sums, squares=squares, logits=logits)
        learner.adapt()
    return learner


def test_running_statistics_follow_the_stream(tmp_path: Path) -> None:
    """As in float64, towards what comes; back to the source while one class has most of the decisions."""
    found = adapts(tmp_path, adapt_running=4, learn_rate=0)
    assert found.lowered.learned is not None
    lesson = found.lowered.learned.lesson
    assert isinstance(lesson, Meta)
    random = np.random.default_rng(2)
    x = random.integers(0, [10, 40, 90, 160, 200, 256], (400, 20, 6))
    learner = in_a_row(found, x, [n % 5 for n in range(400)])
    centre, spread = np.array(lesson.centres) / 2.0**16, np.array(lesson.spreads) / 2.0**12
    for values in x:
        away = values.mean(axis=0) - centre
        centre = centre + away / 16
        spread = spread + (values.var(axis=0) + away**2 * (15 / 16) - spread) / 16
    assert np.abs(learner.values["centres"] / 2.0**16 - centre).max() < 0.001
    assert np.abs(learner.values["spreads"] / 2.0**12 - spread).max() < 0.01 * spread.max()
    assert np.abs(centre - x.mean(axis=(0, 1))).max() < 6
    assert "gains" not in learner.values
    few, back = in_a_row(found, x[:6], [3] * 6), in_a_row(found, x, [3] * 400)
    for name, source in (("centres", lesson.centres), ("spreads", lesson.spreads)):
        assert np.abs(back.values[name] - np.array(source)).max() <= 8  # halves of 2^4 stay
        assert np.abs(few.values[name] - np.array(source)).max() > 10_000


def test_running_statistics_normalise(tmp_path: Path) -> None:
    """A map of another mean and contrast becomes as the source's, within the clamp of the gain."""
    found = adapts(tmp_path, adapt_running=4)
    norm = next(op for op in found.lowered.model.operators if isinstance(op, MetaNorm))
    centre, spread = norm.source.astype(np.int64), np.array(found.lowered.learned.lesson.spreads)  # type: ignore[union-attr]
    sums = np.arange(100, 700, 100, dtype=np.int16).reshape(1, -1)
    (same,) = norm.spec(sums, centre, spread)
    assert np.array_equal(same, sums)
    (moved,) = norm.spec(sums, centre + (2 << 16), spread * 4)
    expected = (sums / 20 - centre / 2.0**16 - 2) * 0.5 + centre / 2.0**16
    there = spread > 1 << 14
    assert there.any() and np.abs(moved / 20 - expected)[0, there].max() < 0.1
    (least,) = norm.spec(sums, centre, np.full(6, 255**2 << 12))
    low = spread < (255**2 << 12) / 17
    middle = norm.pixels * centre / 2.0**16
    assert low.any() and np.abs(least - (middle + (sums - middle) / 4))[0, low].max() < 1


def test_what_is_refused(tmp_path: Path) -> None:
    cases: list[tuple[bytes, dict[str, Any], str]] = [
        (pooled(classes=2), {}, r"net.tflite: .*3 classes or more"),
        (pooled(classes=1024), {}, "1024 classes can overflow"),
        (pooled(), {"learn_classes": 9}, "--learn-rate, --learn-parts and --adapt-running alone"),
        (pooled(), {"adapt_running": 2}, "--adapt-running 2: needs to be from 3 to 10"),
        (pooled(), {"adapt_running": 5, "calibrate": None}, "--adapt-running: needs --calibrate"),
        (pooled(size=(182, 182)), {"adapt_running": 5}, "33124 values, which can overflow int32"),
        (pooled(), {"learn_rate": 1e-30}, "out of range"),
    ]
    for model, options, problem in cases:
        with pytest.raises(DriftcError, match=problem):
            adapts(tmp_path, model, **options)
    m = ModelBuilder()
    x = m.input("x", (1, 8), scale=0.05)
    m.output(m.fully_connected(x, np.ones((3, 8), np.int8), weight_scale=0.01, out_scale=0.1, name="dense"))
    with pytest.raises(DriftcError, match="global average pool"):
        adapts(tmp_path, m.build())
    with pytest.raises(UsageError, match="--adapt-running belongs to --learn ecotta"):
        driftc.compile(tmp_path / "net.tflite", learn="classifier", adapt_running=5, measure=False)
    with pytest.raises(UsageError, match="takes no labels"):
        found = adapts(tmp_path)
        np.savez(tmp_path / "x.npz", x=np.zeros((4, 1, 4, 5, 3), np.int8)[:, 0], y=np.arange(4))
        found.teach(tmp_path / "x.npz")


def test_a_folder_remembers(tmp_path: Path) -> None:
    adapts(tmp_path).write(tmp_path / "net")
    again = Compiled.load(tmp_path / "net")
    assert again.edited() == []
    assert again.verify(random=2, engines=["numpy", "host"], learn=True).bit_exact
    assert again.report["learning"]["method"] == "ecotta"


def mixed(found: Compiled, count: int) -> dict[str, Any]:
    """Samples that each class is decided of as evenly as the network does, and these decisions as labels."""
    given = samples(found, 30 * count).quantized
    run = GraphRun(found.lowered.model)
    decided = np.array([int(np.argmax(run.run(x)[found.lowered.graph.outputs[0].name])) for x in given])
    order = [np.flatnonzero(decided == label) for label in np.unique(decided)]
    chosen = [int(rows[turn]) for turn in range(count) for rows in order if turn < len(rows)][:count]
    return {"x": np.concatenate([given[n][0] for n in chosen]), "y": decided[chosen]}


def test_a_stream_on_the_command_line(tmp_path: Path) -> None:
    """By block, with learning and without; the labels decide the score and nothing else."""
    (tmp_path / "net.tflite").write_bytes(pooled())
    command("compile", "net.tflite", "--learn", "ecotta", "--no-measure", "-o", "net", cwd=tmp_path)
    found = Compiled.load(tmp_path / "net")
    stream = mixed(found, 50)
    np.savez(tmp_path / "stream.npz", **stream)
    printed = command("simulate", "net", "--stream", "stream.npz", "--stream-block", "20", "--json", cwd=tmp_path)
    told = json.loads(printed.stdout)
    schema = json.loads((ROOT / "docs" / "schemas" / "simulate-stream.json").read_text(encoding="utf-8"))
    jsonschema.validate(told, schema, cls=jsonschema.Draft202012Validator)
    assert [block["samples"] for block in told["blocks"]] == [20, 20, 10]
    assert told["whole"]["plain"] == 1.0
    assert told["whole"]["learnt"] == sum(block["learnt"] for block in told["blocks"]) > 0
    assert told["state_bytes"] == found.lowered.plan.state_bytes
    shown = command("simulate", "net", "--stream", "stream.npz", cwd=tmp_path).stdout
    assert "0 to 49" in shown and "learnt from" in shown
    np.savez(tmp_path / "other.npz", x=stream["x"], y=(stream["y"] + 1) % 5)
    other = found.adapt(tmp_path / "other.npz", block=20)
    assert other.whole.plain == 0.0
    assert [block.learnt for block in other.blocks] == [block["learnt"] for block in told["blocks"]]


def test_a_stream_is_decided_as_the_specification_does(tmp_path: Path) -> None:
    found = adapts(tmp_path, learn_rate=0.05)
    stream = mixed(found, 60)
    np.savez(tmp_path / "stream.npz", **stream)
    specification, right, became = MetaSpecification(found.lowered), [], []
    for x, label in zip(stream["x"], stream["y"], strict=True):
        outputs = specification(Event(Kind.INFER, 0, (x[None],))).outputs
        right.append(int(np.argmax(outputs[0])) == label)
        became.append(specification(Event(Kind.AGAIN)).status)
    told = found.adapt(tmp_path / "stream.npz")
    assert told.whole.adapted == np.mean(right)
    assert (told.whole.learnt, told.whole.returned) == (became.count(LEARNT), became.count(RETURNED))
    assert told.whole.learnt and told.whole.returned  # else one of them was not compared
    assert told.whole.adapted != told.whole.plain  # else nothing was compared
    if told.adapt_instructions is not None:
        assert told.inference_instructions is not None and 0 < told.adapt_instructions < 10**5


def test_streams_that_are_refused(tmp_path: Path) -> None:
    found = adapts(tmp_path)
    found.write(tmp_path / "net")
    x = samples(found, 4).quantized
    np.savez(tmp_path / "bare.npz", x=np.concatenate([row[0] for row in x]))
    np.savez(tmp_path / "far.npz", x=np.concatenate([row[0] for row in x]), y=np.arange(4) + 3)
    for name, problem in (("bare.npz", "needs labels"), ("far.npz", "0 to 4; the model has no others")):
        with pytest.raises(DriftcError, match=problem):
            found.adapt(tmp_path / name)
    for options, problem in (
        (["--stream-block", "3"], "belongs to --stream"),
        (["--stream", "far.npz", "--learn", "far.npz"], "no --learn or --data"),
        (["--stream", "far.npz", "--random", "3"], "no --random"),
    ):
        assert problem in command("simulate", "net", *options, cwd=tmp_path, code=2).stderr
    plain = driftc.compile(tmp_path / "net.tflite", measure=False)
    with pytest.raises(UsageError, match="compiled with --learn ecotta"):
        plain.adapt(tmp_path / "far.npz")
