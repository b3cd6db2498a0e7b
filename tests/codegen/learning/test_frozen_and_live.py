"""Errors through frozen layers between those that learn, and through live ones, whose gains and offsets learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_models import convolving, images, learning_last
from learnt import compared
from numpy.typing import NDArray

import driftc
from driftc.codegen.compiled import Compiled
from driftc.codegen.learning.layers import averages_all
from driftc.codegen.learning.tail import ancestors
from driftc.codegen.learning.trainable import learnable, widened
from driftc.codegen.operators.adapt.adapt_affine import AdaptAffine
from driftc.codegen.operators.adapt.live import Live
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.elementwise.add import Add
from driftc.codegen.operators.learn.conv_update import ConvUpdate
from driftc.codegen.operators.learn.cross_entropy import NO_LABEL, ONE
from driftc.codegen.operators.learn.masks import LiveBits, counted, packed
from driftc.codegen.operators.learn.norm_update import NormUpdate
from driftc.codegen.operators.learn.trained_conv import TrainedConv, filters_of
from driftc.codegen.operators.learn.trained_norm import TrainedNorm, gain_of
from driftc.codegen.operators.reduction.mean import Mean
from driftc.codegen.tensor import Quantization, Tensor
from driftc.simulator.learning import Event, Kind, Specification
from driftc.simulator.reference import GraphRun

Values = dict[str, NDArray[Any]]
CORES = ("cortex-m0plus", "cortex-m4", "cortex-m55", "rv32imc")
FROZEN: dict[str, tuple[str, dict[str, Any]]] = {
    "pointwise": ("projected", {"learn_layers": 2}),
    "depthwise": ("shortcut", {"learn_layers": 2}),
    "dense": ("hidden", {"learn_layers": 2}),
    "live": ("projected", {"learn_layers": 2, "adapt": "fixed", "adapt_layers": "skip"}),
}
LIVE: dict[str, tuple[str, dict[str, Any]]] = {
    "last": ("strided", {"adapt": "fixed"}),
    "two": ("residual", {"learn_layers": 2, "adapt": "fixed"}),
    "depthwise": ("depthwise", {"learn_layers": 2, "adapt": "fixed"}),
    "int16": ("strided", {"learn_layers": 2, "adapt": "fixed", "adapt_precision": "int16"}),
    "int32": ("depthwise", {"learn_layers": 2, "adapt": "fixed", "adapt_precision": "int32"}),
    "lean": ("strided", {"learn_layers": 2, "adapt": "lean"}),
    "above": ("strided", {"learn_layers": 2, "adapt": "fixed", "adapt_layers": "last"}),
    "below": ("pointwise", {"learn_layers": 2, "adapt": "fixed", "adapt_layers": "frozen"}),
}
ALL = {f"frozen {name}": case for name, case in FROZEN.items()} | {f"live {name}": case for name, case in LIVE.items()}


def made(folder: Path, case: str, **options: Any) -> Compiled:
    tail, more = ALL[case]
    chosen = {"learn_passes": 1, "learn_store": 8 * 61, "learn_keep": 1, **more, **options}
    return learning_last(folder, convolving(tail), **chosen)


@pytest.mark.parametrize("case", ALL)
def test_on_this_machine(tmp_path: Path, case: str) -> None:
    """With ASan and UBSan where the compiler has them."""
    found = made(tmp_path, case)
    assert compared(found, "host", sanitize=found.program().target.cc != "zig") > 200


@pytest.mark.parametrize("case", ["frozen depthwise", "live two"])
@pytest.mark.parametrize("core", CORES)
def test_on_emulated_cores(tmp_path: Path, core: str, case: str) -> None:
    found = made(tmp_path, case, core=core)
    assert compared(found, "unicorn" if core in ("cortex-m0plus", "cortex-m4") else "qemu") > 200


def test_with_masters_of_int16_and_little_ram(tmp_path: Path) -> None:
    """Of gains too; and with a step that computes again what it does not keep."""
    found = made(tmp_path, "live two", learn_masters=16, learn_ram=1850)
    assert found.lowered.learned is not None
    update = next(op for op in found.lowered.learned.graph.operators if isinstance(op, NormUpdate))
    assert update.narrow and update.inputs[0].dtype == np.int16
    assert compared(found, "host", sanitize=found.program().target.cc != "zig") > 200


@pytest.mark.parametrize("method", ["last", "lightcl"])
def test_live_channels_are_held(tmp_path: Path, method: str) -> None:
    """What they are held to is the layer with the gains and offsets that it was compiled with."""
    found = made(tmp_path, "live last", learn=method, learn_hold=2e-4)
    assert found.lowered.learned is not None
    kinds = [op.kind for op in found.lowered.learned.graph.operators]
    assert kinds.count("ADAPT_AFFINE") == 3 and kinds.count("CONV_2D") == 2 and "HOLD_ERRORS" in kinds
    assert compared(found, "host") > (200 if method == "last" else 20)


def step(found: Compiled, x: NDArray[Any], label: int) -> tuple[Values, tuple[Operator, ...]]:
    """Every tensor of a step, with gains and offsets that were learnt before, and its operators."""
    assert found.lowered.learned is not None
    learner = found.lowered.learned.learner()
    learner.load_masters()
    random = np.random.default_rng(4)
    learns = {op.learns for op in learner.step_operators if isinstance(op, NormUpdate)}
    for name in learns:
        for part, most in (("masters", 30 << 16), ("bias masters", 3 << 21)):
            values = learner.values[f"{name} {part}"]
            values[...] = random.integers(-most, most + 1, values.shape)
    return learner.traced(x, label), tuple(learner.step_operators)


class Forward:
    """How the real values of a step move with one parameter, in float64, by the chain rule from operator to operator.

    From the values that the integers have, so that the same are clamped; multipliers of live layers do not move.
    """

    def __init__(self, values: Values, operators: tuple[Operator, ...]) -> None:
        self.values, self.operators = values, operators

    def real(self, tensor: Tensor) -> NDArray[np.float64]:
        value: NDArray[np.float64] = (self.values[tensor.name] - np.float64(tensor.zero_point)) * tensor.scale
        return value

    def weights(self, op: Operator) -> tuple[Any, NDArray[np.float64]]:
        """The layer that it is, and its real weights, filters first."""
        layer: Any = op.layer if isinstance(op, TrainedConv) else op
        scales = layer.quantization.scale.astype(np.float64)
        if isinstance(op, TrainedConv):
            ints = self.values[op.inputs[1].name].astype(np.float64)
        elif layer.weights.data.ndim == 4:
            ints = filters_of(layer).astype(np.float64)
        else:
            ints = layer.weights.data.reshape(layer.channels, 1, 1, -1).astype(np.float64)
        return layer, np.moveaxis(np.moveaxis(ints, 0, -1) * scales, -1, 0)

    def convolved(self, op: Operator, x: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Window by window."""
        layer, _ = self.weights(op)
        if not hasattr(layer, "padding"):
            return np.asarray(x.reshape(-1, weights.shape[3]) @ weights[:, 0, 0].T).reshape(op.outputs[0].shape)
        x = x.reshape(layer.inputs[0].shape)[0]
        (top, bottom, left, right), (sy, sx), (dy, dx) = layer.padding, layer.stride, layer.dilation
        padded = np.pad(x, ((top, bottom), (left, right), (0, 0)))
        height, width = layer.output_size()
        filters, rows, columns, depth = weights.shape
        groups = x.shape[2] // depth
        found = np.zeros((height, width, filters))
        for f in range(filters):
            group = f // (filters // groups)
            for ky in range(rows):
                for kx in range(columns):
                    some = padded[ky * dy :, kx * dx :, group * depth : (group + 1) * depth][::sy, ::sx]
                    found[:, :, f] += some[:height, :width] @ weights[f, ky, kx]
        return found[np.newaxis]

    def alive(self, tensor: Tensor, bounds: tuple[int, int]) -> NDArray[np.bool_]:
        at = self.values[tensor.name]
        return np.asarray((at > bounds[0]) & (at < bounds[1]))

    def pushed(self, moved: dict[str, NDArray[np.float64]], after: int) -> dict[str, NDArray[np.float64]]:
        """`moved`, and what moves with it behind operator number `after`."""
        for op in self.operators[after:]:
            given = [moved[t.name] for t in op.inputs if t.name in moved]
            y = op.outputs[0]
            if op.kind == "MASTER_SUMS":
                return moved
            if not given or isinstance(op, LiveBits | TrainedNorm) or op.kind.startswith("ADAPT_ST"):
                continue
            if isinstance(op, AdaptAffine):
                if op.inputs[0].name not in moved:
                    continue
                moved[y.name] = np.where(self.alive(y, op.bounds), moved[op.inputs[0].name] * self.slope(op), 0)
            elif isinstance(op, TrainedConv | Weighted):
                found = self.convolved(op, given[0], self.weights(op)[1])
                layer = self.weights(op)[0]
                clamps = y.dtype != np.int32
                moved[y.name] = np.where(self.alive(y, layer.range), found, 0) if clamps else found
            elif isinstance(op, Add):
                assert len(given) <= 2
                moved[y.name] = np.where(self.alive(y, op.range), sum(given), 0)
            elif averages_all(op):
                x = op.inputs[0]
                found = given[0].reshape(x.shape).mean(axis=(1, 2)).reshape(y.shape)
                low = (-128 - x.zero_point) * x.scale / y.scale + y.zero_point < -128.5
                high = (127 - x.zero_point) * x.scale / y.scale + y.zero_point >= 127.5
                bounds = (-128 if low else -129, 127 if high else 128)
                moved[y.name] = np.where(self.alive(y, bounds), found, 0)
            else:
                assert op.view or op.kind.startswith(("ADAPT", "MASTER")), op.kind
                if op.view:
                    moved[y.name] = given[0].reshape(y.shape)
        raise AssertionError("no dense layer")

    def slope(self, op: AdaptAffine) -> NDArray[np.float64]:
        x, multiplier, _ = op.inputs
        assert x.quantization is not None
        shift = 0 if op.shift is None else op.shift.astype(np.float64)
        return np.asarray(
            self.values[multiplier.name] / 2.0 ** (17 + shift) * float(op.outputs[0].scale) / x.quantization.scale
        )

    def loss(self, moved: dict[str, NDArray[np.float64]], dense: Weighted) -> float:
        """How the loss moves: the gradient at the logits, which the integers gave, times how these do."""
        sums = next(op for op in self.operators if op.kind == "MASTER_SUMS")
        if sums.inputs[0].name not in moved:
            return 0.0
        scales = np.broadcast_to(dense.quantization.scale.astype(np.float64), (dense.channels,))
        rows = np.array([*scales, *[scales.max()] * (len(self.values[sums.inputs[1].name]) - dense.channels)])
        weights = ((self.values[sums.inputs[1].name] + 0x8000) >> 16) * rows[:, np.newaxis]
        gradient = self.values["learn/gradient"].reshape(-1) / ONE
        return float(gradient @ weights @ moved[sums.inputs[0].name].reshape(-1))


