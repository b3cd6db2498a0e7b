"""Inverted bottlenecks whose wide rows are made anew: the bytes stay, the RAM goes, the MACs are counted as made."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import ModelBuilder
from operator_cases import examples, seeds
from partly_tiled import assert_equals, graph_of, with_unit
from random_graphs import OUT

from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.graph import Graph
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.codegen.plan.block import Block
from driftc.codegen.plan.call import Loop
from driftc.codegen.plan.candidates import by_rows
from driftc.codegen.plan.propose import untiled
from driftc.codegen.plan.search import Candidate
from driftc.simulator.engines import engine


@st.composite
def bottlenecks(draw: st.DrawFn) -> ModelBuilder:
    """One to three blocks, some with a stride, some with a residual addition, on narrow maps, some behind a stem."""
    random = np.random.default_rng(draw(seeds))
    builder = ModelBuilder()
    x = builder.input("x", (1, draw(st.integers(6, 13)), draw(st.integers(3, 12)), 4), scale=0.05, zero_point=3)
    if draw(st.booleans()):
        filters = random.integers(-127, 128, (4, 3, 3, 4))
        x = builder.conv_2d(x, filters, weight_scale=0.01, stride=draw(st.integers(1, 2)), name="e", **OUT)
    for number in range(draw(st.integers(1, 3))):
        wide = 4 * draw(st.sampled_from([2, 3, 6]))
        stride = draw(st.integers(1, 2))
        y = builder.conv_2d(x, random.integers(-127, 128, (wide, 1, 1, 4)), weight_scale=0.01, name=f"e{number}", **OUT)
        filters = random.integers(-127, 128, (1, 3, 3, wide))
        y = builder.depthwise_conv_2d(y, filters, weight_scale=0.02, stride=stride, name=f"d{number}", **OUT)
        y = builder.conv_2d(y, random.integers(-127, 128, (4, 1, 1, wide)), weight_scale=0.01, name=f"p{number}", **OUT)
        x = builder.add(x, y, **OUT) if y.shape == x.shape and draw(st.booleans()) else y
    builder.output(builder.mean(x, (1, 2), **OUT) if draw(st.booleans()) else x)
    return builder


def in_blocks(graph: Graph) -> list[Candidate]:
    """The candidates in which a bottleneck is a block."""
    return [c for c in by_rows(graph, untiled(graph)) if _blocks(c)]


def _blocks(candidate: Candidate) -> list[Block]:
    stream = candidate.weigh.args[0]  # type: ignore[union-attr]
    return [stage for stage in stream.operators if isinstance(stage, Block)]


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the size of the models here."""
    monkeypatch.setattr("driftc.codegen.plan.candidates.SCRATCH", (24, 60, 150))


@given(bottlenecks(), seeds)
@examples(25)
def test_any_network_of_blocks(builder: ModelBuilder, seed: int) -> None:
    graph = graph_of(builder)
    assert graph is not None
    found = in_blocks(graph)
    for number in np.random.default_rng(seed).permutation(len(found))[:3]:
        plan = with_unit(graph, found[number])
        assert_equals(graph, plan)
        unit = next(piece for piece in plan.pieces if piece.kind)
        assert unit.private >= found[number].private
        made = sum(
            call.rows.count
            * call.channels.count
            * call.computed.macs
            // (call.outputs[0].shape[0] * call.outputs[0].shape[2])
            for call, _ in plan.calls()
            if call.operator.name.startswith("e") and call.operator.name in unit.operators
        )
        counted = unit.macs - sum(
            op.macs for op in graph.operators if op.name in unit.operators and not op.name.startswith("e")
        )
        assert made == counted


def bottleneck(size: int) -> Graph:
    """One on a square map."""
    random = np.random.default_rng(1)
    builder = ModelBuilder()
    x = builder.input("x", (1, size, size, 4), scale=0.05)
    y = builder.conv_2d(x, random.integers(-127, 128, (24, 1, 1, 4)), weight_scale=0.01, **OUT)
    y = builder.depthwise_conv_2d(y, random.integers(-127, 128, (1, 3, 3, 24)), weight_scale=0.02, **OUT)
    builder.output(builder.conv_2d(y, random.integers(-127, 128, (4, 1, 1, 24)), weight_scale=0.01, **OUT))
    graph = graph_of(builder)
    assert graph is not None
    return graph


def test_a_block_needs_less_and_computes_more() -> None:
    graph = bottleneck(12)
    lines = next(c for c in by_rows(graph, untiled(graph)) if c.stop == 3 and not _blocks(c))
    plain = with_unit(graph, lines).pieces[0]
    for candidate in in_blocks(graph):
        (block,) = _blocks(candidate)
        piece = with_unit(graph, candidate).pieces[0]
        assert piece.private < plain.private
        rows, pixels = 3 * 12 - 2, 12 + 2 * (block.strips - 1)  # that are expanded, of 12 and 12
        assert piece.macs - plain.macs == 4 * 24 * (rows * pixels - 12 * 12)
        assert block.width < 24 or block.strips > 1


@given(bottlenecks())
@examples(2)
def test_c_of_blocks(builder: ModelBuilder) -> None:
    for name in ("host", "unicorn"):
        if (absent := engine(name).missing_for("cortex-m4")) is not None:
            pytest.skip(f"{name}: {absent}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.tflite"
        path.write_bytes(builder.build())
        lowered = lower(path, Options(planner="greedy"))
        found = in_blocks(lowered.graph)
        if not found:
            return
        plans = [replace(lowered, plan=with_unit(lowered.graph, candidate)) for candidate in (found[0], found[-1])]
        whole = [Compiled(path.read_bytes(), Options(), each) for each in plans]
        fed = compile(path, planner="greedy", minimize="ram", overhead=1000.0, feed="rows", measure=False)
        for made in (*whole, fed):
            done = made.verify(engines=["numpy", "host", "unicorn"], random=1, sanitize=True)
            assert done.first_difference is None, str(done.first_difference)


def test_tiles_are_a_loop_within_the_loop_over_rows() -> None:
    graph = bottleneck(20)
    (first, *_) = in_blocks(graph)
    (block,) = _blocks(first)
    plan = with_unit(graph, first)
    loops = [statement for statement in plan.program if isinstance(statement, Loop) and statement.variable == "i"]
    inner = [statement for statement in max(loops, key=lambda loop: loop.stop).body if isinstance(statement, Loop)]
    assert {loop.variable for loop in inner} == {"j"}
    assert len(block.tiles) - 1 <= max(loop.stop for loop in inner) <= len(block.tiles)
    calls = sum(len(loop.body) for loop in loops)
    assert calls < sum(1 for _ in plan.calls()) / 20
