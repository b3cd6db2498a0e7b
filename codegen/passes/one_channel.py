"""After this pass no depthwise convolution reads one channel alone: it is a convolution, and has the kernels of one.

The sums are the same in either, so that not a byte changes.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.tensor import Quantization


def one_channel(graph: Graph) -> Graph:
    """Several filters over one channel, as networks for spectra begin."""
    return graph.with_operators([_convolution(operator) for operator in graph.operators])


def _convolution(operator: Operator) -> Operator:
    if type(operator) is not DepthwiseConv2D or operator.inputs[0].shape[3] > 1 or operator.multiplicity == 1:
        return operator
    weights, data = operator.weights, operator.weights.data
    assert data is not None
    filters = np.ascontiguousarray(data.transpose(3, 1, 2, 0))  # [1, rows, pixels, out] to [out, rows, pixels, 1]
    found = operator.quantization
    axis = None if found.axis is None else Conv2D.channel_axis
    quantization = Quantization(found.scale, found.zero_point, axis)
    same = {field.name: getattr(operator, field.name) for field in fields(operator)}
    same["weights"] = replace(weights, shape=filters.shape, data=filters, quantization=quantization)
    return Conv2D(**same)
