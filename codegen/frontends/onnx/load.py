"""ONNX -> float Graph. Channels first becomes channels last without transposes in between."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from driftc.codegen.errors import ModelError, first_line
from driftc.codegen.frontends.builder import FloatBuilder
from driftc.codegen.frontends.check_import import CannotRun, check_import
from driftc.codegen.frontends.extras import load_extra
from driftc.codegen.frontends.onnx.external import embed
from driftc.codegen.frontends.onnx.session import fix_batch, session
from driftc.codegen.frontends.onnx.walk import Walk, refuse_unregistered
from driftc.codegen.graph import Graph
from driftc.codegen.names import model_name
from driftc.codegen.tensor import Array

EXTRA = "onnx"
LARGEST_FILE = 1 << 28


def load(path: Path, name: str | None = None, title: str | None = None) -> Graph:
    """Raises ModelError for operators that driftc lacks, ToolError where `onnx` is not installed."""
    title = title or path.name
    if not path.is_file():
        raise ModelError(f"{path}: cannot be read: no such file")
    if path.stat().st_size > LARGEST_FILE:
        raise ModelError(f"{title}: {path.stat().st_size} bytes; driftc reads models up to {LARGEST_FILE >> 20} MiB")
    onnx = load_extra("onnx", EXTRA, title)
    data = path.read_bytes()
    digest = hashlib.sha256(data)
    try:
        model = onnx.load_model_from_string(data)
        refuse_unregistered(onnx, model, title)
        embed(onnx, model, path.parent, digest)
        _import_domains(model)
        onnx.checker.check_model(model)
        batches = fix_batch(model)
        model = onnx.shape_inference.infer_shapes(model)
    except ModelError:
        raise
    except Exception as problem:  # whatever its parts raise
        raise ModelError(f"{title}: onnx cannot read it: {first_line(problem)}") from None
    builder = FloatBuilder(name or model_name(Path(title).stem), title, digest.hexdigest())
    builder.batches.update(batches)
    return import_model(onnx, model, builder)


def _import_domains(model: Any) -> None:
    """Name the domains that nodes have and the file does not: their operators are then refused by name."""
    known = {listed.domain for listed in model.opset_import}
    for domain in sorted({node.domain for node in model.graph.node} - known - {"", "ai.onnx"}):
        model.opset_import.add(domain=domain, version=1)


def import_model(onnx: Any, model: Any, builder: FloatBuilder) -> Graph:
    walk = Walk(onnx, model, builder)
    walk.run()
    graph = builder.graph([value.tensor for value in walk.outputs])
    number = onnx.helper.tensor_dtype_to_np_dtype
    kinds = {port.name: number(port.type.tensor_type.elem_type) for port in model.graph.input}

    @cache
    def runner() -> Any:
        return session(onnx, model)

    def run(samples: Sequence[Array]) -> list[Array]:
        pairs = zip(samples, walk.inputs.items(), strict=True)
        feeds = {name: value.as_there(x).astype(kinds[name]) for x, (name, value) in pairs}
        try:
            found = runner().run([output.name for output in model.graph.output], feeds)
        except Exception as problem:  # whatever its operators raise
            said = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
            raise CannotRun(f"it does not run this model ({said}); onnxruntime is used where it is installed") from None
        return [value.as_here(np.asarray(output)) for output, value in zip(found, walk.outputs, strict=True)]

    return check_import(graph, f"onnx {onnx.__version__}", run)
