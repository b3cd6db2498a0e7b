"""PyTorch, as torch.export saves it (.pt2) -> float Graph. Export the model in eval mode with one sample."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from driftc.codegen.errors import ModelError, first_line
from driftc.codegen.frontends.builder import FloatBuilder
from driftc.codegen.frontends.check_import import check_import
from driftc.codegen.frontends.extras import load_extra
from driftc.codegen.frontends.torch.archive import check
from driftc.codegen.frontends.torch.walk import Walk
from driftc.codegen.graph import Graph
from driftc.codegen.names import model_name
from driftc.codegen.tensor import Array

EXTRA = "torch"


def load(path: Path, name: str | None = None, title: str | None = None) -> Graph:
    """Raises ModelError for operators that driftc lacks, ToolError where PyTorch is not installed."""
    title = title or path.name
    if not path.is_file():
        raise ModelError(f"{path}: cannot be read: no such file")
    torch = load_extra("torch", EXTRA, title)
    check(path, title)
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"  # torch.export.load tries all of pickle where this fails
    try:
        program = torch.export.load(path)
    except Exception as problem:  # whatever its parts raise
        raise ModelError(f"{title}: torch.export cannot read it: {first_line(problem)}") from None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return import_program(torch, program, FloatBuilder(name or model_name(Path(title).stem), title, digest))


def import_program(torch: Any, program: Any, builder: FloatBuilder) -> Graph:
    """An ExportedProgram that is in memory."""
    walk = Walk(torch, program, builder)
    walk.run()
    graph = builder.graph([value.tensor for value in walk.outputs])
    module = program.module()

    def run(samples: Sequence[Array]) -> list[Array]:
        arguments = [torch.from_numpy(value.as_there(x)) for x, value in zip(samples, walk.inputs, strict=True)]
        arguments = [x if x.is_floating_point() else x.long() for x in arguments]
        with torch.no_grad():
            found = module(*arguments)
        found = found if isinstance(found, list | tuple) else [found]
        return [value.as_here(np.asarray(output.numpy())) for output, value in zip(found, walk.outputs, strict=True)]

    return check_import(graph, f"PyTorch {torch.__version__}", run)
