"""The search for operators in parts: as good as every partition tried, within its budgets, the same C every time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from models import ModelBuilder
from operator_cases import examples
from random_graphs import networks
from row_units import by_rows

from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import FitError, ModelError, UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.codegen.plan import candidates
from driftc.codegen.plan.check import check
from driftc.codegen.plan.choose import Goal, choose
from driftc.codegen.plan.propose import arrange, untiled
from driftc.codegen.plan.search import Edge, Roads
from driftc.simulator.reference import PlanRun, run_graph

pytest.importorskip("ortools", reason="ortools is not installed")


@pytest.fixture(autouse=True)
def second_opinion(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of tests/support are candidates too: a way that shares nothing with those of the planner."""
    monkeypatch.setattr(candidates, "WAYS", [*candidates.WAYS, by_rows])


def graph_of(builder: ModelBuilder, folder: Path) -> Graph | None:
    """The lowered Graph; None where it only renames its inputs."""
    (folder / "net.tflite").write_bytes(builder.build())
    try:
        return lower(folder / "net.tflite", Options(planner="greedy")).graph
    except ModelError:
        return None


def partitions(roads: Roads, position: int = 0) -> Iterator[tuple[Edge, ...]]:
    if position == len(roads.order):
        yield ()
        return
    for edge in roads.edges[position]:
        if not edge.barred:
            yield from ((edge, *rest) for rest in partitions(roads, edge.candidate.stop))


@given(networks(most=8))
@examples(60)
def test_front_is_that_of_every_partition(builder: ModelBuilder) -> None:
    with tempfile.TemporaryDirectory() as name:
        graph = graph_of(builder, Path(name))
    if graph is None:
        return
    order = untiled(graph)
    roads = Roads(graph, order, candidates.candidates(graph, order))
    found = {(label.bytes, label.cycles) for label in roads.smallest()}
    for edges in roads.edges:
        for edge in edges:
            estimate = edge.bytes
            if edge.unit is None:
                roads._make(edge)
                assert edge.barred or estimate <= edge.bytes, "the search leaves out what an estimate makes too large"
    points = [
        (max(roads.start, *(edge.bytes for edge in road)), sum(edge.cycles for edge in road))
        for road in partitions(roads)
    ]
    best = {p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] + 1e-6 for q in points)}
    assert {size for size, _ in best} <= {size for size, _ in found}
    assert len(found) <= len(points)
    for size, extra in best:
        assert min(cost for bytes_, cost in found if bytes_ == size) == pytest.approx(extra, abs=1e-3)


@given(networks())
@examples(60)
def test_numpy_on_the_bytes_of_searched_plans(builder: ModelBuilder) -> None:
    with tempfile.TemporaryDirectory() as name:
        graph = graph_of(builder, Path(name))
    if graph is None:
        return
    random = np.random.default_rng(3)
    inputs = [random.integers(-128, 128, tensor.shape).astype(np.int8) for tensor in builder.inputs]
    values = run_graph(graph, inputs)
    plain = choose(graph, "greedy", Goal()).point.plan
    for planner in ("greedy", "optimal"):
        least = choose(graph, planner, Goal(minimize="ram", overhead=1000.0)).point
        tight = choose(graph, planner, Goal(ram=least.bytes))
        assert least.bytes <= plain.arena_bytes
        assert tight.met
        assert tight.point.bytes <= least.bytes
        assert tight.point.extra <= max(least.extra, 0.0)
        for plan in (least.plan, tight.point.plan):
            check(plan)
            assert [operator for piece in plan.pieces for operator in piece.operators]
            outputs, layers = PlanRun(plan, poison=0xA5).run(inputs)
            for tensor, output in zip(plan.output_tensors, outputs, strict=True):
                np.testing.assert_array_equal(output, values[tensor.name].reshape(output.shape))
            for tensor, layer in zip(plan.layers, layers, strict=True):
                np.testing.assert_array_equal(layer, values[tensor.name].reshape(layer.shape))


@given(networks(most=8))
@examples(40)
def test_every_candidate_computes_the_graph(builder: ModelBuilder) -> None:
    """Alone among whole operators, whether a search would take it or not."""
    with tempfile.TemporaryDirectory() as name:
        graph = graph_of(builder, Path(name))
    if graph is None:
        return
    random = np.random.default_rng(4)
    inputs = [random.integers(-128, 128, tensor.shape).astype(np.int8) for tensor in builder.inputs]
    values = run_graph(graph, inputs)
    order = untiled(graph)
    for candidate in candidates.candidates(graph, order):
        unit = candidate.make()
        if unit is None:
            continue
        plan = arrange(graph, [*order[: candidate.first], unit, *order[candidate.stop :]], "greedy")
        check(plan)
        outputs, layers = PlanRun(plan, poison=0xA5).run(inputs)
        for tensor, output in zip(plan.output_tensors, outputs, strict=True):
            np.testing.assert_array_equal(output, values[tensor.name].reshape(output.shape))
        for tensor, layer in zip(plan.layers, layers, strict=True):
            np.testing.assert_array_equal(layer, values[tensor.name].reshape(layer.shape))


