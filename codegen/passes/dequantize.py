"""After this pass an int8 model is a float Graph: the same operators on the real values that its bytes stand for.

What int8 rounds, saturates or clamps by its range is not imitated; fused activations are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.conversion.dequantize import Dequantize
from driftc.codegen.operators.conversion.quantize import Quantize
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.movement.pad import Pad
from driftc.codegen.tensor import Array, Tensor


def dequantize(graph: Graph) -> Graph:
    """Apply to a Graph as its file has it, before `fuse`."""
    renamed: dict[str, Tensor] = {}  # what QUANTIZE or DEQUANTIZE gives -> what it is given

    def real(tensor: Tensor) -> Tensor:
        return renamed.get(tensor.name) or dequantized(tensor)

    operators: list[Operator] = []
    for operator in graph.operators:
        if isinstance(operator, Quantize | Dequantize):
            renamed[operator.outputs[0].name] = real(operator.inputs[0])
            continue
        made = float_operator(operator)
        operators.append(replace(made, inputs=tuple(real(tensor) for tensor in operator.inputs)))
    return replace(
        graph,
        operators=tuple(operators),
        inputs=tuple(real(tensor) for tensor in graph.inputs),
        outputs=tuple(real(tensor) for tensor in graph.outputs),
    )


def float_operator(operator: Operator) -> Operator:
    """One int8 operator on the real values of its constants."""
    changes: dict[str, Any] = {
        "inputs": tuple(dequantized(tensor) for tensor in operator.inputs),
        "outputs": tuple(dequantized(tensor) for tensor in operator.outputs),
    }
    if isinstance(operator, Weighted):
        changes["weights"] = dequantized(operator.weights)
        changes["bias"] = _bias(operator)
    elif isinstance(operator, Pad):
        tensor = operator.outputs[0]
        changes["real"] = (operator.value - tensor.zero_point) * tensor.scale
    return replace(operator, **changes)


def dequantized(tensor: Tensor) -> Tensor:
    """The tensor as float32, with a constant's real values. Tensors without quantisation (indices) stay.

    Raises ModelError where its scales are not those of its axis, or no float32 holds the values.
    """
    if not tensor.stands_for_reals:
        return tensor
    return replace(tensor, dtype=np.dtype(np.float32), quantization=None, data=_values(tensor))


def _values(tensor: Tensor) -> Array | None:
    if tensor.data is None or tensor.quantization is None:
        return None
    along, count = tensor.quantization.axis, tensor.quantization.scale.size
    if along is not None and tensor.data.shape[along : along + 1] != (count,):
        raise ModelError(f"tensor '{tensor.label}': has {count} scales along axis {along} of {list(tensor.shape)}")
    shape = [-1 if axis == along else 1 for axis in range(tensor.data.ndim)] if along is not None else []
    zero, scale = (values.reshape(shape) for values in (tensor.quantization.zero_point, tensor.quantization.scale))
    real = (tensor.data.astype(np.int64) - zero) * scale.astype(np.float64)
    if not np.all(np.abs(real) <= np.finfo(np.float32).max):
        raise ModelError(f"tensor '{tensor.label}': stands for values that no float32 holds")
    return real.astype(np.float32)


def _bias(operator: Weighted) -> Tensor | None:
    """Its scale is input * weights, whatever the file says."""
    if operator.bias is None or operator.bias.data is None:
        return None
    scale = np.float64(operator.inputs[0].scale) * operator.quantization.scale.astype(np.float64)
    data = (operator.bias.data * scale).astype(np.float32)
    return replace(operator.bias, dtype=np.dtype(np.float32), quantization=None, data=data)
