"""Model files -> Graph, one package a format. A frontend is chosen by the file's suffix, a SavedModel by its folder."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from driftc.codegen.errors import UsageError
from driftc.codegen.graph import Graph

FRONTENDS = {
    ".tflite": "tflite",
    ".keras": "keras",
    ".h5": "keras",
    ".hdf5": "keras",
    ".onnx": "onnx",
    ".pt2": "torch",
}


def load_model(path: Path, name: str | None = None, title: str | None = None) -> Graph:
    """The model as its file has it: int8, or float with batch normalisation as operators of their own."""
    title = title or path.name
    module = "saved_model" if (path / "saved_model.pb").is_file() else FRONTENDS.get(path.suffix)
    if module is None:
        raise UsageError(f"{title}: driftc reads {', '.join(FRONTENDS)} files and SavedModel folders")
    frontend = import_module(f"{__name__}.{module}.load")
    found: Graph = frontend.load(path, name, title)
    if module == "tflite" and all(operator.is_float for operator in found.operators):
        found = frontend.compared(found, path)
    return found
