"""Float models from frameworks, followed to the end: imported, quantised, and run by TFLite Micro."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from oracle import Kind, Oracle, interpret, load_bytes

from driftc.codegen.evaluate import evaluate
from driftc.codegen.frontends import load_model
from driftc.codegen.graph import Graph
from driftc.codegen.passes.fold import fold
from driftc.codegen.passes.match import match_litert
from driftc.codegen.quantize import calibration
from driftc.codegen.quantize.post_training import Quantized, Settings, quantize_graph
from driftc.codegen.tensor import Tensor
from driftc.simulator.reference import GraphRun
from driftc.simulator.references import ReferenceRefused

Array = NDArray[Any]
SAMPLES = 24
Function = Callable[[Any, Any, Any], Any]  # (torch, nn.functional, an image of [1, 4, 6, 5]) -> results
ORACLES: dict[Kind, Oracle] = {"tflm": Oracle("tflm"), "ai_edge_litert": Oracle("ai_edge_litert")}


def imported(path: Path) -> Graph:
    """The Graph, whose note must say that it equals the framework."""
    graph = load_model(path)
    found = [re.fullmatch(r"imported: equals (.+) within (\S+) on 3 random inputs", note) for note in graph.notes]
    (said,) = (match for match in found if match)
    assert 0 <= float(said[2]) <= 1e-4, graph.notes
    return graph


def check_kept(graph: Graph, framework: str, norms: int) -> list[str]:
    """The kinds of its operators; it equals the framework, with `norms` normalisations and no transpose."""
    found = re.fullmatch(rf"imported: equals {framework} \S+ within (\S+) on 3 random inputs", graph.notes[-1])
    assert found and 0 <= float(found[1]) <= 1e-4, graph.notes
    assert kinds(graph).count("BATCH_NORMALIZATION") == norms
    assert "TRANSPOSE" not in kinds(graph)
    fold(graph).check()
    return kinds(graph)


def quantized(graph: Graph, spread: float = 1.0) -> Quantized:
    """On random samples, uniform within +-`spread`."""
    columns = [_samples(tensor, SAMPLES, 1, spread) for tensor in graph.inputs]
    return quantize_graph(graph, calibration.check(graph, columns, "random.npz"), Settings())


def _samples(tensor: Tensor, count: int, seed: int, spread: float) -> Array:
    """Reals within +-`spread`; indices below 4, the same for every seed, of which few meet all."""
    if tensor.dtype == np.int32:
        return np.random.default_rng(0).integers(0, 4, (count, *tensor.shape[1:]), np.int32)
    random = np.random.default_rng(seed)
    return random.uniform(-spread, spread, (count, *tensor.shape[1:])).astype(np.float32)


def check_int8(graph: Graph, decibels: float = 20.0, spread: float = 1.0) -> Quantized:
    """The int8 model follows the float one on other samples, and a reference gives its bytes."""
    made = quantized(graph, spread)
    reals = [_samples(tensor, 8, 2, spread) for tensor in graph.inputs]
    model = load_bytes(made.model)
    steps = [
        x if t.dtype != np.int8 else np.clip(np.rint(x / t.scale) + t.zero_point, -128, 127).astype(np.int8)
        for x, t in zip(reals, model.inputs, strict=True)
    ]
    samples = [[column[n : n + 1] for column in steps] for n in range(8)]
    found = [interpret(GraphRun(model), sample) for sample in samples]
    for tensor, wanted in zip(model.outputs, evaluate(graph, reals), strict=True):
        assert tensor.index is not None
        got = np.concatenate([results[tensor.index] for results in found]).astype(np.float64)
        if tensor.dtype != np.int8:  # an index, which near values may change
            assert np.mean(got == wanted) > 0.8, tensor.label
            continue
        error = (got - tensor.zero_point) * tensor.scale - wanted
        ratio = 10 * np.log10(np.mean(wanted.astype(np.float64) ** 2) / np.mean(error**2))
        assert ratio > decibels, (tensor.label, ratio, [loss.as_json() for loss in made.losses])
    if not _same_bytes(made.model, samples[:3], "tflm"):
        assert _same_bytes(made.model, samples[:3], "ai_edge_litert"), "no reference runs it"
    return made


def _same_bytes(model: bytes, samples: list[list[Array]], kind: Kind) -> bool:
    """False where the reference does not run the model; fails where it gives other bytes. True where it is absent."""
    if ORACLES[kind].missing() is not None:
        return True
    results = ORACLES[kind].run(model, samples)
    if isinstance(results, ReferenceRefused):
        return False
    graph = load_bytes(model)
    run = GraphRun(graph if kind == "tflm" else match_litert(graph))
    for sample, theirs in zip(samples, results, strict=True):
        for index, array in interpret(run, sample).items():
            assert np.array_equal(array, theirs[index]), (kind, index, kinds(graph))
    return True


def module_of(torch: Any, function: Function) -> Any:
    class Part(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return function(torch, torch.nn.functional, x)

    return Part()


def export_torch(module: Any, example: tuple[Any, ...], path: Path, opset: int = 17) -> Path:
    """As `path` says by its suffix: .pt2 or .onnx."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix == ".pt2":
            torch.export.save(torch.export.export(module.eval(), example), path)
        else:
            torch.onnx.export(module.eval(), example, str(path), dynamo=False, opset_version=opset)
    return path


def kinds(graph: Graph) -> list[str]:
    return [operator.kind for operator in graph.operators]
