"""Float models: what is said where a framework, a file or a format is missing; float .tflite."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import ModelBuilder

from driftc.codegen.errors import ModelError, ToolError, UsageError
from driftc.codegen.evaluate import evaluate
from driftc.codegen.frontends import load_model
from driftc.codegen.frontends.check_import import check_import


@pytest.mark.parametrize(("file", "extra"), [("net.keras", "keras"), ("net.onnx", "onnx"), ("net.pt2", "torch")])
def test_absent_extra_is_named(file: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / file).write_bytes(b"x")
    monkeypatch.setattr("driftc.codegen.frontends.extras.import_module", absent)
    frontend = import_module(f"driftc.codegen.frontends.{extra}.load")
    with pytest.raises(ToolError, match=re.escape(f"{file}: needs ") + rf".*pip install \"driftc\[{extra}\]\""):
        frontend.load(tmp_path / file)


def absent(name: str) -> Any:
    raise ImportError(name)


def test_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"net.pb: driftc reads .h5, .hdf5, .keras, .onnx, .pt2, .tflite files and"):
        load_model(tmp_path / "net.pb")


@pytest.mark.parametrize("file", ["net.keras", "net.onnx", "net.pt2"])
def test_missing_file(file: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        load_model(tmp_path / file)


def dense(stored: str) -> bytes:
    """One dense layer whose weights are float32, int8 (dynamic range) or int8 behind a DEQUANTIZE."""
    m = ModelBuilder()
    x = m.input("x", (1, 6), dtype=np.float32)
    integers = np.random.default_rng(0).integers(-127, 128, (3, 6), dtype=np.int8)
    scaled = m.constant(integers, scale=[0.01, 0.02, 0.03], name="weights")
    if stored == "float32":
        scaled = m.constant((integers * np.array([[0.01], [0.02], [0.03]])).astype(np.float32), name="reals")
    elif stored == "dequantize":
        scaled = m.dequantize(scaled)
    y = m.tensor("y", (1, 3), dtype=np.float32)
    m.operator("FULLY_CONNECTED", [x, scaled], [y], "FullyConnectedOptions", version=3)
    m.output(y)
    return m.build()


@pytest.mark.parametrize(
    ("stored", "note"),
    [
        ("float32", r"imported: equals LiteRT within \S+ on 3 random inputs"),
        ("dequantize", r"imported: equals LiteRT within \S+ on 3 random inputs"),
        ("int8", "imported: weights are int8 in the file, taken for the reals that they stand for .*"),
    ],
)
def test_float_tflite(stored: str, note: str, tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(dense(stored))
    graph = load_model(path)
    assert re.fullmatch(note, graph.notes[0]), graph.notes
    (layer,) = graph.operators
    layer.check_float()
    path.write_bytes(dense("float32"))
    x = [np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)]
    assert np.allclose(evaluate(graph, x)[0], evaluate(load_model(path), x)[0], atol=1e-5)


def test_float_tflite_without_litert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.tflite").write_bytes(dense("float32"))
    monkeypatch.setattr("driftc.simulator.references.LitertReference.missing", lambda self: "absent")
    assert "not compared with LiteRT" in load_model(tmp_path / "net.tflite").notes[0]


def test_import_that_departs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(dense("float32"))
    graph = load_model(tmp_path / "net.tflite")
    with pytest.raises(ModelError, match=r"the imported model departs from elsewhere by 0\.001 of the largest output"):
        check_import(graph, "elsewhere", lambda sample: [values * 1.001 for values in evaluate(graph, sample)])