def slopes(found: Compiled, x: NDArray[Any], label: int) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Of each layer that learns, by a number of its parameters: the gradient in the integers, and that in float64."""
    values, operators = step(found, x, label)
    assert found.lowered.learned is not None
    lesson = found.lowered.learned.classifier
    dense = learnable(widened(found.lowered.source, lesson.reach))
    forward, random, result = Forward(values, operators), np.random.default_rng(3), {}
    for update in operators:
        if isinstance(update, ConvUpdate):
            _, _, x_, errors, exponent, *masks = (values[tensor.name] for tensor in update.inputs)
            sums, _ = update.sums(x_, errors, masks)
            integers = sums * update.slope.reshape(-1, 1, 1, 1) * 2.0 ** int(exponent[0])
            op = next(o for o in operators if isinstance(o, TrainedConv) and o.layer.name == update.learns)
            ours, theirs = [], []
            for place in random.permutation(integers.size)[:60]:
                at = np.unravel_index(place, integers.shape)
                weights = np.zeros(integers.shape)
                weights[at] = 1.0
                change = forward.convolved(op, forward.real(op.inputs[0]), weights)
                change = np.where(forward.alive(op.outputs[0], op.layer.range), change, 0)
                moved = forward.pushed({op.outputs[0].name: change}, operators.index(op) + 1)
                ours.append(integers[at])
                theirs.append(forward.loss(moved, dense))
            result[update.learns] = np.array(ours), np.array(theirs)
        elif isinstance(update, NormUpdate):
            _, _, gains, y, errors, exponent, *masks = (values[tensor.name] for tensor in update.inputs)
            given = zip(update.sums(gains, y, errors, masks), update.slope, strict=True)
            both = [sums * slope * 2.0 ** int(exponent[0]) for sums, slope in given]
            affine = next(o for o in operators if isinstance(o, AdaptAffine) and o.outputs[0] is update.inputs[3])
            out = affine.outputs[0]
            quarter = (affine.bounds[1] - affine.bounds[0]) / 4 * out.scale
            theirs = []
            for number in range(2):
                for channel in range(update.channels):
                    change = np.zeros(out.shape)
                    own = forward.real(out)[..., channel] if number == 0 else quarter * 2.0 ** (gains[channel] / 64)
                    change[..., channel] = own
                    change = np.where(forward.alive(out, affine.bounds), change, 0)
                    moved = forward.pushed({out.name: change}, operators.index(affine) + 1)
                    theirs.append(forward.loss(moved, dense))
            result[update.learns] = np.concatenate(both), np.array(theirs)
    return result


@pytest.mark.parametrize("case", ALL)
def test_the_gradient_is_that_of_float64(tmp_path: Path, case: str) -> None:
    """Parameter by parameter, to six thousandths of a layer's largest, and in direction."""
    found = made(tmp_path, case)
    layers = set()
    for x, y in zip(*(images(6, 4, seed=6)[name] for name in "xy"), strict=True):
        for name, (integers, real) in slopes(found, x, int(y)).items():
            scale = np.abs(real).max()
            if scale > 0:
                assert np.abs(integers - real).max() < 6e-3 * scale, name
                cosine = float(integers @ real / np.linalg.norm(integers) / np.linalg.norm(real))
                assert cosine > 0.9999, name
                layers.add(name)
    assert found.lowered.learned is not None
    assert layers == set(found.lowered.learned.classifier.layers)


