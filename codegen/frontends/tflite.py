""".tflite -> Graph: each operator of the file becomes the Operator registered for its code, unchanged in meaning."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends.node import Node
from driftc.codegen.frontends.schema import RawModel, RawTensor, read
from driftc.codegen.graph import Graph, Tensor
from driftc.codegen.names import Names, model_name
from driftc.codegen.operators import registry
from driftc.codegen.operators.base import Operator


def load(path: Path, name: str | None = None, title: str | None = None) -> Graph:
    """Read `path` (subgraph 0). Raises ModelError for damage and for operators or types driftc lacks.

    `name` is the C prefix (default: the file's stem), `title` what messages call the file.
    """
    title = title or path.name
    prefix = name or model_name(Path(title).stem)
    raw, data = read(path, title)
    try:
        tensors = _tensors(raw)
        graph = Graph(
            name=prefix,
            operators=tuple(_operators(raw, tensors, prefix)),
            inputs=tuple(tensors[i] for i in raw.inputs),
            outputs=tuple(tensors[i] for i in raw.outputs),
            source=title,
            sha256=hashlib.sha256(data).hexdigest(),
        )
    except ModelError as error:
        raise error.within(title) from None
    graph.check()
    return graph


def _tensors(raw: RawModel) -> list[Tensor]:
    names = Names()
    produced = {i for operator in raw.operators for i in operator.outputs}
    used = {i for operator in raw.operators for i in operator.inputs} | produced | {*raw.inputs, *raw.outputs}
    return [
        _tensor(names.tensor(tensor.name, i), i, tensor, used=i in used, computed=i in produced or i in raw.inputs)
        for i, tensor in enumerate(raw.tensors)
    ]


def _tensor(name: str, index: int, raw: RawTensor, *, used: bool, computed: bool) -> Tensor:
    if raw.dtype is None:
        if used:
            raise ModelError(f"tensor {index} '{raw.name}': type {raw.type_name} is not supported")
        raw_dtype = "int8"
    else:
        raw_dtype = raw.dtype.name
    if raw.variable and used:
        raise ModelError(f"tensor {index} '{raw.name}': keeps state between runs, which driftc does not support yet")
    if raw_dtype == "int8" and computed and raw.quantization is not None:
        zero, scale = raw.quantization.zero_point, raw.quantization.scale
        if scale.size != 1:
            raise ModelError(f"tensor {index} '{raw.name}': has {scale.size} scales; a computed tensor must have one")
        if (zero < -128).any() or (zero > 127).any():
            raise ModelError(f"tensor {index} '{raw.name}': zero point {int(zero[0])} is outside int8")
        if (scale <= 0).any():
            raise ModelError(f"tensor {index} '{raw.name}': scale {float(scale[0]):g} is not positive")
    data = None if computed else raw.data
    return Tensor(name, raw.shape, np.dtype(raw_dtype), raw.quantization, data, raw.name, index)


def _operators(raw: RawModel, tensors: list[Tensor], prefix: str) -> list[Operator]:
    names = Names(prefix)
    found: list[Operator] = []
    for index, record in enumerate(raw.operators):
        outputs = tuple(tensors[i] for i in record.outputs)
        label = outputs[0].label if outputs else ""
        if record.code not in registry():
            raise ModelError(
                f"operator {index} {record.code} '{label}' is not supported; driftc compiles {', '.join(registry())}"
            )
        node = Node(
            raw=record,
            index=index,
            name=names.layer(label, record.code),
            label=label,
            inputs=tuple(None if i < 0 else tensors[i] for i in record.inputs),
            outputs=outputs,
        )
        node.require(bool(outputs), "has no outputs")
        for tensor in node.inputs:
            known = tensor is None or tensor.data is not None or tensor.index in raw.inputs
            node.require(
                known or any(tensor.index in other.outputs for other in raw.operators if tensor is not None),
                f"reads '{tensor.label if tensor else ''}', which has no value and is never computed",
            )
        operator = registry()[record.code].from_tflite(node)
        (operator.check_float if operator.is_float else operator.check)()
        found.append(operator)
    return found
