"""--adapt-layers auto: the layers, their costs and what they do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models import keyword_model, residual_model

from driftc.codegen.adaptation.adapt import chosen
from driftc.codegen.adaptation.auto import added, benefits, shifted, taken, within
from driftc.codegen.api import compile
from driftc.codegen.errors import UsageError
from driftc.codegen.graph import Array, Graph
from driftc.codegen.lower import lower
from driftc.codegen.operators.live import Live
from driftc.codegen.options import Options

Samples = list[tuple[Array, ...]]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    path = tmp_path_factory.mktemp("model") / "residual.tflite"
    path.write_bytes(residual_model())
    return lower(path, Options()).graph


def samples_of(graph: Graph, count: int) -> Samples:
    random = np.random.default_rng(0)
    return [(random.integers(-90, 91, tensor.shape).astype(np.int8),) for tensor in graph.inputs for _ in range(count)]


def test_what_is_chosen_keeps_within_every_budget(graph: Graph) -> None:
    able, samples = chosen(graph, "all"), samples_of(graph, 4)
    costs = {operator.name: added(operator) for operator in graph.operators if operator.name in able}
    whole = sum(taken(operator) for operator in graph.operators)
    before = 0
    for percent in (100 * cost / whole * 1.001 for cost in np.cumsum(sorted(costs.values()))):
        names = within(graph, able, samples, percent, None)
        assert names == [name for name in able if name in names]
        assert 0 < sum(costs[name] for name in names) <= percent / 100 * whole
        assert len(names) >= before
        before = len(names)
    assert names == able


def test_a_rank_costs_more_for_each_of_it(graph: Graph) -> None:
    able, samples = chosen(graph, "all"), samples_of(graph, 2)
    operators = [operator for operator in graph.operators if operator.name in able]
    for operator in operators:
        costs = [added(operator, rank) for rank in (0, 1, 8, 16)]
        assert costs == sorted(set(costs))
    whole = sum(taken(operator) for operator in graph.operators)
    percent = 100 * sum(added(operator) for operator in operators) / whole * 1.001
    assert within(graph, able, samples, percent, None) == able
    assert len(within(graph, able, samples, percent, None, rank=16)) < len(able)


def test_the_best_for_its_cost_comes_first(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    able = chosen(graph, "all")
    costs = {operator.name: added(operator) for operator in graph.operators if operator.name in able}
    whole = sum(taken(operator) for operator in graph.operators)
    for best in able:
        gains = {name: costs[name] * (2.0 if name == best else 1.0) for name in able}
        monkeypatch.setattr("driftc.codegen.adaptation.auto.benefits", lambda *_, gains=gains: gains)
        assert best in within(graph, able, [], 100 * max(costs.values()) / whole * 1.001, None)


def test_benefits_are_repeatable_and_differ(graph: Graph) -> None:
    able, samples = chosen(graph, "all"), samples_of(graph, 4)
    seen: list[tuple[int, int]] = []
    found = benefits(graph, able, samples, lambda done, total: seen.append((done, total)))
    assert found == benefits(graph, able, samples)
    assert list(found) == able
    assert len(set(found.values())) > 1
    assert seen[-1] == (len(able), len(able))


def test_a_shifted_sample_is_another(graph: Graph) -> None:
    (sample,) = samples_of(graph, 1)
    one, two = (shifted(sample, graph.inputs, number)[0] for number in (0, 1))
    assert one.dtype == np.int8
    assert np.array_equal(one, shifted(sample, graph.inputs, 0)[0])
    assert not np.array_equal(one, two)


def test_a_budget_for_nothing_is_refused(graph: Graph) -> None:
    with pytest.raises(UsageError, match=r"no layer can be live for so little; .* alone adds about"):
        within(graph, chosen(graph, "all"), samples_of(graph, 2), 0.01, None)


def test_through_the_api(tmp_path: Path) -> None:
    path, data = tmp_path / "keyword.tflite", tmp_path / "samples.npz"
    path.write_bytes(keyword_model(channels=8))
    graph = lower(path, Options()).graph
    np.savez(data, x=np.concatenate([sample[0] for sample in samples_of(graph, 16)]))
    made = compile(path, adapt="fixed", calibrate=data, adapt_layers="auto", adapt_budget=30, measure=False)
    live = [operator.name for operator in made.lowered.graph.operators if isinstance(operator, Live)]
    able = chosen(graph, "all")
    assert 0 < len(live) < len(able)
    assert f"within 30 % more instructions: {len(live)} of {len(able)} layers: {', '.join(live)}" in made.notes[-1]
    for layers, message in (("all", "give both"), ("auto", "above 0")):
        with pytest.raises(UsageError, match=message):
            compile(path, adapt="fixed", calibrate=data, adapt_budget=-1.0, adapt_layers=layers, measure=False)