@pytest.mark.parametrize("case", ["live last", "live lean", "live two", "live int32"])
def test_untaught_it_is_the_adapted_network(tmp_path: Path, case: str) -> None:
    """Every tensor before the dense layer, byte for byte; and what a step computes with masters as compiled."""
    found = made(tmp_path, case)
    tail, more = ALL[case]
    (tmp_path / "plain").mkdir()
    options = {name: value for name, value in more.items() if name.startswith("adapt")}
    np.savez(tmp_path / "plain" / "known.npz", **images(24, 4))
    (tmp_path / "plain" / "net.tflite").write_bytes(convolving(tail))
    options |= {"measure": False, "calibrate": tmp_path / "plain" / "known.npz"}
    adapted = driftc.compile(tmp_path / "plain" / "net.tflite", **options).lowered.model
    assert found.lowered.learned is not None
    learner = found.lowered.learned.learner()
    learner.load_masters()
    before = {t.name for op in ancestors(adapted, [learnable(adapted).inputs[0]]) for t in op.outputs}
    for x in images(5, 4)["x"]:
        alike, of_step = GraphRun(adapted).run((x[None],)), learner.traced(x, NO_LABEL)
        found_of = GraphRun(found.lowered.model).run((x[None],))
        assert before <= set(found_of) & set(of_step)
        for name in before:
            assert np.array_equal(found_of[name], alike[name]), name
            assert np.array_equal(found_of[name], of_step[name]), name