def tall(folder: Path) -> Path:
    """A chain whose middle is large: rows help it."""
    rng = np.random.default_rng(11)
    builder = ModelBuilder()
    x = builder.input("x", (1, 16, 8, 2), scale=0.05, zero_point=3)
    for number, (channels, stride) in enumerate(((16, 1), (16, 1), (4, 2))):
        x = builder.conv_2d(
            x,
            rng.integers(-127, 128, (channels, 3, 3, x.shape[3])),
            weight_scale=0.01,
            stride=stride,
            out_scale=0.05,
            out_zero_point=3,
            name=f"conv_{number}",
        )
    builder.output(x)
    path = folder / "tall.tflite"
    path.write_bytes(builder.build())
    return path


def test_a_budget_tiles_as_far_as_it_must(tmp_path: Path) -> None:
    path = tall(tmp_path)
    plain = compile(path, measure=False)
    front = plain.pareto()
    sizes = [point.bytes for point in front]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == plain.report["arena_bytes"]
    assert len(front) > 1
    for point in front:
        made = compile(path, measure=False, ram=point.bytes)
        assert made.report["arena_bytes"] <= point.bytes
        assert made.report["tiling"]["untiled_bytes"] == sizes[0]
    assert {unit["kind"] for unit in plain.report["units"]} == {"whole"}
    assert {unit["kind"] for unit in compile(path, measure=False, minimize="ram").report["units"]} != {"whole"}
    assert compile(path, measure=False, ram=sizes[0]).sources == plain.sources


def test_a_budget_that_cannot_be_met(tmp_path: Path) -> None:
    path = tall(tmp_path)
    least = compile(path, measure=False).pareto()[-1].bytes
    with pytest.raises(FitError) as caught:
        compile(path, measure=False, ram=100)
    message = str(caught.value)
    assert "--ram 100 cannot be met" in message
    assert f"the least is {least:,} B" in message
    assert "makes the peak, with '" in message
    assert compile(path, measure=False, ram=least).report["arena_bytes"] == least


def test_no_overhead_allowed(tmp_path: Path) -> None:
    found = compile(tall(tmp_path), measure=False, minimize="ram", overhead=0.0)
    assert found.report["tiling"]["extra_cycles"] <= 0.0


def test_folder_reloads_to_the_same_c(tmp_path: Path) -> None:
    for options in ({"ram": 2000}, {"minimize": "ram", "overhead": 3.5}):
        made = compile(tall(tmp_path), measure=False, planner="greedy", **options)
        made.write(tmp_path / "made")
        again = Compiled.load(tmp_path / "made")
        assert again.sources == made.sources
        assert again.edited() == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"ram": 0}, "ram 0"),
        ({"ram": True}, "wrong type"),
        ({"ram": 1.5}, "wrong type"),
        ({"minimize": "flash"}, "minimize 'flash' is unknown"),
        ({"overhead": -1.0}, "overhead -1.0"),
        ({"overhead": float("nan")}, "overhead nan"),
    ],
)
def test_options_that_mean_nothing(options: dict[str, object], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        Options(**options)  # type: ignore[arg-type]


def test_a_dense_layer_behind_a_flattened_map_of_one_row(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    builder = ModelBuilder()
    x = builder.input("x", (1, 1, 6, 2), scale=0.05, zero_point=3)
    x = builder.conv_2d(x, rng.integers(-127, 128, (8, 1, 1, 2)), weight_scale=0.01, out_scale=0.05, out_zero_point=3)
    x = builder.conv_2d(x, rng.integers(-127, 128, (8, 1, 3, 8)), weight_scale=0.01, out_scale=0.05, out_zero_point=3)
    x = builder.reshape(x, (1, 48))
    weights = rng.integers(-127, 128, (4, 48))
    builder.output(builder.fully_connected(x, weights, weight_scale=0.01, out_scale=0.05, out_zero_point=3))
    graph = graph_of(builder, tmp_path)
    assert graph is not None
    order = untiled(graph)
    for candidate in candidates.candidates(graph, order):
        unit = candidate.make()
        if unit is not None:
            units = [*order[: candidate.first], unit, *order[candidate.stop :]]
            check(arrange(graph, units, "greedy"))


def test_scratch_takes_no_bytes_from_the_least_arena(tmp_path: Path) -> None:
    """Faster kernels, whose scratch fits beside each layer by itself, leave gaps; those of every core do not."""
    builder, random = ModelBuilder(), np.random.default_rng(5)
    x = builder.input("x", (1, 160), scale=0.05, zero_point=-3)
    for width in (32, 32, 32, 32, 8, 32, 32, 32, 32, 160):
        weights = random.integers(-127, 128, (width, x.shape[1]), np.int8)
        bias = random.integers(-500, 500, width, np.int32)
        x = builder.fully_connected(x, weights, bias, weight_scale=0.004, out_scale=0.05, out_zero_point=-128)
    builder.output(x)
    path = tmp_path / "dense.tflite"
    path.write_bytes(builder.build())
    for core in ("cortex-m3", "cortex-m4"):
        found = compile(path, core=core, planner="greedy", measure=False, minimize="ram", overhead=1000.0)
        assert found.lowered.plan.arena_bytes == 192
