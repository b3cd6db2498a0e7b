"""The fit: its network is the model, it starts at the fixed blend, and it makes shifted samples agree more."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from float_models import needs
from models import residual_model

from driftc.codegen.adaptation import calibrated, fixed
from driftc.codegen.adaptation.adapt import chosen
from driftc.codegen.adaptation.augment import Shifts, shifts
from driftc.codegen.adaptation.calibration import Source, measure
from driftc.codegen.adaptation.constants import Constants
from driftc.codegen.adaptation.learning import Learning
from driftc.codegen.adaptation.network import Network
from driftc.codegen.api import compile
from driftc.codegen.errors import ToolError
from driftc.codegen.graph import Graph
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.codegen.tensor import Array
from driftc.simulator.reference import run_graph

needs_tensorflow = needs("tensorflow", "keras")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    path = tmp_path_factory.mktemp("model") / "ic.tflite"
    path.write_bytes(residual_model())
    return lower(path, Options()).model


@pytest.fixture(scope="module")
def samples(graph: Graph) -> list[tuple[Array, ...]]:
    random = np.random.default_rng(4)
    return [(random.integers(-100, 100, graph.inputs[0].shape).astype(np.int8),) for _ in range(16)]


@pytest.fixture(scope="module")
def sources(graph: Graph, samples: list[tuple[Array, ...]]) -> Mapping[str, Source]:
    return measure(graph, chosen(graph, "all"), samples)


@pytest.fixture(scope="module")
def copies(graph: Graph, samples: list[tuple[Array, ...]]) -> Shifts:
    return shifts(None, graph, samples)


def fit(
    graph: Graph, sources: Mapping[str, Source], copies: Shifts, learning: Learning | None = None
) -> dict[str, Constants]:
    return calibrated.Fitting(graph, lambda: sources, copies, learning or Learning()).fit()


def take_steps(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrated, "STEPS", count)
    monkeypatch.setattr(calibrated, "EPOCHS", 0)


@needs_tensorflow
def test_network_is_the_model(graph: Graph, samples: list[tuple[Array, ...]]) -> None:
    tensor = graph.inputs[0]
    x = np.concatenate([sample[0] for sample in samples]).astype(np.float32)
    found = np.asarray(Network(graph).run((x - tensor.zero_point) * np.float32(tensor.scale)))
    logits = graph.operators[-1].inputs[0]
    wanted = np.concatenate([run_graph(graph, sample)[logits.name] for sample in samples]).astype(np.float32)
    wanted = (wanted - logits.zero_point) * np.float32(logits.scale)
    assert np.abs(found - wanted).max() <= 6 * logits.scale  # the roundings that the network leaves out


@needs_tensorflow
def test_fit_starts_at_the_fixed_blend(
    graph: Graph, sources: Mapping[str, Source], copies: Shifts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrated, "KEPT", 1.0)
    take_steps(0, monkeypatch)
    for name, constants in fit(graph, sources, copies).items():
        start = fixed.constants(sources[name])
        for key in ("dm", "cm", "dv", "cv"):
            assert np.allclose(getattr(constants, key), getattr(start, key), rtol=1e-4, atol=1e-4)


@needs_tensorflow
def test_fit_moves_and_repeats(
    graph: Graph, sources: Mapping[str, Source], copies: Shifts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrated, "KEPT", 1.0)
    take_steps(5, monkeypatch)
    first, second = (fit(graph, sources, copies) for _ in range(2))
    assert any(np.abs(first[name].dm - 0.3).max() > 0.01 for name in sources)
    assert all(np.allclose(first[name].cv, second[name].cv, atol=1e-5) for name in sources)


@needs_tensorflow
def test_a_share_is_kept_of_what_is_learnt(
    graph: Graph, sources: Mapping[str, Source], copies: Shifts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the line from the source network, whose statistics are its own, to the fitted one."""
    take_steps(2, monkeypatch)
    found = []
    for kept in (0.0, 0.5, 1.0):
        monkeypatch.setattr(calibrated, "KEPT", kept)
        found.append(fit(graph, sources, copies, Learning(rank=2)))
    source, half, whole = found
    for name, constants in source.items():
        assert not constants.dm.any()
        assert not constants.dv.any()
        assert np.allclose(constants.cm, sources[name].mean)
        assert np.allclose(constants.cv, np.log2(sources[name].var + sources[name].eps))
        for key in ("dm", "cm", "dv", "cv"):
            between = (getattr(constants, key) + getattr(whole[name], key)) / 2
            assert np.allclose(getattr(half[name], key), between, atol=1e-5)
        ranks = [one[name].rank for one in found]
        assert all(rank is not None for rank in ranks)
        ups = [rank.up for rank in ranks if rank is not None]
        assert np.abs(ups[2]).max() > 0
        assert np.allclose(ups[1], ups[2] / 2, atol=1e-6)
        assert not ups[0].any()


