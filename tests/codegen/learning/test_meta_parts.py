"""Meta networks at the ends of parts: the gradient through frozen layers is that of float64, and all engines agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_models import adapts, parted, pooled
from numpy.typing import NDArray

import driftc
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import DriftcError, UsageError
from driftc.codegen.kernels.packed import ORDERS as PACKED
from driftc.codegen.kernels.packed import in_order
from driftc.codegen.learning.lesson import Meta
from driftc.codegen.operators.adapt.adapt_affine import AdaptAffine
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.learn.conv_errors import ConvErrors
from driftc.codegen.operators.learn.map_meta import MapUpdate, MetaMap, stepped
from driftc.codegen.operators.learn.masks import LiveBits
from driftc.codegen.operators.learn.meta import UNITY
from driftc.codegen.operators.learn.meta_update import LEARNT, RETURNED
from driftc.simulator.engines import engine
from driftc.simulator.learning import Event, Kind, MetaSpecification, verify_learning
from driftc.simulator.reference import GraphRun

Values = dict[str, NDArray[Any]]
CORES = ("cortex-m0plus", "cortex-m4", "cortex-m55", "rv32imc")
SIZE = (7, 6)
FAST = 0.02


def inputs(count: int, seed: int = 0) -> NDArray[np.int8]:
    random = np.random.default_rng(seed)
    x = random.integers(-128, 128, (count, 1, 1, 3)) + random.integers(-60, 61, (count, *SIZE, 3))
    found: NDArray[np.int8] = np.clip(x, -128, 127).astype(np.int8)
    return found


def balanced(folder: Path, **shape: Any) -> bytes:
    """`parted`, of which each class is decided about as often."""
    path = folder / "level.tflite"
    path.write_bytes(parted(**shape))
    model = driftc.compile(path, measure=False).lowered.model
    dense = next(op for op in model.operators if isinstance(op, FullyConnected))
    assert dense.weights.data is not None
    run = GraphRun(model)
    features = np.array([run.run((x[None],))[dense.inputs[0].name].reshape(-1) for x in inputs(60, 7)], np.int64)
    level = dense.weights.data.astype(np.int64) @ (features - dense.inputs[0].zero_point).mean(axis=0)
    return parted(**shape, level=-np.rint(level).astype(np.int64))


def events(count: int = 40, seed: int = 0) -> list[Event]:
    """Learnt from one by one; in between saved and loaded, refused, and reset."""
    found = [Event(Kind.AGAIN)]
    for number, x in enumerate(inputs(count, seed)):
        found.append(Event(Kind.ADD, 0, (x[None],)))
        found += [Event(Kind.MOVE), Event(Kind.AGAIN)] if number % 16 == 15 else []
        found += [Event(Kind.INFER, 0, (x[None],)), Event(Kind.AGAIN)] if number % 8 == 3 else []
    return [*found, Event(Kind.RESET), *found[:9]]


def compiled(folder: Path, model: bytes | None = None, parts: int = 3, **options: Any) -> Compiled:
    chosen = {"learn_rate": FAST, **options}
    return adapts(folder, balanced(folder) if model is None else model, learn_parts=parts, **chosen)


def live(folder: Path, **options: Any) -> Compiled:
    np.savez(folder / "known.npz", x=inputs(40, 5), y=np.arange(40) % 5)
    return compiled(folder, adapt="fixed", calibrate=folder / "known.npz", **options)


def agree(found: Compiled, *names: str, count: int = 24) -> None:
    """Outputs, answers and all states after each event; and something was learnt at every end."""
    given, specification = events(count), MetaSpecification(found.lowered)
    outcomes = [specification(event) for event in given]
    assert LEARNT in {outcome.status for outcome in outcomes}
    for name, value in outcomes[0].states.items():
        if name.startswith(("gains", "offsets")):
            assert any(not np.array_equal(value, outcome.states[name]) for outcome in outcomes), name
    for name in names:
        chosen = engine(name, **({"sanitize": found.program().target.cc != "zig"} if name == "host" else {}))
        if absent := chosen.missing_for(found.program().target.core):
            pytest.skip(f"engine {name}: {absent}")
        _, difference = verify_learning(found.lowered, found.program(), [chosen], given)
        assert difference is None, str(difference)


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_on_this_machine(tmp_path: Path, parts: int) -> None:
    agree(compiled(tmp_path, parts=parts), "host")


def test_live_layers_on_this_machine(tmp_path: Path) -> None:
    agree(live(tmp_path, parts=4), "host")


@pytest.mark.parametrize(("channels", "multiple"), [(5, 1), (8, 1), (3, 2)])
def test_other_shapes(tmp_path: Path, channels: int, multiple: int) -> None:
    agree(compiled(tmp_path, balanced(tmp_path, channels=channels, multiple=multiple)), "host")


@pytest.mark.parametrize("core", CORES)
def test_on_emulated_cores(tmp_path: Path, core: str) -> None:
    name = "unicorn" if core in ("cortex-m0plus", "cortex-m4") else "qemu"
    make = live if core == "cortex-m4" else compiled
    agree(make(tmp_path, parts=4, core=core), name, count=20)


@pytest.mark.parametrize("make", [compiled, live])
def test_untaught_it_is_the_network_without_it(tmp_path: Path, make: Any) -> None:
    """Every tensor that both have, byte for byte."""
    found = make(tmp_path, parts=4)
    options: dict[str, Any] = {"adapt": "fixed", "calibrate": tmp_path / "known.npz"} if make is live else {}
    plain = driftc.compile(tmp_path / "net.tflite", measure=False, **options).lowered.model
    for x in inputs(10):
        with_it, without = GraphRun(found.lowered.model).run((x[None],)), GraphRun(plain).run((x[None],))
        for name, value in without.items():
            assert name not in with_it or np.array_equal(with_it[name], value), name
        assert plain.outputs[0].name in with_it


def test_one_part_is_the_default(tmp_path: Path) -> None:
    chosen: tuple[dict[str, Any], ...] = ({}, {"learn_parts": 1})
    both = [adapts(tmp_path, parted(), **options).sources for options in chosen]
    assert both[0] == both[1]


def traced(found: Compiled) -> tuple[Values, tuple[Operator, ...]]:
    """The values of the first step that learns, with gains and offsets away from the identity, and its operators."""
    assert found.lowered.learned is not None
    graph, specification = found.lowered.learned.graph, MetaSpecification(found.lowered)
    random, learner = np.random.default_rng(1), specification.learner
    for name, value in learner.values.items():
        if name.startswith("gains"):
            learner.values[name] = (value + random.integers(-UNITY // 4, UNITY // 4, value.shape)).astype(np.int32)
        elif name.startswith("offsets"):
            learner.values[name] = random.integers(-(2**21), 2**21, value.shape).astype(np.int32)
    for x in inputs(200, 3):
        specification(Event(Kind.INFER, 0, (x[None],)))
        values: Values = {state.tensor.name: learner.values[state.tensor.name.split("/")[-1]] for state in graph.states}
        for operator in graph.operators:
            given = [values[tensor.name] for tensor in operator.inputs]
            values |= dict(zip((t.name for t in operator.outputs), operator.spec(*given), strict=True))
        if values["learn/told"][1] == LEARNT:
            return values, graph.operators
    raise AssertionError("nothing was learnt from")


def pushed(operator: Operator, values: Values, moved: Values) -> None:
    """How the real output moves with the real inputs, what the activation clamped apart; multipliers do not."""
    given = [moved[t.name] for t in operator.inputs if t.name in moved]
    y = operator.outputs[0]
    if not given or isinstance(operator, LiveBits):
        return
    if isinstance(operator, MetaMap):
        moved[y.name] = given[0] * values[operator.inputs[1].name] / UNITY
        return
    if isinstance(operator, AdaptAffine):
        x, multiplier, _ = operator.inputs
        assert x.quantization is not None
        shift = 0 if operator.shift is None else operator.shift.astype(np.int64)
        slope = values[multiplier.name] / 2.0 ** (17 + shift) * float(y.scale) / x.quantization.scale
        found, bounds = given[0] * slope, operator.bounds
    elif isinstance(operator, Weighted):
        scale = np.broadcast_to(operator.quantization.scale.astype(np.float64), (operator.channels,))
        found, bounds = operator.float_sums(given[0]) * scale, operator.range
    else:
        assert isinstance(operator, Add)
        found, bounds = sum(given), operator.range
    at = values[y.name]
    moved[y.name] = np.where((at > bounds[0]) & (at < bounds[1]), found, 0)


@pytest.mark.parametrize("make", [compiled, live])
def test_the_gradient_is_that_of_float64(tmp_path: Path, make: Any) -> None:
    """Forward, channel by channel: how the pooled features move with a gain or an offset, and with them the loss."""
    found = make(tmp_path, parts=4)
    values, operators = traced(found)
    updates = [op for op in operators if isinstance(op, MapUpdate)]
    ends = [op for op in operators if isinstance(op, MetaMap)]
    assert len(updates) == len(ends) == 3
    last = next(op for op in found.lowered.source.operators if op.name == "pool").inputs[0]
    through = values["learn/through"].reshape(-1) * 2.0 ** int(values["learn/info"][0])
    gains = values[next(name for name in values if name.endswith("/gains"))] / UNITY
    for end in ends:
        update = next(op for op in updates if op.inputs[0] is end.inputs[1])
        x = (values[end.inputs[0].name] - end.inputs[0].zero_point) * float(end.inputs[0].scale)
        for n, name in enumerate(("gain", "offset")):
            real = []
            for channel in range(update.channels):
                start = np.zeros(x.shape)
                start[..., channel] = x[..., channel] if name == "gain" else 1.0
                moved: Values = {end.outputs[0].name: start}
                for operator in operators[operators.index(end) + 1 :]:
                    if last.name in moved:
                        break
                    if operator.kind not in ("META_UPDATE", "ENTROPY_GRADIENT"):
                        pushed(operator, values, moved)
                real.append(float((moved[last.name].mean(axis=(0, 1, 2)) * gains * through).sum()))
            e = np.broadcast_to(values[update.inputs[3].name].astype(np.int64), x.shape)
            power = 2.0 ** (int(values[update.inputs[4].name][0]) - 24) / (last.hwc[0] * last.hwc[1])
            integers = (e * (x if n == 0 else 1)).sum(axis=(0, 1, 2)) * power
            scale = np.abs(real).max()
            assert scale > 0
            assert np.abs(integers - real).max() < 2e-3 * scale, (end.name, name)


def test_a_step_goes_against_it(tmp_path: Path) -> None:
    """MAP_UPDATE in real numbers: lr times the sums above, and the L1 by the sign of what the map adds."""
    values, operators = traced(compiled(tmp_path, parts=2))
    (update,) = (op for op in operators if isinstance(op, MapUpdate))
    gains, offsets, x, errors, exponent, _ = (values[tensor.name] for tensor in update.inputs)
    unit = float(update.inputs[2].scale)
    real = (x.astype(np.float64) - update.inputs[2].zero_point).reshape(-1, update.channels) * unit
    e = np.broadcast_to(errors.astype(np.float64).reshape(-1, update.channels), real.shape)
    added = (gains / UNITY - 1) * real + offsets / 2.0**20 * unit
    hold, scale = 8.0 / real.size, 0.12 * 2.0 ** (int(exponent[0]) - 27 - 24)  # of the dense layer's weights
    pixels = next(op for op in operators if op.kind == "META_UPDATE").pixels  # type: ignore[attr-defined]
    for n, (of, one, name) in enumerate(((real, 1.0, "gains"), (np.ones(real.shape), unit, "offsets"))):
        step = FAST * ((e * of).sum(axis=0) * scale / pixels + hold * (np.sign(added) * of).sum(axis=0)) / one
        before, after = (gains, offsets)[n], values[update.outputs[n].name]
        found = (before.astype(np.float64) - after) / (UNITY if name == "gains" else 2.0**20)
        assert np.abs(found - step).max() < 2e-3 * np.abs(step).max() + 2.0**-19, name


def test_returned_and_closed(tmp_path: Path) -> None:
    """Where nothing is learnt nothing changes; where the pooled map returns, all do."""
    values, operators = traced(compiled(tmp_path, parts=2))
    (update,) = (op for op in operators if isinstance(op, MapUpdate))
    given = [values[tensor.name] for tensor in update.inputs]
    closed = update.spec(*given[:-1], np.array([3, 0], np.int32))
    assert all(np.array_equal(a, b) for a, b in zip(closed, given[:2], strict=True))
    gains, offsets = update.spec(*given[:-1], np.array([3, RETURNED], np.int32))
    assert np.all(gains == UNITY) and not offsets.any()


@pytest.mark.parametrize(("down", "expected"), [(63, 0), (200, 0), (3, 1 << 30), (-200, 1 << 30), (50, 64)])
def test_steps_of_any_size(down: int, expected: int) -> None:
    assert stepped(np.array([1 << 42]), 1 << 14, down)[0] == expected
    assert stepped(np.array([-(1 << 42)]), 1 << 14, down)[0] == -expected


def test_it_returns_on_engines(tmp_path: Path) -> None:
    found = compiled(tmp_path, parts=2, learn_rate=0.1, core="cortex-m4")
    given = [Event(Kind.ADD, 0, (x[None],)) for x in inputs(100)]
    specification = MetaSpecification(found.lowered)
    status = [specification(event).status for event in given]
    first = status.index(RETURNED)
    for name in ("host", "unicorn"):
        _, difference = verify_learning(found.lowered, found.program(), [engine(name)], given[: first + 10])
        assert difference is None, str(difference)


def test_errors_are_masked_by_bits(tmp_path: Path) -> None:
    """A bit for each value behind an activation, of layers that depend on the first end alone."""
    found = compiled(tmp_path, parts=2)
    assert found.lowered.learned is not None
    operators = found.lowered.learned.graph.operators
    bits = [op for op in operators if isinstance(op, LiveBits)]
    assert [op.inputs[0].name for op in bits] == ["depthwise", "pointwise"]
    assert bits[0].outputs[0].size == -(-bits[0].inputs[0].size // 8)
    assert len([op for op in operators if isinstance(op, ConvErrors)]) == 2


ORDERS = {"cortex-m0plus": "plain", "cortex-m4": "twins", "cortex-m55": "vectors", "rv32imc": "blocked"}


@pytest.mark.parametrize("core", CORES)
def test_weights_are_in_flash_once(tmp_path: Path, core: str) -> None:
    """Errors flow back by those of the forward layers, in whatever order its kernels have them: the same bytes."""
    found = compiled(tmp_path, balanced(tmp_path, channels=16), parts=4, core=core)
    learned = found.lowered.learned
    assert learned is not None
    back = [op for op in learned.graph.operators if isinstance(op, ConvErrors)]
    shared = {op.name for op in back if f"{op.name}_weights" in learned.lent}
    assert shared >= {op.name for op in back if isinstance(op.layer, Conv2D)} != set()
    assert ORDERS[core] in {op.order for op in back} <= {"plain", ORDERS[core]}
    for op in back:
        if op.name in shared:
            assert learned.lent[f"{op.name}_weights"].startswith(f"{op.layer.name}_")
    assert learned.constant_bytes < sum(op.weights.size for op in back) / 2
    text = found.sources[f"{learned.plan.name}_weights.h"]
    assert all(f"#define {name}_weights net_" in text for name in shared)
    agree(found, "unicorn" if core in ("cortex-m0plus", "cortex-m4") else "qemu", count=6)


@settings(max_examples=40, deadline=None)
@given(
    order=st.sampled_from(sorted(PACKED)), fours=st.integers(1, 4), kernel=st.sampled_from([(1, 1), (3, 3), (2, 5)]),
    depth=st.sampled_from([4, 8, 12, 16, 20, 48]), extreme=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_orders_of_weights(
    order: str, fours: int, kernel: tuple[int, int], depth: int, extreme: bool, seed: int
) -> None:
    """Where the C looks for the weight of each filter, tap and channel."""
    random, shape = np.random.default_rng(seed), (4 * fours, *kernel, depth)
    filters = (random.choice([-127, 127], shape) if extreme else random.integers(-127, 128, shape)).astype(np.int8)
    data = in_order(order, filters)
    if data is None:
        assert order == "vectors" and depth % 16
        return
    flat, block = data.reshape(-1).astype(np.int64), data.size * 4 // len(filters)
    for f in range(len(filters)):
        place = np.arange(kernel[0] * kernel[1] * depth).reshape(*kernel, depth)
        first, j = place - place % 4, place % 4
        start = f // 4 * block + (first // 16 * 64 + first % 16 if order == "vectors" else first * 4)
        if order == "twins":
            at = start + j % 2 * 8 + f % 4 // 2 * 4 + j // 2 * 2
            found = flat[at + 1] + (flat[at] < 0) if f % 2 else flat[at]
        else:
            found = flat[start + (f % 4 * 16 + j if order == "vectors" else j * 4 + f % 4)]
        assert np.array_equal(found, filters[f])


def test_both_arenas_are_told(tmp_path: Path) -> None:
    found = compiled(tmp_path, parts=4)
    told = found.report["learning"]
    assert told["parts"] == ["joined", "summed", "depthwise"]
    plain = adapts(tmp_path, parted())
    assert (
        told["inference_arena_bytes"]
        == plain.report["arena_bytes"]
        == plain.report["learning"]["inference_arena_bytes"]
    )
    assert 0 < told["step_arena_bytes"] != plain.report["learning"]["step_arena_bytes"]
    assert found.report["arena_bytes"] == max(told["step_arena_bytes"], told["inference_arena_bytes"])


def test_a_folder_remembers(tmp_path: Path) -> None:
    compiled(tmp_path).write(tmp_path / "net")
    again = Compiled.load(tmp_path / "net")
    assert again.edited() == []
    assert again.verify(random=2, engines=["numpy", "host"], learn=True).bit_exact


def test_what_is_refused(tmp_path: Path) -> None:
    cases: list[tuple[bytes, dict[str, Any], str]] = [
        (parted(), {"learn_parts": 5}, "--learn-parts 5: the model has 4 places"),
        (pooled(), {"learn_parts": 2}, "--learn-parts 2: the model has 1 places"),
        (parted(inside="max_pool"), {"learn_parts": 5}, "MAX_POOL_2D 'largest': --learn-parts has no gradient"),
        (parted(), {"learn_parts": 0}, "--learn-parts 0: needs to be from 1 to 64"),
        (parted(), {"learn_parts": 2, "feed": "rows"}, "--feed rows"),
        (parted(), {"learn_parts": 2, "adapt_running": 5}, "does not go with --adapt-running"),
        (parted(), {"learn_parts": True}, "wrong type"),
    ]
    for model, options, problem in cases:
        with pytest.raises(DriftcError, match=problem):
            adapts(tmp_path, model, **options)
    with pytest.raises(UsageError, match="--learn-parts belongs to --learn ecotta"):
        driftc.compile(tmp_path / "net.tflite", learn="classifier", learn_parts=2, measure=False)
    with pytest.raises(ValueError, match="'parts' must be a whole number"):
        Meta("", "pool", 0.002, parts=0)


def test_parts_that_end_behind_what_has_no_gradient(tmp_path: Path) -> None:
    """The last two parts lie behind the pooling."""
    agree(compiled(tmp_path, balanced(tmp_path, inside="max_pool"), parts=2), "host")


def test_streams(tmp_path: Path) -> None:
    found = compiled(tmp_path)
    x = inputs(60, 9)
    decided = [int(np.argmax(GraphRun(found.lowered.model).run((row[None],))["probabilities"])) for row in x]
    np.savez(tmp_path / "stream.npz", x=x, y=decided)
    told = found.adapt(tmp_path / "stream.npz")
    assert told.whole.plain == 1.0 and told.whole.learnt > 0
