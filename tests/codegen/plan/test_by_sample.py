"""A batch above 1: what takes one image does so sample by sample, to the bytes of TFLite Micro."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import Activation, ModelBuilder, Tensor
from operator_cases import few, scales, seeds, zero_points
from oracle import Oracle, compare, load_bytes

from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import DriftcError, ModelError
from driftc.simulator.engines import engine


def layer(m: ModelBuilder, kind: str, x: Tensor, random: np.random.Generator) -> Tensor:
    """One layer of a network over a batch."""
    channels = x.shape[3]
    if kind == "conv_2d":
        weights = random.integers(-127, 128, (3, 3, 2, channels))
        return m.conv_2d(x, weights, random.integers(-99, 99, 3), weight_scale=[0.01, 0.02, 0.03], out_scale=0.2)
    if kind == "depthwise_conv_2d":
        weights = random.integers(-127, 128, (1, 2, 3, channels))
        return m.depthwise_conv_2d(x, weights, weight_scale=[0.02] * channels, stride=2, padding="SAME", out_scale=0.3)
    if kind == "pad":
        return m.pad(x, [(0, 0), (1, 0), (0, 2), (0, 0)])
    if kind == "add":
        return m.add(x, x, out_scale=0.4, activation=Activation.RELU)
    if kind == "concatenation":
        return m.concatenation([x, x], axis=3)
    return m.max_pool_2d(x, 2) if kind == "max_pool_2d" else m.average_pool_2d(x, (2, 3), stride=2, padding="SAME")


KINDS = ("conv_2d", "depthwise_conv_2d", "max_pool_2d", "average_pool_2d", "pad", "add", "concatenation")


@st.composite
def networks(draw: st.DrawFn) -> ModelBuilder:
    m, random = ModelBuilder(), np.random.default_rng(draw(seeds))
    shape = (draw(st.integers(2, 4)), draw(st.integers(5, 8)), draw(st.integers(5, 8)), draw(st.integers(1, 3)))
    x = m.input("x", shape, scale=draw(scales), zero_point=draw(zero_points))
    for kind in draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3)):
        if min(x.shape[1:3]) > 3:
            x = layer(m, kind, x, random)
    x = m.mean(x, [1, 2], out_scale=0.1) if draw(st.booleans()) else m.reshape(x, (shape[0], -1))
    dense = random.integers(-127, 128, (4, x.shape[1]))
    m.output(m.softmax(m.fully_connected(x, dense, weight_scale=0.01, out_scale=0.1)))
    return m


@few
@given(networks(), seeds)
def test_equals_tflite_micro(tflm: Oracle, m: ModelBuilder, seed: int) -> None:
    compare(m, tflm, seed)


@few
@given(networks(), seeds)
def test_equals_litert(litert: Oracle, m: ModelBuilder, seed: int) -> None:
    compare(m, litert, seed)


def network(batch: int = 3) -> ModelBuilder:
    m, random = ModelBuilder(), np.random.default_rng(0)
    x = m.input("x", (batch, 9, 7, 2), scale=0.1, zero_point=3)
    for kind in ("pad", "conv_2d", "depthwise_conv_2d", "average_pool_2d"):
        x = layer(m, kind, x, random)
    dense = random.integers(-127, 128, (4, 3))
    x = m.relu(x, name="relu")
    m.output(m.fully_connected(m.mean(x, [1, 2], out_scale=0.1), dense, weight_scale=0.1, out_scale=0.1, name="out"))
    return m


def compiled(folder: Path, m: ModelBuilder, **options: object) -> Compiled:
    (folder / "net.tflite").write_bytes(m.build())
    return compile(folder / "net.tflite", measure=False, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{}, {"match": "litert"}, {"minimize": "ram"}, {"feed": "rows"}])
def test_compiled(options: dict[str, object], tmp_path: Path) -> None:
    if (reason := engine("host").missing()) is not None:
        pytest.skip(reason)
    found = compiled(tmp_path, network(), **options).verify(engines=["host"], random=2, sanitize=True)
    assert found.bit_exact, found.first_difference


def test_report_and_memory(tmp_path: Path) -> None:
    """A layer counts once, with the work of all samples; an output lies over the samples that were read before."""
    one, three = (compiled(tmp_path, network(count), core="cortex-m0plus") for count in (1, 3))  # by the same kernels
    layers = {layer["name"]: layer for layer in three.report["layers"]}
    assert layers.keys() == {layer["name"] for layer in one.report["layers"]}
    assert all(layer["output_shape"][0] == 3 for layer in layers.values())
    assert three.report["macs"] == 3 * one.report["macs"]
    assert three.lowered.plan.arena_bytes < 3.5 * one.lowered.plan.arena_bytes  # apart they would be 3.7 times
    weights = [str(model.sources["net_weights.h"]).count("static const") for model in (one, three)]
    assert weights[0] == weights[1]


def test_samples_hold_whole_batches(tmp_path: Path) -> None:
    model = compiled(tmp_path, network())
    np.savez(tmp_path / "data.npz", x=np.zeros((5, 3, 9, 7, 2), np.int8))
    assert len(model.samples(tmp_path / "data.npz")) == 5
    np.savez(tmp_path / "data.npz", x=np.zeros((6, 9, 7, 2), np.int8))
    with pytest.raises(DriftcError, match=r"expected \[samples, 3, 9, 7, 2\]"):
        model.samples(tmp_path / "data.npz")


def test_adapting_needs_one_sample(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((16, 3, 9, 7, 2), np.int8))
    with pytest.raises(DriftcError, match="batch"):
        compiled(tmp_path, network(), adapt="lean", calibrate=tmp_path / "data.npz")


def test_largest_batch() -> None:
    with pytest.raises(ModelError, match="has a batch of 257; driftc compiles up to 256"):
        load_bytes(network(257).build())


def test_outputs_of_another_batch() -> None:
    m = ModelBuilder()
    x = m.input("x", (2, 4, 4, 1), scale=0.1)
    y = m.tensor("y", (3, 2, 2, 1), scale=0.1)
    m.operator("MAX_POOL_2D", [x], [y], "Pool2DOptions", Padding=1, StrideH=2, StrideW=2, FilterHeight=2, FilterWidth=2)
    m.output(y)
    with pytest.raises(ModelError, match=r"MAX_POOL_2D 'y': has 2 samples, but the file says \[3, 2, 2, 1\]"):
        load_bytes(m.build())