@pytest.mark.parametrize("case", ["live last", "live two"])
def test_gains_and_offsets_are_learnt(tmp_path: Path, case: str) -> None:
    """Both move, the loss falls, and all is forgotten."""
    found = made(tmp_path, case, learn_guard=False, learn_passes=10, learn_store=20 * 61)
    assert found.lowered.learned is not None
    specification, lesson = Specification(found.lowered), found.lowered.learned.classifier
    before = {name: value.copy() for name, value in specification.learner.values.items()}
    new = images(10, 2, first=2, seed=8)
    for x, y in zip(new["x"], new["y"], strict=True):
        specification(Event(Kind.ADD, int(y), (x[None],)))
    specification(Event(Kind.STEP, 1 << 20))
    values = specification.learner.values
    for name in lesson.layers:
        assert values[f"{name} weights"].dtype == np.int8
        assert np.any(values[f"{name} weights"]) and np.any(values[f"{name} bias"])
        assert not np.any(before[f"{name} weights"]) and not np.any(before[f"{name} bias"])
    specification.learner.forget(-1)
    values = specification.learner.values
    for name in lesson.layers:
        assert not np.any(values[f"{name} weights"]) and not np.any(values[f"{name} bias"])


def int32(name: str, count: int) -> Tensor:
    return Tensor(name, (count,), np.dtype(np.int32))


