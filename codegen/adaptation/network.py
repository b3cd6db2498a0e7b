"""The int8 Graph as a differentiable float network, for methods that fit their constants. Needs TensorFlow.

Values are real numbers, as many samples at once as one likes. Rounding is left out; saturation is not: every tensor
is clipped to what its int8 can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from driftc.codegen.errors import ToolError, UsageError
from driftc.codegen.graph import Graph, Tensor
from driftc.codegen.operators.base import Operator, Windowed
from driftc.codegen.operators.conv_2d import Conv2D
from driftc.codegen.operators.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.weighted import Weighted

Values = Any  # a tf.Tensor
Normalise = Callable[[str, Values], Values]  # layer name, values before normalisation -> after it


def tensorflow() -> Any:
    """The module, imported when a fit begins and not before. Raises ToolError where it is absent."""
    try:
        import tensorflow
    except ImportError:
        raise ToolError('fitting constants needs TensorFlow: pip install "driftc[keras]"') from None
    return tensorflow


class Network:
    """`graph` without its float border. A softmax at its end is left out: what comes out are logits."""

    def __init__(self, graph: Graph) -> None:
        self._tf = tensorflow()
        operators = list(graph.operators)
        if operators and operators[-1].kind == "SOFTMAX":
            operators.pop()
        self._operators = operators
        self._input = graph.inputs[0]
        self._output = operators[-1].outputs[0] if operators else graph.inputs[0]
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise UsageError(f"{graph.source}: constants are fitted for models with one input and one output")
        unknown = sorted({op.kind for op in operators if not hasattr(self, f"_{op.kind.lower()}")})
        if unknown:
            raise UsageError(f"{graph.source}: constants cannot be fitted through {', '.join(unknown)} yet")
        self._weights = {op.name: _real_weights(op) for op in operators if isinstance(op, Weighted)}

    def run(self, x: Values, normalise: Normalise | None = None) -> Values:
        """Logits of the samples `x` [samples, ...]. `normalise` sees each convolution, before its activation."""
        values = {self._input.name: x}
        for operator in self._operators:
            given = [self._value(tensor, values) for tensor in operator.inputs]
            result = getattr(self, f"_{operator.kind.lower()}")(operator, *given)
            if normalise is not None and isinstance(operator, Conv2D | DepthwiseConv2D):
                result = normalise(operator.name, result)
            values[operator.outputs[0].name] = self._clipped(operator, result)
        return self._tf.reshape(values[self._output.name], (x.shape[0], -1))

    def _value(self, tensor: Tensor, values: Mapping[str, Values]) -> Values:
        if tensor.data is None:
            return values[tensor.name]
        real = (
            (tensor.data.astype(np.float32) - tensor.zero_point) * tensor.scale if tensor.quantization else tensor.data
        )
        return self._tf.constant(real, self._tf.float32)

    def _clipped(self, operator: Operator, result: Values) -> Values:
        tensor = operator.outputs[0]
        low, high = getattr(operator, "range", (-128, 127))
        real = (np.array([low, high]) - tensor.zero_point) * tensor.scale
        return self._tf.clip_by_value(result, real[0], real[1])

    # --- one method an operator, named after its kind ---

    def _conv_2d(self, op: Conv2D, x: Values) -> Values:
        weights, bias = self._weights[op.name]
        kernel = self._tf.constant(weights.transpose(1, 2, 3, 0))
        return self._tf.nn.conv2d(self._padded(op, x), kernel, op.stride, "VALID", dilations=op.dilation) + bias

    def _depthwise_conv_2d(self, op: DepthwiseConv2D, x: Values) -> Values:
        weights, bias = self._weights[op.name]
        kernel = self._tf.constant(weights[0].reshape(*op.kernel, -1, op.multiplicity))
        padded = self._padded(op, x)
        if op.stride[0] != op.stride[1]:
            raise UsageError(f"{op.name}: constants cannot be fitted through unequal strides of DEPTHWISE_CONV_2D yet")
        strides = (1, *op.stride, 1)
        return self._tf.nn.depthwise_conv2d(padded, kernel, strides, "VALID", dilations=op.dilation) + bias

    def _fully_connected(self, op: Weighted, x: Values) -> Values:
        weights, bias = self._weights[op.name]
        rows = self._tf.reshape(x, (x.shape[0], -1, weights.shape[1]))
        return self._tf.reshape(rows @ weights.T + bias, (x.shape[0], *op.outputs[0].shape[1:]))

    def _padded(self, op: Windowed, x: Values, fill: float = 0.0) -> Values:
        top, bottom, left, right = op.padding
        return self._tf.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)], constant_values=fill)

    def _add(self, _: Operator, a: Values, b: Values) -> Values:
        return a + b

    def _sub(self, _: Operator, a: Values, b: Values) -> Values:
        return a - b

    def _mul(self, _: Operator, a: Values, b: Values) -> Values:
        return a * b

    def _average_pool_2d(self, op: Windowed, x: Values) -> Values:
        def pooled(values: Values) -> Values:
            return self._tf.nn.avg_pool2d(self._padded(op, values), op.kernel, op.stride, "VALID")

        return pooled(x) / pooled(self._tf.ones_like(x[:1, :, :, :1]))

    def _max_pool_2d(self, op: Windowed, x: Values) -> Values:
        return self._tf.nn.max_pool2d(self._padded(op, x, -1e30), op.kernel, op.stride, "VALID")

    def _mean(self, op: Operator, x: Values) -> Values:
        axes = getattr(op, "axes", ())
        return self._tf.reshape(self._tf.reduce_mean(x, axes), (x.shape[0], *op.outputs[0].shape[1:]))

    def _reshape(self, op: Operator, x: Values) -> Values:
        return self._tf.reshape(x, (x.shape[0], *op.outputs[0].shape[1:]))

    _squeeze = _expand_dims = _reshape

    def _relu(self, _: Operator, x: Values) -> Values:
        return self._tf.nn.relu(x)

    def _relu6(self, _: Operator, x: Values) -> Values:
        return self._tf.nn.relu6(x)

    def _logistic(self, _: Operator, x: Values) -> Values:
        return self._tf.sigmoid(x)

    def _tanh(self, _: Operator, x: Values) -> Values:
        return self._tf.tanh(x)


def _real_weights(op: Weighted) -> tuple[Any, Any]:
    """Weights and bias as float32, per channel scale applied."""
    assert op.weights.data is not None
    if isinstance(op, Conv2D) and op.groups != 1:
        raise UsageError(f"{op.name}: constants cannot be fitted through grouped convolutions yet")
    scale = op.quantization.scale.astype(np.float32)
    shape = [1] * op.weights.data.ndim
    shape[op.channel_axis] = -1
    weights = op.weights.data.astype(np.float32) * scale.reshape(shape)
    return weights, (op.raw_bias * np.float64(op.inputs[0].scale) * scale).astype(np.float32)
