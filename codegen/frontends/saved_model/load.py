"""A TensorFlow SavedModel folder -> float Graph: its signature `serving_default`, frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from driftc.codegen.errors import ModelError, first_line
from driftc.codegen.frontends.builder import FloatBuilder
from driftc.codegen.frontends.check_import import check_import
from driftc.codegen.frontends.extras import load_extra
from driftc.codegen.frontends.saved_model.outside import check
from driftc.codegen.frontends.saved_model.walk import Walk
from driftc.codegen.graph import Graph
from driftc.codegen.names import model_name
from driftc.codegen.tensor import Array

EXTRA = "keras"
SIGNATURE = "serving_default"


def load(path: Path, name: str | None = None, title: str | None = None) -> Graph:
    """Raises ModelError for operations that driftc lacks, ToolError where TensorFlow is not installed."""
    title = title or path.name
    tensorflow = load_extra("tensorflow", EXTRA, title)
    check(path, title)
    try:
        function, kept = _frozen(tensorflow, str(path))
    except ModelError as problem:
        raise ModelError(f"{title}: {problem}") from None
    except Exception as problem:  # whatever its parts raise
        raise ModelError(f"{title}: TensorFlow cannot read it: {first_line(problem)}") from None
    digest = hashlib.sha256((path / "saved_model.pb").read_bytes()).hexdigest()
    builder = FloatBuilder(name or model_name(path.stem), title, digest)
    walk = Walk(tensorflow, function, builder)
    walk.run()
    graph = builder.graph(walk.outputs)

    def run(samples: Sequence[Array]) -> list[Array]:
        found = function(*(tensorflow.constant(sample) for sample in samples))
        return [np.asarray(output) for output in (found if isinstance(found, list | tuple) else [found])]

    checked = check_import(graph, f"TensorFlow {tensorflow.__version__}", run)
    del kept
    return checked


def _frozen(tensorflow: Any, path: str) -> tuple[Any, Any]:
    """The signature as one function of constants, and what must stay alive meanwhile."""
    from tensorflow.python.framework import convert_to_constants

    freeze = convert_to_constants.convert_variables_to_constants_v2
    tensorflow.get_logger().setLevel("ERROR")
    try:
        loaded = tensorflow.saved_model.load(path)
    except AttributeError:  # optimisers of old versions, which the new loader cannot restore
        return freeze(_through_session(tensorflow, path)), None
    if SIGNATURE not in loaded.signatures:
        raise ModelError(f"has no signature '{SIGNATURE}', but {', '.join(loaded.signatures) or 'none'}")
    served = loaded.signatures[SIGNATURE]
    _refuse_state(served.graph.as_graph_def())
    return freeze(served), loaded


def _refuse_state(served: Any) -> None:
    """Raise ModelError where a variable is written: freezing would make a constant of it."""
    for nodes in (served.node, *(function.node_def for function in served.library.function)):
        for node in nodes:
            if node.op.startswith("Assign"):
                raise ModelError(
                    f"not supported: {node.op} ('{node.name}') keeps state between inferences, which driftc "
                    "reads in .tflite files; instead: an int8 .tflite of it, which TFLiteConverter makes"
                )


def _through_session(tensorflow: Any, path: str) -> Any:
    from tensorflow.python.framework import convert_to_constants

    v1 = tensorflow.compat.v1
    with tensorflow.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        signature = v1.saved_model.load(session, ["serve"], path).signature_def[SIGNATURE]
        inputs, outputs = ([port.name for port in ports.values()] for ports in (signature.inputs, signature.outputs))
        frozen = convert_to_constants.convert_variables_to_constants_from_session_graph(
            session, graph.as_graph_def(), [name.split(":")[0] for name in outputs]
        )
    wrapped = v1.wrap_function(lambda: tensorflow.import_graph_def(frozen, name=""), [])
    return wrapped.prune(inputs, outputs)
