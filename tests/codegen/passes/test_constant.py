"""The pass `constant`: what is proven holds, what is removed held what was said, what is left computes the same."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import driftc
from hypothesis import given
from hypothesis import strategies as st
from models import Activation, ModelBuilder, Tensor
from operator_cases import examples, seeds

from driftc.codegen.api import compile
from driftc.codegen.lower import Lowered, lower
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.options import Options
from driftc.codegen.passes.constant import ranges
from driftc.simulator.reference import run_graph

RELU: dict[str, Any] = {"activation": Activation.RELU, "out_scale": 0.05, "out_zero_point": -128}
OUT: dict[str, Any] = {"out_scale": 0.05, "out_zero_point": 3}
DEAD, HIGH = -(1 << 20), 1 << 20  # biases far below zero, and far above the largest output


def biases(random: np.random.Generator, channels: int, dead: float, high: float = 0.0) -> np.ndarray[Any, Any]:
    """Ordinary ones, of which a share makes its channel dead and another share stuck at the top."""
    lot = random.random(channels)
    usual = random.integers(-2000, 2000, channels)
    return np.where(lot < dead, DEAD, np.where(lot < dead + high, HIGH, usual))


def conv(
    builder: ModelBuilder, x: Tensor, random: np.random.Generator, channels: int, kernel: int, **more: Any
) -> Tensor:
    bias = biases(random, channels, more.pop("dead", 0.4), more.pop("high", 0.0))
    weights = random.integers(-127, 128, (channels, kernel, kernel, x.shape[3]))
    scales = random.uniform(0.001, 0.02, channels)
    return builder.conv_2d(x, weights, bias, weight_scale=scales, **{**RELU, **more})


def depthwise(builder: ModelBuilder, x: Tensor, random: np.random.Generator, times: int = 1, **more: Any) -> Tensor:
    channels = x.shape[3] * times
    bias = biases(random, channels, more.pop("dead", 0.3))
    weights = random.integers(-127, 128, (1, 3, 3, channels))
    return builder.depthwise_conv_2d(
        x, weights, bias, weight_scale=random.uniform(0.001, 0.02, channels), **{**RELU, **more}
    )


@st.composite
def networks(draw: st.DrawFn) -> ModelBuilder:
    """Up to eight layers with dead and stuck channels, pools, sums, pads, tables, flattened into a dense layer."""
    random = np.random.default_rng(draw(seeds))
    builder = ModelBuilder()
    x = builder.input("x", (1, draw(st.integers(3, 7)), draw(st.integers(3, 6)), draw(st.integers(1, 4))), scale=0.05)
    for _ in range(draw(st.integers(1, 6))):
        channels = draw(st.integers(1, 12))
        dead, high = draw(st.sampled_from([(0.4, 0.0), (0.9, 0.0), (0.3, 0.3), (0.0, 0.2)]))
        padding = draw(st.sampled_from(["SAME", "VALID"])) if min(x.shape[1:3]) >= 3 else "SAME"
        kind = draw(
            st.sampled_from(["conv", "point", "point", "depthwise", "depthwise", "double", "sum", "pool", "tables"])
        )
        if kind == "conv":
            x = conv(builder, x, random, channels, 3, dead=dead, high=high, padding=padding)
        elif kind == "point":
            activation = draw(st.sampled_from([Activation.RELU, Activation.RELU6, Activation.NONE]))
            zero = draw(st.sampled_from([-128, 0]))
            x = conv(builder, x, random, channels, 1, dead=dead, high=high, activation=activation, out_zero_point=zero)
        elif kind in ("depthwise", "double"):
            x = depthwise(builder, x, random, 2 if kind == "double" else 1, dead=dead, padding=padding)
        elif kind == "sum":
            a = conv(builder, x, random, channels, 1, dead=dead, high=high)
            b = conv(builder, x, random, channels, 1, dead=dead)
            x = builder.add(a, b, **OUT)
        elif kind == "pool":
            x = (
                builder.average_pool_2d(x, 2, padding="SAME")
                if draw(st.booleans())
                else builder.max_pool_2d(x, 2, padding="SAME")
            )
        else:
            x = builder.logistic(builder.pad(x, [(0, 0), (1, 0), (0, 1), (0, 0)]))
    head = draw(st.sampled_from(["none", "mean", "dense", "branch"]))
    if head == "mean":
        x = builder.mean(x, [1, 2], **OUT)
    if head in ("mean", "dense"):
        flat = builder.reshape(x, (1, int(np.prod(x.shape))))
        x = builder.fully_connected(flat, random.integers(-127, 128, (3, flat.shape[1])), weight_scale=0.01, **OUT)
    if head == "branch":
        builder.output(conv(builder, x, random, 5, 1, dead=0.5))
    builder.output(x)
    return builder


def lowered(builder: ModelBuilder, folder: Path, **options: Any) -> Lowered:
    (folder / "net.tflite").write_bytes(builder.build())
    return lower(folder / "net.tflite", Options(planner="greedy", **options))


def samples(found: Lowered) -> list[list[np.ndarray[Any, Any]]]:
    random = np.random.default_rng(5)
    shapes = [tensor.shape for tensor in found.graph.inputs]
    drawn = [[random.integers(-128, 128, shape).astype(np.int8) for shape in shapes] for _ in range(3)]
    return [*drawn, *([np.full(shape, value, np.int8) for shape in shapes] for value in (-128, 127))]


def hold(found: Lowered) -> None:
    """Every claim of the pass about `found`, on samples and extremes."""
    known = ranges(found.model)
    for inputs in samples(found):
        whole, cut = run_graph(found.model, inputs), run_graph(found.graph, inputs)
        for tensor in found.model.tensors():
            if tensor.dtype != np.int8 or tensor.name not in known:
                continue
            value = whole[tensor.name].reshape(-1, tensor.hwc[2]).astype(np.int64)
            low, high = known[tensor.name]
            assert (value >= low).all(), tensor.name
            assert (value <= high).all(), tensor.name
            removed = found.graph.removed.get(tensor.name)
            kept = value if removed is None else value[:, removed.kept]
            if removed is not None:
                held = np.broadcast_to(removed.values[removed.constant], (len(value), int(removed.constant.sum())))
                np.testing.assert_array_equal(value[:, removed.constant], held)
            if tensor.name in cut:
                np.testing.assert_array_equal(cut[tensor.name].reshape(kept.shape), kept)
            else:
                assert tensor.name in found.graph.fused or (removed is not None and not len(removed.kept))


@given(networks())
@examples(80)
def test_any_network(builder: ModelBuilder) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = lowered(builder, Path(folder))
    for operator in found.graph.operators:
        operator.check()
    hold(found)


def separable() -> ModelBuilder:
    """Layers as MobileNet has them, most of whose channels are dead."""
    random = np.random.default_rng(17)
    builder = ModelBuilder()
    x = conv(builder, builder.input("image", (1, 8, 8, 3), scale=0.05), random, 8, 3, stride=2, dead=0.3)
    for channels in (16, 24):
        x = conv(builder, depthwise(builder, x, random, dead=0.3), random, channels, 1, dead=0.6)
    x = builder.average_pool_2d(x, 4, padding="VALID")
    x = builder.reshape(x, (1, x.shape[3]))
    logits = builder.fully_connected(x, random.integers(-127, 128, (4, 24)), weight_scale=0.01, **OUT)
    builder.output(builder.softmax(logits))
    return builder


def test_dead_channels_go_and_every_engine_agrees(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(separable().build())
    found = compile(tmp_path / "net.tflite", measure=False, planner="greedy")
    kept = compile(tmp_path / "net.tflite", measure=False, planner="greedy", keep_constant=True)
    assert not kept.lowered.graph.removed
    assert found.report["macs"] < 0.6 * kept.report["macs"]
    softmax = 1024
    assert found.report["flash"]["constants"] - softmax < 0.6 * (kept.report["flash"]["constants"] - softmax)
    assert all(len(r.kept) % 4 == 0 or len(r.kept) == len(r.values) for r in found.lowered.graph.removed.values())
    result = found.verify(random=2)
    assert result.bit_exact, result.first_difference
    assert len(result.compared) == result.total
    assert {"numpy", "host", "tflm"} <= set(result.engines) or len(result.engines) >= 1
    removed, before = found.report["removed"], kept.report
    assert removed["channels"] == sum(t["channels"] - t["kept"] for t in removed["tensors"]) > 0
    assert removed["macs"] == before["macs"] - found.report["macs"]
    assert removed["layers"] == len(before["layers"]) - len(found.report["layers"])
    # Beside weights, biases and scales of the channels go.
    assert 0 < removed["weight_bytes"] < before["flash"]["constants"] - found.report["flash"]["constants"]
    assert before["removed"] == {"channels": 0, "layers": 0, "macs": 0, "weight_bytes": 0, "tensors": []}


def test_a_wrong_claim_is_found(tmp_path: Path) -> None:
    """verify compares what was removed with the specification, and that with the references."""
    (tmp_path / "net.tflite").write_bytes(separable().build())
    found = compile(tmp_path / "net.tflite", measure=False, planner="greedy")
    for removed in found.lowered.graph.removed.values():
        if removed.constant.any():
            removed.values[np.flatnonzero(removed.constant)[0]] += 1
            break
    result = found.verify(random=0, engines=["numpy"])
    assert not result.bit_exact


def test_padding_is_not_what_a_stuck_channel_holds(tmp_path: Path) -> None:
    """At its border a padded convolution reads the zero point and not the constant, which therefore stays."""
    random = np.random.default_rng(3)
    builder = ModelBuilder()
    x = builder.input("x", (1, 5, 5, 2), scale=0.05)
    stuck = builder.conv_2d(x, random.integers(-9, 9, (8, 1, 1, 2)), [HIGH] * 4 + [0] * 4, weight_scale=0.01, **RELU)
    builder.output(conv(builder, stuck, random, 4, 3, dead=0.0, padding="SAME"))
    found = lowered(builder, tmp_path)
    assert not found.graph.removed
    hold(found)
    builder = ModelBuilder()
    x = builder.input("x", (1, 5, 5, 2), scale=0.05)
    stuck = builder.conv_2d(x, random.integers(-9, 9, (8, 1, 1, 2)), [HIGH] * 4 + [0] * 4, weight_scale=0.01, **RELU)
    builder.output(conv(builder, stuck, random, 4, 3, dead=0.0, padding="VALID"))
    found = lowered(builder, tmp_path)
    assert [len(removed.kept) for removed in found.graph.removed.values()] == [4]
    hold(found)


def test_a_layer_that_is_constant_altogether_vanishes(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    builder = ModelBuilder()
    x = builder.input("x", (1, 4, 4, 3), scale=0.05)
    dead = conv(builder, x, random, 8, 3, dead=1.1, name="dead")
    alive = conv(builder, x, random, 8, 1, dead=0.0, name="alive")
    both = builder.concatenation([alive, conv(builder, dead, random, 4, 1, dead=0.0, name="after")], axis=3)
    builder.output(both)
    found = lowered(builder, tmp_path)
    hold(found)
    names = [operator.name for operator in found.graph.operators]
    assert "alive" in names
    after = next(operator for operator in found.graph.operators if operator.name == "after")
    assert isinstance(after, Weighted)
    assert after.inputs[0].shape[3] == 4, "something is read, with weights that cannot matter"


def test_what_is_left_fits_the_short_arithmetic(tmp_path: Path) -> None:
    """A channel that is kept only to make up a number takes no part in what its layer needs."""
    random = np.random.default_rng(9)
    builder = ModelBuilder()
    x = builder.input("x", (1, 4, 4, 4), scale=0.05)
    bias = np.where(np.arange(16) < 7, -(1 << 30), random.integers(-2000, 2000, 16))
    scales = np.where(np.arange(16) < 7, 1e-12, 0.01)
    y = builder.conv_2d(x, random.integers(-127, 128, (16, 1, 1, 4)), bias, weight_scale=scales, **RELU)
    builder.output(conv(builder, y, random, 4, 1, dead=0.0))
    found = lowered(builder, tmp_path)
    first = found.graph.operators[0]
    assert isinstance(first, Weighted)
    assert first.channels == 12
    assert first.scaler == "driftc_to_int8"
    hold(found)
    assert compile(tmp_path / "net.tflite", measure=False).verify(random=2).bit_exact


def test_live_layers_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(separable().build())
    random = np.random.default_rng(0)
    np.savez(tmp_path / "samples.npz", x=random.uniform(-3, 3, (20, 8, 8, 3)).astype(np.float32))
    found = compile(
        tmp_path / "net.tflite", measure=False, adapt="fixed", calibrate=tmp_path / "samples.npz", adapt_layers="0.4"
    )
    live = set(found.lowered.adaptation.layers) if found.lowered.adaptation else set()
    assert live
    untouched = {operator.name: operator for operator in found.lowered.model.operators}
    for operator in found.lowered.graph.operators:
        if len(operator.outputs) > 1:
            assert operator.outputs[0].shape == untouched[operator.name].outputs[0].shape
            assert operator.inputs[0].shape == untouched[operator.name].inputs[0].shape
    assert found.verify(random=2).bit_exact


def test_the_option_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(separable().build())
    done = driftc("compile", "net.tflite", "--no-measure", cwd=tmp_path)
    assert "channels that are the same for every input" in done.stdout
    assert "--keep-constant keeps them" in done.stdout
    driftc("verify", "net", "--engine", "host", cwd=tmp_path)
    done = driftc("compile", "net.tflite", "--no-measure", "--keep-constant", cwd=tmp_path)
    assert "same for every input" not in done.stdout + done.stderr
    driftc("verify", "net", "--engine", "host", cwd=tmp_path)


@pytest.mark.parametrize("name", ["vww"])
def test_published(name: str, tmp_path: Path) -> None:
    from shared_data import shared_file

    found = lower(shared_file(f"mlperf_tiny/models/{name}/{name}_96_int8.tflite"), Options(planner="greedy"))
    hold(found)
    weights = sum(o.weights.size for o in found.graph.operators if isinstance(o, Weighted))
    assert weights < 32_000, "29,066 are needed, but for numbers of channels that kernels like"


def test_sums_that_wrap_prove_nothing(tmp_path: Path) -> None:
    """A factor above 1 takes them out of int32, and their order is lost (found by the fuzzer)."""
    builder = ModelBuilder()
    x = builder.input("x", (1, 6), scale=0.1)
    y = builder.fully_connected(
        x, np.ones((2, 6), np.int8), np.array([2**31 - 2000, 5]), weight_scale=0.02, out_scale=1e-7, out_zero_point=-128
    )
    builder.output(builder.tanh(y, name="tanh"))
    path = tmp_path / "m.tflite"
    path.write_bytes(builder.build())
    lowered = lower(path, Options(planner="greedy"))
    (dense,) = (operator for operator in lowered.model.operators if isinstance(operator, Weighted))
    low, high = ranges(lowered.model)[dense.outputs[0].name]
    assert (low.tolist(), high.tolist()) == ([-128] * 2, [127] * 2)
