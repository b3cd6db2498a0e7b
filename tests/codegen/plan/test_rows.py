"""Operators streamed row by row: every stretch of random graphs, sums over rows, line buffers as short as can be."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import ModelBuilder
from operator_cases import examples, seeds
from partly_tiled import assert_equals, graph_of, with_unit
from random_graphs import OUT, networks

from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.emit.emit import emit
from driftc.codegen.graph import Graph
from driftc.codegen.plan.call import Loop, static_calls
from driftc.codegen.plan.candidates import by_rows
from driftc.codegen.plan.propose import untiled
from driftc.codegen.plan.roll import roll
from driftc.simulator.engines import engine

IMAGE = (1, 12, 9, 4)


@given(networks(), seeds)
@examples(60)
def test_any_stretch_of_any_graph(builder: ModelBuilder, seed: int) -> None:
    graph = graph_of(builder)
    if graph is None:
        return
    found = list(by_rows(graph, untiled(graph)))
    for number in np.random.default_rng(seed).permutation(len(found))[:3]:
        plan = with_unit(graph, found[number])
        assert_equals(graph, plan)
        for call in static_calls(plan.program):
            assert call.rows.count == 1 or call.rows.count == call.outputs[0].shape[0]


@st.composite
def chains(draw: st.DrawFn) -> ModelBuilder:
    """Windows of all kinds one after the other on a taller image: strides, dilation, even kernels, both paddings."""
    random = np.random.default_rng(draw(seeds))
    builder = ModelBuilder()
    x = builder.input("x", (1, draw(st.integers(5, 23)), draw(st.integers(3, 6)), 4), scale=0.05, zero_point=3)
    for _ in range(draw(st.integers(2, 5))):
        height, width = x.shape[1:3]
        kernel = (draw(st.integers(1, min(4, height))), draw(st.integers(1, min(3, width))))
        paddings: tuple[Literal["SAME", "VALID"], ...] = ("SAME", "VALID")
        padding = draw(st.sampled_from(paddings))
        stride = draw(st.integers(1, 2))
        kind = draw(st.sampled_from(["conv", "depthwise", "max_pool", "average_pool", "residual"]))
        if kind == "conv":
            filters = random.integers(-127, 128, (4, *kernel, 4))
            x = builder.conv_2d(x, filters, weight_scale=0.01, stride=stride, padding=padding, **OUT)
        elif kind == "depthwise":
            filters = random.integers(-127, 128, (1, *kernel, 4))
            x = builder.depthwise_conv_2d(x, filters, weight_scale=0.02, stride=stride, padding=padding, **OUT)
        elif kind == "residual":
            filters = random.integers(-127, 128, (4, *kernel, 4))
            x = builder.add(x, builder.conv_2d(x, filters, weight_scale=0.01, **OUT), **OUT)
        else:
            pool = builder.max_pool_2d if kind == "max_pool" else builder.average_pool_2d
            x = pool(x, kernel, stride=stride, padding=padding)
    end = draw(st.sampled_from(["map", "mean", "pool", "dense"]))
    if end == "mean":
        x = builder.mean(x, [1, 2], keep_dims=draw(st.booleans()), **OUT)
    elif end == "pool":
        x = builder.average_pool_2d(x, (x.shape[1], x.shape[2]), padding="VALID")
    elif end == "dense":
        length = int(np.prod(x.shape))
        x = builder.reshape(x, (1, length))
        x = builder.fully_connected(x, random.integers(-127, 128, (5, length)), weight_scale=0.002, **OUT)
        x = builder.fully_connected(x, random.integers(-127, 128, (3, 5)), weight_scale=0.01, **OUT)
    builder.output(x)
    return builder


@given(chains())
@examples(60)
def test_whole_networks(builder: ModelBuilder) -> None:
    graph = graph_of(builder)
    assert graph is not None
    units = untiled(graph)
    (whole,) = [c for c in by_rows(graph, units) if (c.first, c.stop) == (0, len(units))]
    plan = with_unit(graph, whole)
    assert_equals(graph, plan)
    assert whole.private <= plan.pieces[0].private, "the search must not leave out what it thinks too large"


@given(chains())
@examples(6)
def test_c_of_whole_networks(builder: ModelBuilder) -> None:
    for name in ("host", "unicorn"):
        if (absent := engine(name).missing_for("cortex-m4")) is not None:
            pytest.skip(f"{name}: {absent}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.tflite"
        path.write_bytes(builder.build())
        for feed in (None, "rows"):
            found = compile(path, planner="greedy", minimize="ram", overhead=1000.0, feed=feed, measure=False)
            done = found.verify(engines=["numpy", "host", "unicorn"], random=1, sanitize=True)
            assert done.first_difference is None, str(done.first_difference)
            assert done.engines == ["numpy", "host", "unicorn"]


def convolutions(*strides: int) -> Graph:
    random = np.random.default_rng(1)
    builder = ModelBuilder()
    x = builder.input("x", IMAGE, scale=0.05)
    for stride in strides:
        x = builder.conv_2d(x, random.integers(-127, 128, (4, 3, 3, 4)), weight_scale=0.01, stride=stride, **OUT)
    builder.output(x)
    graph = graph_of(builder)
    assert graph is not None
    return graph


def test_lines_are_as_many_as_the_next_window_has() -> None:
    graph = convolutions(1, 1)
    (found,) = by_rows(graph, untiled(graph))
    plan = with_unit(graph, found)
    lines = next(buffer for buffer in plan.buffers() if not buffer.whole_rows)
    assert lines.rows == 3
    assert plan.pieces[0].private == 3 * 9 * 4


def test_a_stride_moves_the_loop_by_two_rows() -> None:
    graph = convolutions(1, 2)
    (found,) = by_rows(graph, untiled(graph))
    loops = [statement for statement in with_unit(graph, found).program if isinstance(statement, Loop)]
    assert [len(loop.body) for loop in loops] == [3]
    assert [dict(call.rows.start.factors)["i"] for call in loops[0].body] == [2, 2, 1]  # type: ignore[union-attr]


def test_rolled_calls_are_the_same_calls() -> None:
    graph = convolutions(1, 2, 1)
    found = next(c for c in by_rows(graph, untiled(graph)) if (c.first, c.stop) == (0, 3))
    plan = with_unit(graph, found)
    flat = [(call.operator.name, call.box(variables).row0) for call, variables in plan.calls()]
    assert len(flat) == len(set(flat)) == 12 + 6 + 6
    assert len(plan.program) < len(flat)
    assert roll([]) == ()


def test_one_function_for_all_rows_of_a_layer() -> None:
    graph = convolutions(1, 2, 1)
    found = next(c for c in by_rows(graph, untiled(graph)) if (c.first, c.stop) == (0, 3))
    plan = with_unit(graph, found)
    code = emit(plan, source="net.tflite", sha256="0" * 64)["net.c"]
    assert code.count("DRIFTC_LAYER void ") == 3
    assert code.count("int row0)") == 3


def test_what_is_normalised_live_is_not_streamed(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    builder = ModelBuilder()
    x = builder.input("x", (1, 40, 30, 4), scale=0.05)
    for name in ("a1", "b2", "c3"):
        weights = random.integers(-127, 128, (4, 3, 3, 4))
        x = builder.conv_2d(x, weights, weight_scale=0.01, stride=2, out_scale=0.5, name=name)
    builder.output(x)
    (tmp_path / "net.tflite").write_bytes(builder.build())
    np.savez(tmp_path / "data.npz", x=random.integers(-128, 128, (20, 40, 30, 4)).astype(np.int8))
    found = compile(
        tmp_path / "net.tflite",
        planner="greedy",
        adapt="fixed",
        adapt_layers="b2",
        calibrate=tmp_path / "data.npz",
        minimize="ram",
        overhead=1000.0,
        feed="rows",
        measure=False,
    )
    kinds = {name: piece.kind for piece in found.lowered.plan.pieces for name in piece.operators}
    assert (kinds["a1"], kinds["b2"]) == ("rows", "")
    (waiting,) = found.report["feed"]["collected"]
    assert waiting["bytes"] == 20 * 15 * 4
    assert found.verify(engines=["numpy"], random=1).bit_exact


def test_folder_takes_up_the_feed_again(tmp_path: Path) -> None:
    builder = ModelBuilder()
    x = builder.input("x", IMAGE, scale=0.05)
    weights = np.random.default_rng(1).integers(-127, 128, (4, 3, 3, 4))
    builder.output(builder.conv_2d(x, weights, weight_scale=0.01, **OUT))
    (tmp_path / "net.tflite").write_bytes(builder.build())
    compile(tmp_path / "net.tflite", planner="greedy", feed="rows", measure=False).write(tmp_path / "net")
    loaded = Compiled.load(tmp_path / "net")
    assert loaded.options.feed == "rows"
    assert loaded.sources["net.c"] == (tmp_path / "net" / "net.c").read_text(encoding="utf-8")
