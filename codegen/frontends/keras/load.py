"""Keras 3 .keras and Keras 2 .h5 -> float Graph, layer by layer; batch normalisation stays an operator of its own."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from driftc.codegen.errors import ModelError, first_line
from driftc.codegen.frontends.builder import FloatBuilder
from driftc.codegen.frontends.check_import import check_import
from driftc.codegen.frontends.extras import load_extra
from driftc.codegen.frontends.keras.config import check
from driftc.codegen.frontends.keras.walk import Walk
from driftc.codegen.graph import Graph
from driftc.codegen.names import model_name
from driftc.codegen.tensor import Array

EXTRA = "keras"


def load(path: Path, name: str | None = None, title: str | None = None) -> Graph:
    """Raises ModelError for layers that driftc lacks, ToolError where Keras is not installed."""
    title = title or path.name
    if not path.is_file():
        raise ModelError(f"{path}: cannot be read: no such file")
    keras = load_extra("tensorflow", EXTRA, title).keras
    check(path, title)
    try:
        with warnings.catch_warnings():  # of how layers were made: nothing that who compiles them could change
            warnings.simplefilter("ignore")
            model = keras.models.load_model(path, compile=False, custom_objects={"DepthwiseConv2D": _depthwise(keras)})
    except Exception as problem:  # Keras raises whatever its parts do
        raise ModelError(f"{title}: Keras cannot read it: {first_line(problem)}") from None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    builder = FloatBuilder(name or model_name(Path(title).stem), title, digest)
    return import_model(keras, model, builder)


def import_model(keras: Any, model: Any, builder: FloatBuilder) -> Graph:
    """A Keras model that is in memory."""
    inputs = [builder.input(tensor.name, tensor.shape, _dtype(model, tensor)) for tensor in _ports(model, builder)]
    outputs = Walk(keras, builder).outputs(model, inputs)
    graph = builder.graph(outputs)

    def run(samples: Sequence[Array]) -> list[Array]:
        with warnings.catch_warnings():  # of input structures, where a model names its only input
            warnings.simplefilter("ignore")
            found = model(list(samples) if len(samples) > 1 else samples[0], training=False)
        return [np.asarray(output) for output in (found if isinstance(found, list | tuple) else [found])]

    return check_import(graph, f"Keras {keras.__version__}", run)


def _ports(model: Any, builder: FloatBuilder) -> Sequence[Any]:
    """The model's inputs, which one that was never built does not have."""
    try:
        found: Sequence[Any] = model.inputs
    except (AttributeError, ValueError):
        builder.refuse("was stored before its input shape was known: begin it with keras.Input(shape), store it again")
    return found


def _dtype(model: Any, tensor: Any) -> np.dtype[Any]:
    """int32 for what Embedding layers alone read, whatever the model says; else float32."""
    nodes = [node for depth in getattr(model, "_nodes_by_depth", {}).values() for node in depth]
    readers = [type(node.operation).__name__ for node in nodes if any(x is tensor for x in node.input_tensors)]
    return np.dtype(np.int32 if readers and set(readers) == {"Embedding"} else np.float32)


def _depthwise(keras: Any) -> Any:
    """Keras 2 wrote `groups` into depthwise layers, which Keras 3 refuses to read."""

    class DepthwiseConv2D(keras.layers.DepthwiseConv2D):  # type: ignore[misc]
        def __init__(self, *arguments: Any, groups: int = 1, **options: Any) -> None:
            super().__init__(*arguments, **options)

    return DepthwiseConv2D
