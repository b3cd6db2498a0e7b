"""--adapt-layers auto: the layers, their costs and what they do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from float_models import needs
from models import keyword_model, residual_model

from driftc.codegen.adaptation import calibrated, fixed
from driftc.codegen.adaptation.adapt import chosen
from driftc.codegen.adaptation.augment import shifts
from driftc.codegen.adaptation.auto import added, alone, shifted, taken, within
from driftc.codegen.adaptation.calibration import measure
from driftc.codegen.adaptation.learning import Learning, Worth
from driftc.codegen.api import compile
from driftc.codegen.errors import UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.lower import lower
from driftc.codegen.operators.adapt.live import Live
from driftc.codegen.options import Options
from driftc.codegen.tensor import Array

Samples = list[tuple[Array, ...]]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    path = tmp_path_factory.mktemp("model") / "residual.tflite"
    path.write_bytes(residual_model())
    return lower(path, Options()).graph


def samples_of(graph: Graph, count: int) -> Samples:
    random = np.random.default_rng(0)
    return [(random.integers(-90, 91, tensor.shape).astype(np.int8),) for tensor in graph.inputs for _ in range(count)]


def worth(graph: Graph, count: int = 4) -> Worth:
    samples = samples_of(graph, count)
    return alone(graph, measure(graph, chosen(graph, "all"), samples), fixed.constants, samples)


def test_what_is_chosen_keeps_within_every_budget(graph: Graph) -> None:
    able, known = chosen(graph, "all"), worth(graph)
    costs = {operator.name: added(operator) for operator in graph.operators if operator.name in able}
    whole = sum(taken(operator) for operator in graph.operators)
    before = 0
    for percent in (100 * cost / whole * 1.001 for cost in np.cumsum(sorted(costs.values()))):
        names = within(graph, able, percent, lambda: known)
        assert names == [name for name in able if name in names]
        assert 0 < sum(costs[name] for name in names) <= percent / 100 * whole
        assert len(names) >= before
        before = len(names)
    assert names == able


def test_a_rank_costs_more_for_each_of_it(graph: Graph) -> None:
    able, known = chosen(graph, "all"), worth(graph, 2)
    operators = [operator for operator in graph.operators if operator.name in able]
    for operator in operators:
        costs = [added(operator, rank) for rank in (0, 1, 8, 16)]
        assert costs == sorted(set(costs))
    whole = sum(taken(operator) for operator in graph.operators)
    percent = 100 * sum(added(operator) for operator in operators) / whole * 1.001
    assert within(graph, able, percent, lambda: pytest.fail("all of them fit")) == able
    assert len(within(graph, able, percent, lambda: known, rank=16)) < len(able)


def given(gains: dict[str, float]) -> Worth:
    return lambda names: {name: gains[name] for name in names}


def test_the_best_for_its_cost_stays(graph: Graph) -> None:
    able = chosen(graph, "all")
    costs = {operator.name: added(operator) for operator in graph.operators if operator.name in able}
    whole = sum(taken(operator) for operator in graph.operators)
    for best in able:
        gains = {name: costs[name] * (2.0 if name == best else 1.0) for name in able}
        assert best in within(graph, able, 100 * max(costs.values()) / whole * 1.001, partial(given, gains))


def test_what_a_layer_does_is_asked_again_when_another_is_gone(graph: Graph) -> None:
    """Two that do the same: one of them can go, and then not the other."""
    able = chosen(graph, "all")
    costs = {operator.name: added(operator) for operator in graph.operators if operator.name in able}
    whole = sum(taken(operator) for operator in graph.operators)
    twins = sorted(able, key=lambda name: costs[name])[:2]

    def known(names: Sequence[str]) -> dict[str, float]:
        both = set(twins) <= set(names)
        return {name: costs[name] * (1 if name not in twins else 0 if both else 9) for name in names}

    percent = 100 * (sum(costs.values()) - 0.999 * sum(costs[name] for name in twins)) / whole
    assert set(twins) & set(within(graph, able, percent, lambda: known))
    nothing = dict.fromkeys(twins, 0.0) | {name: 1.0 for name in able if name not in twins}
    assert not set(twins) & set(within(graph, able, percent, lambda: given(nothing)))


def test_what_layers_do_is_repeatable_and_differs(graph: Graph) -> None:
    able, samples = chosen(graph, "all"), samples_of(graph, 4)
    seen: list[tuple[int, int]] = []
    sources = measure(graph, able, samples)
    known = alone(graph, sources, fixed.constants, samples, lambda done, total: seen.append((done, total)))
    found = known(able)
    assert found == worth(graph)(able)
    assert list(found) == able
    assert len(set(found.values())) > 1
    assert seen[-1] == (len(able), len(able))


@needs("tensorflow", "keras")
def test_what_layers_do_in_a_fit(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that is not there changes what the others are worth; the same is found again."""
    monkeypatch.setattr(calibrated, "LOOKED", 4)
    able, samples = chosen(graph, "all"), samples_of(graph, 16)
    sources = measure(graph, able, samples)
    how = shifts(None, graph, samples)
    first, second = (calibrated.Fitting(graph, lambda: sources, how, Learning()).worth() for _ in range(2))
    whole = first(able)
    assert whole == pytest.approx(second(able), rel=1e-3, abs=1e-5)
    assert len(set(whole.values())) == len(able)
    fewer = first(able[1:])
    assert list(fewer) == able[1:]
    assert any(abs(fewer[name] - whole[name]) > 1e-4 for name in fewer)


def test_a_shifted_sample_is_another(graph: Graph) -> None:
    (sample,) = samples_of(graph, 1)
    one, two = (shifted(sample, graph.inputs, number)[0] for number in (0, 1))
    assert one.dtype == np.int8
    assert np.array_equal(one, shifted(sample, graph.inputs, 0)[0])
    assert not np.array_equal(one, two)


def test_a_budget_for_nothing_is_refused(graph: Graph) -> None:
    with pytest.raises(UsageError, match=r"no layer can be live for so little; .* alone adds about"):
        within(graph, chosen(graph, "all"), 0.01, lambda: pytest.fail("nothing fits"))


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
