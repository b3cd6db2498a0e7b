"""Channel tiles: any path of random graphs and of chains made for it, live layers, look-ups, dense pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import ModelBuilder
from operator_cases import examples, seeds
from partly_tiled import assert_equals, graph_of, with_unit
from random_graphs import OUT, networks

from driftc.codegen.api import compile
from driftc.codegen.lower import Lowered
from driftc.codegen.plan.candidates import by_channels
from driftc.codegen.plan.channels import widths
from driftc.codegen.plan.propose import untiled
from driftc.simulator.engines import engine

SIDE = 6


@given(networks(), seeds)
@examples(60)
def test_any_path_of_any_graph(builder: ModelBuilder, seed: int) -> None:
    graph = graph_of(builder)
    if graph is None:
        return
    found = list(by_channels(graph, untiled(graph)))
    for number in np.random.default_rng(seed).permutation(len(found))[:3]:
        assert_equals(graph, with_unit(graph, found[number]))


@st.composite
def paths(draw: st.DrawFn) -> ModelBuilder:
    """A fan-out, a middle of any length on each channel alone, and mostly a fan-in."""
    random = np.random.default_rng(draw(seeds))
    builder = ModelBuilder()
    x = builder.input("x", (1, SIDE, SIDE, 3), scale=0.05, zero_point=3)
    channels = draw(st.integers(5, 24))

    def weights(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return random.integers(-127, 128, shape)

    size = draw(st.integers(1, 3))
    x = builder.conv_2d(x, weights(channels, size, size, 3), weight_scale=0.01, name="fan_out", **OUT)
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["depthwise", "double", "relu", "pool", "pad", "add"]))
        channels = x.shape[3]
        if kind == "depthwise":
            x = builder.depthwise_conv_2d(x, weights(1, 3, 3, channels), weight_scale=0.02, **OUT)
        elif kind == "double":
            x = builder.depthwise_conv_2d(x, weights(1, 1, 1, 2 * channels), weight_scale=0.02, **OUT)
        elif kind == "relu":
            x = builder.relu(x, **OUT)
        elif kind == "pool":
            x = builder.max_pool_2d(x, 2, stride=1, padding="SAME")
        elif kind == "pad":
            x = builder.pad(x, [(0, 0), (1, 0), (0, 1), (0, 0)])
        else:
            x = builder.add(x, x, **OUT)
    end = draw(st.sampled_from(["conv", "conv", "mean", "none"]))
    if end == "mean":
        x = builder.mean(x, [1, 2], **OUT)
        x = builder.fully_connected(x, weights(4, x.shape[-1]), weight_scale=0.01, name="fan_in", **OUT)
    elif end == "conv":
        x = builder.conv_2d(x, weights(5, 3, 3, x.shape[3]), weight_scale=0.01, name="fan_in", **OUT)
    builder.output(x)
    return builder


@given(paths(), seeds)
@examples(60)
def test_paths_in_tiles_of_any_width(builder: ModelBuilder, seed: int) -> None:
    graph = graph_of(builder)
    assert graph is not None
    found = list(by_channels(graph, untiled(graph)))
    if len(graph.operators) > 1:
        assert any(c.stop - c.first == len(graph.operators) for c in found), [
            (o.kind, o.outputs[0].shape) for o in graph.operators
        ]
    for number in np.random.default_rng(seed).permutation(len(found))[:4]:
        plan = with_unit(graph, found[number])
        assert_equals(graph, plan)
        unit = next(piece for piece in plan.pieces if piece.kind)
        assert unit.private >= found[number].private
        assert unit.macs == sum(op.macs for op in graph.operators if op.name in unit.operators)


def compiled_equals(data: bytes, tmp_path: Path, **options: Any) -> Lowered:
    """Compiled for the least RAM, it is tiled by channels and right on the host and on the M4."""
    (tmp_path / "net.tflite").write_bytes(data)
    found = compile(
        tmp_path / "net.tflite", minimize="ram", overhead=1000.0, measure=False, planner="greedy", **options
    )
    engines = ["numpy", *(name for name in ("host", "unicorn") if engine(name).missing_for("cortex-m4") is None)]
    done = found.verify(engines=engines, random=2, sanitize=True)
    assert done.first_difference is None, str(done.first_difference)
    assert done.engines == engines
    return found.lowered


def test_look_up_and_dense(tmp_path: Path) -> None:
    """Text: an embedding, its mean, two dense layers. Rows cannot help, for there is one row."""
    random = np.random.default_rng(3)
    builder = ModelBuilder()
    tokens = builder.input("tokens", (1, 64), dtype=np.int32)
    table = builder.constant(random.integers(-127, 128, (50, 24)), dtype=np.int8, scale=0.02)
    x = builder.mean(builder.gather(table, tokens, axis=0), [1], out_scale=0.02)
    x = builder.fully_connected(x, random.integers(-127, 128, (16, 24)), weight_scale=0.01, **OUT)
    builder.output(builder.fully_connected(x, random.integers(-127, 128, (2, 16)), weight_scale=0.01, **OUT))
    lowered = compiled_equals(builder.build(), tmp_path)
    assert lowered.plan.pieces[0].kind == "channels"
    assert lowered.choice is not None
    assert lowered.plan.arena_bytes < 0.5 * lowered.choice.untiled_bytes


def test_dense_pair(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    builder = ModelBuilder()
    x = builder.input("x", (1, 40), scale=0.05)
    x = builder.fully_connected(x, random.integers(-127, 128, (400, 40)), weight_scale=0.01, **OUT)
    x = builder.relu(x, **OUT)
    builder.output(builder.fully_connected(x, random.integers(-127, 128, (3, 400)), weight_scale=0.01, **OUT))
    lowered = compiled_equals(builder.build(), tmp_path)
    assert lowered.plan.arena_bytes < 80


@pytest.mark.parametrize("live", ["fan_out", "middle", "fan_out,middle"])
def test_live_layers_in_tiles(live: str, tmp_path: Path) -> None:
    """Adapted tile by tile: the bytes are those of the untiled adapted Graph."""
    random = np.random.default_rng(3)
    builder = ModelBuilder()
    x = builder.input("x", (1, SIDE, SIDE, 3), scale=0.05)
    x = builder.conv_2d(x, random.integers(-127, 128, (64, 1, 1, 3)), weight_scale=0.01, out_scale=0.1, name="fan_out")
    x = builder.depthwise_conv_2d(
        x, random.integers(-127, 128, (1, 3, 3, 64)), weight_scale=0.01, out_scale=0.2, name="middle"
    )
    builder.output(builder.conv_2d(x, random.integers(-127, 128, (2, 1, 1, 64)), weight_scale=0.01, out_scale=0.4))
    data = tmp_path / "data.npz"
    np.savez(data, x=random.integers(-128, 128, (20, SIDE, SIDE, 3)).astype(np.int8))
    lowered = compiled_equals(builder.build(), tmp_path, adapt="fixed", adapt_layers=live, calibrate=data)
    (piece,) = [piece for piece in lowered.plan.pieces if piece.kind == "channels"]
    assert len(piece.operators) == 3 + 2 * len(live.split(","))


def test_widths_are_those_of_kernels() -> None:
    assert widths(64) == [32, 24, 16, 12, 8, 4, 2, 1]
    assert widths(2) == [1]
    assert widths(1) == []
