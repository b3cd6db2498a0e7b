""".tflite -> Graph: each operator of the file becomes the Operator registered for its code, unchanged in meaning."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends.check_import import check_import
from driftc.codegen.frontends.tflite.node import Node
from driftc.codegen.frontends.tflite.schema import RawModel, RawTensor, read
from driftc.codegen.graph import Array, Graph, Tensor
from driftc.codegen.names import Names, model_name
from driftc.codegen.operators import registry
from driftc.codegen.operators.base import Operator
from driftc.codegen.passes.dequantize import dequantized


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
        if _float_constant(record.code, node, tensors):
            continue
        for tensor in node.inputs:
            known = tensor is None or tensor.data is not None or tensor.index in raw.inputs
            node.require(
                known or any(tensor.index in other.outputs for other in raw.operators if tensor is not None),
                f"reads '{tensor.label if tensor else ''}', which has no value and is never computed",
            )
        if all(tensor.dtype == np.float32 for tensor in outputs) and record.code != "DEQUANTIZE":
            node = replace(node, inputs=tuple(map(_as_float, node.inputs)))
        operator = registry()[record.code].from_tflite(node)
        (operator.check_float if operator.is_float else operator.check)()
        found.append(operator)
    return found


def _float_constant(code: str, node: Node, tensors: list[Tensor]) -> bool:
    """DEQUANTIZE of a constant (float16 or int8 weights of a float model): its result becomes a float32 constant."""
    source = node.inputs[0] if len(node.inputs) == 1 else None
    if code != "DEQUANTIZE" or source is None or source.data is None:
        return False
    made = source.data if source.dtype.kind == "f" else dequantized(source).data
    output = node.output()
    node.require(made is not None and output.index is not None and output.shape == source.shape, "is damaged")
    if made is not None and output.index is not None:
        tensors[output.index] = replace(output, data=made.astype(np.float32))
    return True


def _as_float(tensor: Tensor | None) -> Tensor | None:
    """An operand of a float operator: int8 weights (of dynamic range quantisation) as the reals they stand for."""
    return tensor if tensor is None or tensor.data is None else dequantized(tensor)


def compared(graph: Graph, path: Path) -> Graph:
    """A float Graph with a note of how near it is to LiteRT. Raises ModelError where they differ."""
    from driftc.simulator.references import LitertReference

    reference = LitertReference()
    if reference.missing() is not None:
        note = 'imported: not compared with LiteRT, which is absent: pip install "driftc[sim]"'
        return replace(graph, notes=(*graph.notes, note))
    raw, _ = read(path, graph.source)
    weights = {i for operator in raw.operators if operator.code != "DEQUANTIZE" for i in operator.inputs if i >= 0}
    kinds = [raw.tensors[i].dtype for i in weights if raw.tensors[i].data is not None]
    if any(kind == np.int8 for kind in kinds):
        note = (
            "imported: weights are int8 in the file, taken for the reals that they stand for (LiteRT rounds inputs too)"
        )
        return replace(graph, notes=(*graph.notes, note))

    def run(sample: Sequence[Array]) -> list[Array]:
        (values,) = reference.run(path, [sample])
        return [values[tensor.index] for tensor in graph.outputs if tensor.index is not None]

    return check_import(graph, "LiteRT", run)
