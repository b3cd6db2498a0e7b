"""Float models made int8: near the float model, the same bytes on every reference, and honest losses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float_models import MODELS, residual, samples, separable
from oracle import Oracle, interpret, load_bytes

from driftc.codegen import lower
from driftc.codegen.errors import ModelError, UsageError
from driftc.codegen.evaluate import evaluate
from driftc.codegen.graph import Graph
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.options import Options
from driftc.codegen.passes.activate import activate
from driftc.codegen.passes.fold import fold
from driftc.codegen.passes.match import match_litert
from driftc.codegen.quantize import calibration
from driftc.codegen.quantize.calibration import Calibration
from driftc.codegen.quantize.equalize import equalize
from driftc.codegen.quantize.post_training import Quantized, Settings, quantize_graph, refuse_int8
from driftc.codegen.quantize.tune import _decibels
from driftc.simulator.reference import GraphRun
from driftc.simulator.references import ReferenceRefused

CACHE: dict[tuple[str, Settings], Quantized] = {}


def made(name: str, settings: Settings | None = None) -> Quantized:
    settings = settings or Settings()
    if (name, settings) not in CACHE:
        graph = MODELS[name]()
        CACHE[name, settings] = quantize_graph(graph, calibration.check(graph, [samples()], "x.npz"), settings)
    return CACHE[name, settings]


def outputs(found: Quantized, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the int8 Graph gives, as reals."""
    tensor, out = found.graph.inputs[0], found.graph.outputs[0]
    steps = np.clip(np.rint(x / tensor.scale) + tensor.zero_point, -128, 127).astype(np.int8)
    graph = load_bytes(found.model)
    index = graph.outputs[0].index
    assert index is not None
    rows = [interpret(GraphRun(graph), [sample[np.newaxis]])[index] for sample in steps]
    return (np.concatenate(rows).astype(np.float64) - out.zero_point) * out.scale


@pytest.mark.parametrize("huge", ["sample", "weight"])
def test_what_overflows_is_refused_by_name(huge: str) -> None:
    """A finite sample that overflows inside the network kept the search for its range going for ever."""
    graph, x = residual(), samples()
    if huge == "sample":
        x[3] = np.float32(3e38)
    else:
        first = next(operator for operator in graph.operators if isinstance(operator, Weighted))
        assert first.weights.data is not None
        first.weights.data[:] = np.float32(3e38)
    with pytest.raises(ModelError, match=r"^net\.h5: '\w+' \(\w+\) computes infinite values or NaN"):
        quantize_graph(graph, Calibration((x,), ()), Settings())


@pytest.mark.parametrize("ranges", ["mse", "minmax", "percentile"])
@pytest.mark.parametrize("name", MODELS)
def test_near_the_float_model(name: str, ranges: str) -> None:
    found = made(name, Settings(ranges=ranges))
    x = samples(24, seed=9)
    (wanted,) = evaluate(found.real, [x])
    got = outputs(found, x)
    signal, noise = np.mean(wanted**2), np.mean((wanted - got) ** 2)
    assert 10 * np.log10(signal / noise) > 15, name


@pytest.fixture(scope="module", params=["tflm", "ai_edge_litert"])
def reference(request: pytest.FixtureRequest) -> Iterator[Oracle]:
    oracle = Oracle(request.param)
    if (missing := oracle.missing()) is not None:
        pytest.skip(missing)
    yield oracle
    oracle.close()


@pytest.mark.parametrize("name", MODELS)
def test_references_give_the_same_bytes(name: str, reference: Oracle) -> None:
    """Every tensor of the written .tflite."""
    found = made(name)
    graph = load_bytes(found.model)
    if reference.kind != "tflm":
        graph = match_litert(graph)
    shape = graph.inputs[0].shape
    given = [[np.random.default_rng(seed).integers(-128, 128, shape, dtype=np.int8)] for seed in range(2)]
    expected = reference.run(found.model, given)
    assert not isinstance(expected, ReferenceRefused), expected
    for sample, wanted in zip(given, expected, strict=True):
        for index, result in interpret(GraphRun(graph), sample).items():
            assert np.array_equal(wanted[index], result), graph.tensors


def test_same_bytes_again() -> None:
    graph = residual()
    again = quantize_graph(graph, calibration.check(graph, [samples()], "x.npz"), Settings())
    assert again.model == made("residual").model


def test_the_file_lowers_to_a_plan(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    made("residual").write(path)
    assert lower.lower(path, Options()).plan.arena_bytes > 0


def test_float_border(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    made("separable", Settings(float_border=True)).write(path)
    lowered = lower.lower(path, Options(float_io=True))
    assert {tensor.dtype.name for tensor in lowered.source.inputs} == {"float32"}
    assert len(lowered.graph.float_border) == 2


def test_joined_inputs_get_a_quantize_of_their_own() -> None:
    found = [operator.kind for operator in made("joined").graph.operators]
    assert found.count("QUANTIZE") >= 1


def test_bias_correction_takes_the_mean_error_out() -> None:
    def bias(settings: Settings) -> float:
        x = samples()
        found = made("separable", settings)
        return float(np.abs((outputs(found, x) - evaluate(found.real, [x])[0]).mean(axis=0)).mean())

    assert bias(Settings()) < 0.5 * bias(Settings(correct_bias=False))


def test_equalization_keeps_the_reals_and_evens_the_channels() -> None:
    graph = activate(fold(separable()))
    x = [samples(32)]
    even, _ = equalize(graph, x)
    assert np.allclose(evaluate(graph, x)[0], evaluate(even, x)[0], atol=1e-4)

    def noise(settings: Settings) -> float:
        found = made("separable", settings)
        return float(
            np.mean((outputs(found, samples(24, seed=9)) - evaluate(found.real, [samples(24, seed=9)])[0]) ** 2)
        )

    assert noise(Settings(equalize=True)) < noise(Settings(equalize=False))


def test_losses_name_every_layer() -> None:
    found = made("residual")
    layers = {loss.layer for loss in found.losses}
    weighted = {op.label for op in activate(fold(found.real)).operators if op.kind.endswith(("CONV_2D", "CONNECTED"))}
    assert weighted <= layers
    assert all(loss.own >= loss.total - 6 and 5 < loss.total < 90 for loss in found.losses)
    stored = json.loads(json.dumps(found.as_json()))
    assert stored["layers"][0].keys() == {"layer", "operator", "own_db", "total_db"}


def test_a_channel_of_zeros_and_a_large_bias() -> None:
    graph = separable()
    first = graph.operators[0]
    first.weights.data[0] = 0  # type: ignore[attr-defined]
    first.bias.data[0] = 100  # type: ignore[attr-defined]
    found = quantize_graph(graph, calibration.check(graph, [samples()], "x.npz"), Settings())
    assert isinstance(found.graph, Graph)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="is quantised already"):
        refuse_int8(made("residual").graph)
    with pytest.raises(UsageError, match="ranges 'best' are unknown"):
        Settings(ranges="best")
    with pytest.raises(ModelError, match="must be folded"):
        for operator in residual().operators:
            if operator.kind == "BATCH_NORMALIZATION":
                operator.check()


def test_losses_of_values_whose_squares_no_float32_holds() -> None:
    """NumPy warned, and the loss was no number (found by the fuzzer)."""
    want = np.array([3e25, -1e25], np.float32)
    assert _decibels(want, want * np.float32(0.9)) == 20.0