@needs_tensorflow
def test_what_is_learnt_is_held_near_the_source(
    graph: Graph, sources: Mapping[str, Source], copies: Shifts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gains and B go to 0, and what a sample with the source's statistics is moved by, whatever they are."""
    take_steps(150, monkeypatch)
    monkeypatch.setattr(calibrated, "RATE", 0.05)
    monkeypatch.setattr(calibrated, "KEPT", 1.0)
    elsewhere = {name: replace(one, mean=one.mean + 0.1 * np.sqrt(one.var)) for name, one in sources.items()}
    found = []
    for held in (0.01, 1e9):
        monkeypatch.setattr(calibrated, "HELD", held)
        found.append(fit(graph, elsewhere, copies, Learning(rank=2)))
    for name, near in found[0].items():
        far, source = found[1][name], elsewhere[name]
        log_source = np.log2(source.var + source.eps)
        for gain, constant, own in (("dm", "cm", source.mean), ("dv", "cv", log_source)):
            gains = [np.abs(getattr(one, gain)).mean() for one in (near, far)]
            moves = [np.abs(getattr(one, gain) * own + getattr(one, constant) - own).mean() for one in (near, far)]
            assert gains[0] < 0.5 * gains[1]
            assert moves[0] < 0.5 * moves[1]
        assert near.rank is not None
        assert far.rank is not None
        assert np.abs(near.rank.up).mean() < 0.5 * np.abs(far.rank.up).mean()


@needs_tensorflow
def test_more_weight_on_what_is_not_shifted_stays_nearer_to_the_source(
    graph: Graph, sources: Mapping[str, Source], copies: Shifts, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_steps(30, monkeypatch)
    monkeypatch.setattr(calibrated, "RATE", 0.05)
    believed = [
        np.mean([np.abs(constants.dm).mean() for constants in found.values()])
        for weight in (0.0, 1000.0)
        for found in [fit(graph, sources, copies, Learning(clean=weight))]
    ]
    assert believed[0] > believed[1] * 1.1


@needs_tensorflow
def test_a_rank_starts_without_effect(
    graph: Graph, sources: Mapping[str, Source], copies: Shifts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrated, "KEPT", 1.0)
    take_steps(0, monkeypatch)
    for name, constants in fit(graph, sources, copies, Learning(rank=3)).items():
        assert constants.rank is not None
        assert constants.rank.down.shape == (3, 2 * constants.dm.size)
        assert np.abs(constants.rank.down).max() > 0
        assert not constants.rank.up.any()
        assert np.allclose(constants.cm, fixed.constants(sources[name]).cm, rtol=1e-4, atol=1e-4)


@needs_tensorflow
def test_a_rank_is_learnt_and_repeats(
    graph: Graph, samples: list[tuple[Array, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the file to C: what is compiled is what was learnt."""
    take_steps(5, monkeypatch)
    (tmp_path / "ic.tflite").write_bytes(residual_model())
    np.savez(tmp_path / "x.npz", x=np.concatenate([sample[0] for sample in samples]))
    first, second = (
        compile(tmp_path / "ic.tflite", adapt="calibrated", adapt_rank=2, calibrate=tmp_path / "x.npz", measure=False)
        for _ in range(2)
    )
    assert first.lowered.adaptation is not None
    assert second.lowered.adaptation is not None
    for name, constants in first.lowered.adaptation.layers.items():
        again = second.lowered.adaptation.layers[name].rank
        assert constants.rank is not None
        assert again is not None
        assert np.abs(constants.rank.up).max() > 0.01
        assert np.allclose(constants.rank.up, again.up, atol=1e-4)
    first.write(tmp_path / "out")
    given = compile(tmp_path / "ic.tflite", adapt_constants=tmp_path / "out" / "adaptation.json", measure=False)
    assert given.sources == first.sources
    assert given.verify(engines=["numpy"], random=1).bit_exact


@needs_tensorflow
def test_unpaired_samples_fit(
    graph: Graph, sources: Mapping[str, Source], copies: Shifts, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_steps(5, monkeypatch)
    unpaired = replace(copies, paired=False)
    first, second, other = (fit(graph, sources, how) for how in (unpaired, unpaired, copies))
    for name in sources:
        assert np.isfinite(first[name].dm).all()
        assert np.allclose(first[name].cv, second[name].cv, atol=1e-5)
    assert any(np.abs(first[name].dm - other[name].dm).max() > 0.01 for name in sources)


def test_without_tensorflow(graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ToolError, match="needs tensorflow"):
        Network(graph)
    (tmp_path / "ic.tflite").write_bytes(residual_model())
    np.save(tmp_path / "x.npy", np.zeros((16, 16, 16, 3), np.int8))
    with pytest.raises(ToolError, match="needs tensorflow"):
        compile(tmp_path / "ic.tflite", adapt="calibrated", calibrate=tmp_path / "x.npy", measure=False)