@settings(max_examples=80, deadline=None)
@given(zero=st.sampled_from([-128, -3, 127]), seed=st.integers(0, 999), extreme=st.booleans())
def test_what_was_learnt_in_real_numbers(zero: int, seed: int, extreme: bool) -> None:
    """zero + gain * (normalised + offset), as far as 2^(gain / 64) is right in Q.16; or saturated."""
    random, count = np.random.default_rng(seed), 9
    inputs = (int32("m", count), int32("o", count), Tensor("g", (count,), np.dtype(np.int8)), int32("b", count))
    op = TrainedNorm(name="n", inputs=inputs, outputs=(int32("m2", count), int32("o2", count)), zero_point=zero)
    op.check()

    def numbers(ends: list[int], low: int, high: int, kind: type = np.int32) -> NDArray[Any]:
        return (random.choice(ends, count) if extreme else random.integers(low, high, count)).astype(kind)

    multiplier = numbers([0, 1, 2**23], 0, 2**20)
    offset, learnt = numbers([-(2**30), 2**30], -(2**24), 2**24), numbers([-(2**26), 2**26], -(2**20), 2**20)
    gains = numbers([-127, 127], -127, 128, np.int8)
    by, base = 2.0 ** (gains / 64), (zero + 0.5) * 2**17
    moved, shifted = op.spec(multiplier, offset, gains, learnt)
    real = np.minimum(multiplier * by, 2**23), np.clip(base + (offset - base + learnt) * by, -(2**30), 2**30)
    given = multiplier.astype(np.float64), offset - base + learnt
    for found, wanted, size in zip((moved, shifted), real, given, strict=True):  # F is right to a step of 2^-16
        assert np.all(np.abs(found - wanted) <= 1 + np.abs(size) * 2.0**-16)
    same = op.spec(multiplier, offset, np.zeros(count, np.int8), np.zeros(count, np.int32))
    assert np.array_equal(same[0], np.minimum(multiplier, 2**23)) and np.array_equal(same[1], offset)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 999), alike=st.booleans(), bits=st.booleans(), exponent=st.integers(-40, 60),
    shift=st.integers(1, 62), extreme=st.booleans(),
)  # fmt: skip
def test_steps_of_gains_and_offsets(
    seed: int, alike: bool, bits: bool, exponent: int, shift: int, extreme: bool
) -> None:
    """Against Python's integers, at any exponent and shift."""
    random, count, shape = np.random.default_rng(seed), 3, (1, 4, 5, 3)
    y = random.choice([-128, 127], shape) if extreme else random.integers(-128, 128, shape)
    y = y.astype(np.int8)
    e_shape = (1, count) if alike else shape
    e = random.choice([-(2**14), 2**14], e_shape) if extreme else random.integers(-(2**14), 2**14 + 1, e_shape)
    alive = random.integers(0, 2, shape).astype(np.bool_)
    mask = packed(alive) if bits else np.where(alive, 0, 100).astype(np.int8)
    masters, offsets = (random.integers(-(most), most + 1, count).astype(np.int32) for most in (127 << 16, 2**30))
    gains = random.integers(-127, 128, count).astype(np.int8)
    step = Quantization(np.array([0.1], np.float32), np.array([-7], np.int64))
    inputs = (
        int32("m", count), int32("b", count), Tensor("g", (count,), np.dtype(np.int8)),
        Tensor("y", shape, np.dtype(np.int8), step), Tensor("e", e_shape, np.dtype(np.int16)), int32("x", 1),
        Tensor("live", mask.shape, np.dtype(np.int8)),
    )  # fmt: skip
    op = NormUpdate(
        name="u", learns="layer", inputs=inputs, outputs=(int32("m2", count), int32("b2", count)),
        live=(None if bits else (-50, 50),), gain=(2**15, shift), offset=(20001, shift), slope=(1.0, 1.0),
    )  # fmt: skip
    op.check()
    found = op.spec(masters, offsets, gains, y, e.astype(np.int16), np.array([exponent], np.int32), mask)
    down = min(max(shift - exponent, 1), 62)
    errors = np.where(alive, np.broadcast_to(e, shape), 0)
    for c in range(count):
        pairs = zip(errors[..., c].reshape(-1).tolist(), y[..., c].reshape(-1).tolist(), strict=True)
        total, sums = 0, 0
        for error, value in pairs:
            sums += error * (value + 7)
            total += error
        total = (total * int(gain_of(gains[c : c + 1])[0]) + 2**15) >> 16
        moved = (sums * 2**15 + 2 ** (down - 1)) >> down
        shifted = (total * 20001 + 2 ** (down - 1)) >> down
        assert int(found[0][c]) == max(min(int(masters[c]) - moved, 127 << 16), -127 << 16)
        assert int(found[1][c]) == max(min(int(offsets[c]) - shifted, 2**30), -(2**30))


