"""After this pass the model takes and gives int8 or uint8: float QUANTIZE and DEQUANTIZE at its border are set aside.

The float tensors are remembered in `Graph.float_border`; the emitter makes `NAME_quantize_input` and
`NAME_dequantize_output` from them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.graph import Graph
from driftc.codegen.names import readable
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.conversion.dequantize import Dequantize
from driftc.codegen.operators.conversion.quantize import Quantize
from driftc.codegen.tensor import Tensor


def border(graph: Graph) -> Graph:
    """Raises ModelError where float is left inside the model."""
    inputs: list[Tensor] = list(graph.inputs)
    outputs: list[Tensor] = list(graph.outputs)
    operators: list[Operator] = list(graph.operators)
    floats = dict(graph.float_border)
    readers = graph.consumers()
    for position, tensor in enumerate(graph.inputs):
        quantizers = [op for op in readers.get(tensor.name, []) if isinstance(op, Quantize)]
        if tensor.dtype == np.float32 and len(quantizers) == 1 and len(readers[tensor.name]) == 1:
            inputs[position] = quantizers[0].outputs[0]
            operators.remove(quantizers[0])
            floats[inputs[position].name] = tensor
    made = graph.producers()
    for position, tensor in enumerate(graph.outputs):
        producer = made.get(tensor.name)
        if isinstance(producer, Dequantize) and tensor.name not in readers:
            outputs[position] = producer.inputs[0]
            if producer in operators:
                operators.remove(producer)
            floats[outputs[position].name] = tensor
    changed = replace(
        graph, operators=tuple(operators), inputs=tuple(inputs), outputs=tuple(outputs), float_border=floats
    )
    _refuse_islands(changed)
    for tensor in changed.tensors():
        if tensor.dtype.kind == "f":
            raise ModelError(
                f"{graph.source}: tensor '{tensor.label}' is {tensor.dtype}, and not at the model's border; "
                "give sample inputs to quantise the model with (--calibrate), or a model quantised to int8"
            )
    for tensor in changed.inputs:
        _check_port(graph, tensor, "input", (np.int8, np.uint8, np.int16, np.int32, np.bool_))
    for tensor in changed.outputs:
        _check_port(graph, tensor, "output", (np.int8, np.uint8, np.int16, np.int32, np.bool_))
    return changed


def _refuse_islands(graph: Graph) -> None:
    """Raise ModelError that names what computes on reals in a model that is int8 around it."""
    if not any(isinstance(operator, Dequantize | Quantize) for operator in graph.operators):
        return
    real = [op for op in graph.operators if op.is_float and not isinstance(op, Dequantize | Quantize)]
    if real:
        kinds = {op.kind: op for op in reversed(real)}
        named = ", ".join(f"{kind} '{readable(op.label or op.name)}'" for kind, op in reversed(kinds.items()))
        raise ModelError(
            f"{graph.source}: {named}: computed in float32, between DEQUANTIZE and QUANTIZE, as converters leave what "
            "they have no int8 kernel for; compile the float model itself with --calibrate, which makes all of it int8"
        )


def _check_port(graph: Graph, tensor: Tensor, role: str, allowed: tuple[type, ...]) -> None:
    if tensor.dtype not in allowed:
        names = " or ".join(np.dtype(kind).name for kind in allowed)
        raise ModelError(f"{graph.source}: {role} '{tensor.label}' is {tensor.dtype.name}; driftc takes {names}")
