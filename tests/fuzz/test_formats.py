"""1,000 mutants of models of each framework: refused in one line that names the file, or quantised and compiled.

What is compiled is proven as in compared.py: the Plan in NumPy, and some of it by C under sanitizers and TFLite Micro.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from float_models import needs

from driftc.codegen.api import compile
from driftc.codegen.errors import DriftcError, ModelError
from driftc.codegen.frontends import load_model
from driftc.codegen.graph import Graph
from driftc.codegen.quantize import calibration
from driftc.codegen.quantize.post_training import Settings, quantize_graph
from driftc.simulator.references import TflmReference
from fuzz.compared import everywhere, plan_in_numpy
from fuzz.formats import mutated
from fuzz.judge import limited
from fuzz.networks import MODELS

COUNT = 1000
NETWORKS = 8  # that are mutated
EVERY, PROVEN = 2, 20  # of those that are taken, how many are quantised and compiled; and of those, proven by C
FORMATS = [
    pytest.param("onnx", marks=needs("onnx", "onnx")),
    pytest.param("keras", marks=needs("tensorflow", "keras")),
    pytest.param("torch", marks=needs("torch", "torch")),
    pytest.param("saved_model", marks=needs("tensorflow", "keras")),
]


def quantised(graph: Graph, folder: Path, prove: bool) -> bool:
    """Whether what comes of it was compiled; false where it is refused in one line, or large."""
    if sum(tensor.size for tensor in graph.tensors()) > 1 << 18:
        return False
    chance = np.random.default_rng(0)
    columns = [chance.normal(size=(16, *tensor.shape[1:])).astype(np.float32) for tensor in graph.inputs]
    path = folder / "quantised.tflite"
    try:
        with limited(), warnings.catch_warnings():
            warnings.simplefilter("error")
            samples = calibration.check(graph, columns, "samples.npz")
            path.write_bytes(quantize_graph(graph, samples, Settings(equalize=False)).model)
            compiled = compile(path, measure=False, planner="greedy")
        plan_in_numpy(compiled)
        if prove:
            tflm = TflmReference()
            everywhere(
                compiled,
                sanitize=shutil.which("gcc") is not None,
                reference=None if tflm.missing() else tflm,
            )
    finally:
        path.unlink(missing_ok=True)
    return True


def unclear(error: DriftcError, name: str) -> str:
    said = str(error)
    if isinstance(error, ModelError) and not said.startswith((f"{name}: ", "quantised.tflite: ")):
        return f"does not begin with the file: {said:.300}"
    return "" if said.isprintable() and len(said) < 1500 else f"not one line: {said!r:.300}"


@pytest.mark.filterwarnings("ignore")  # of frameworks that store models
@pytest.mark.parametrize("kind", FORMATS)
def test_mutants(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    sources: list[Path] = []
    for seed in range(NETWORKS):
        (tmp_path / f"seed{seed}").mkdir()
        sources.append(MODELS[kind](tmp_path / f"seed{seed}", seed))
    kept = sorted(path.name for path in tmp_path.iterdir())
    target = tmp_path / "work" / sources[0].name
    monkeypatch.chdir(tmp_path)
    assert quantised(load_model(sources[0]), tmp_path, prove=True)
    taken = compiled = 0
    faults = list[str]()
    for seed in range(COUNT):
        done = mutated(sources[seed % NETWORKS], target, seed)
        try:
            graph = load_model(target)
            taken += 1
            if taken % EVERY == 0:
                compiled += quantised(graph, tmp_path, prove=taken % (EVERY * PROVEN) == 0)
        except DriftcError as error:
            if problem := unclear(error, target.name):
                faults.append(f"{seed} ({done}): {problem}")
        except Exception as problem:
            faults.append(f"{seed} ({done}): {type(problem).__name__}: {problem!s:.300}")
    print(f"{taken} of {COUNT} taken, {compiled} compiled")
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:8])
    assert COUNT // 3 < taken < COUNT
    assert compiled > COUNT // 8
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
    assert [path.name for path in (tmp_path / "work").iterdir()] == [target.name]