@pytest.mark.parametrize("size", [1, 7, 8, 9, 30])
def test_a_mask_is_a_map_or_its_bits(size: int) -> None:
    random = np.random.default_rng(size)
    at, e = random.integers(-128, 128, size).astype(np.int8), random.integers(-9, 9, size)
    bits = LiveBits(
        name="b", inputs=(Tensor("x", (size,), np.dtype(np.int8)),),
        outputs=(Tensor("y", (-(-size // 8),), np.dtype(np.int8)),), bounds=(-128, 127),
    )  # fmt: skip
    bits.check()
    (made_bits,) = bits.spec(at)
    assert np.array_equal(counted(e, ((-128, 127),), [at]), counted(e, (None,), [made_bits]))
    assert np.array_equal(counted(e, (None,), [made_bits]), np.where((at > -128) & (at < 127), e, 0))


def test_what_is_at_the_ends_of_int8_counts_as_clamped(tmp_path: Path) -> None:
    """Of a layer without an activation too: a weight of it does not move for a value that is -128 or 127."""
    found = made(tmp_path, "frozen pointwise")
    assert found.lowered.learned is not None
    operators = found.lowered.learned.graph.operators
    update = next(op for op in operators if isinstance(op, ConvUpdate) and op.layer.range == (-128, 127))
    _, _, x, errors, exponent, *masks = update.inputs
    values = [np.zeros(t.shape, t.dtype) for t in (x, errors, exponent)]
    values[0][...], values[1][...] = 5, 99
    sums, total = update.sums(values[0], values[1], [np.zeros(t.shape, np.int8) for t in masks])
    assert None in update.live and not np.any(sums) and not np.any(total)


def test_layers_that_lie_between(tmp_path: Path) -> None:
    """The frozen ones are in flash, and compute by it."""
    found = made(tmp_path, "frozen pointwise")
    assert found.lowered.learned is not None
    operators = found.lowered.learned.graph.operators
    assert [type(op) for op in operators].count(TrainedConv) == 2
    assert [type(op) for op in operators if isinstance(op, Conv2D | Live)] == [Conv2D]
    constant = [t for op in operators for t in op.inputs if op.kind == "CONV_GRADIENT" and t.data is not None]
    assert len(constant) == 1
    assert any(isinstance(op, Mean) for op in operators)
