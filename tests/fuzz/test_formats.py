"""1,000 mutants of a model of each framework: refused in one line that names the file, or quantised."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from float_models import needs

from driftc.codegen.errors import DriftcError, ModelError
from driftc.codegen.frontends import load_model
from driftc.codegen.graph import Graph
from driftc.codegen.quantize import calibration
from driftc.codegen.quantize.post_training import Settings, quantize_graph
from fuzz.formats import MODELS, mutated
from fuzz.judge import limited

COUNT = 1000
EVERY = 20  # of those that are taken, how many are quantised
FORMATS = [
    pytest.param("onnx", marks=needs("onnx", "onnx")),
    pytest.param("keras", marks=needs("tensorflow", "keras")),
    pytest.param("torch", marks=needs("torch", "torch")),
    pytest.param("saved_model", marks=needs("tensorflow", "keras")),
]


def quantised(graph: Graph) -> None:
    if sum(tensor.size for tensor in graph.tensors()) > 1 << 18:
        return
    chance = np.random.default_rng(0)
    columns = [chance.normal(size=(16, *tensor.shape[1:])).astype(np.float32) for tensor in graph.inputs]
    quantize_graph(graph, calibration.check(graph, columns, "samples.npz"), Settings(equalize=False))


def unclear(error: DriftcError, name: str) -> str:
    said = str(error)
    if isinstance(error, ModelError) and not said.startswith(f"{name}: "):
        return f"does not begin with the file: {said:.300}"
    return "" if said.isprintable() and len(said) < 1500 else f"not one line: {said!r:.300}"


@pytest.mark.filterwarnings("ignore")  # of frameworks that store models
@pytest.mark.parametrize("kind", FORMATS)
def test_mutants(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "seed").mkdir()
    (tmp_path / "work").mkdir()
    source = MODELS[kind](tmp_path / "seed")
    target = tmp_path / "work" / source.name
    monkeypatch.chdir(tmp_path)
    quantised(load_model(source))
    taken, faults = 0, list[str]()
    for seed in range(COUNT):
        done = mutated(source, target, seed)
        try:
            graph = load_model(target)
            taken += 1
            if taken % EVERY == 0:
                with limited(), warnings.catch_warnings():
                    warnings.simplefilter("error")
                    quantised(graph)
        except DriftcError as error:
            if problem := unclear(error, target.name):
                faults.append(f"{seed} ({done}): {problem}")
        except Exception as problem:
            faults.append(f"{seed} ({done}): {type(problem).__name__}: {problem!s:.300}")
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:8])
    assert 0 < taken < COUNT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seed", "work"]
    assert [path.name for path in (tmp_path / "work").iterdir()] == [target.name]
