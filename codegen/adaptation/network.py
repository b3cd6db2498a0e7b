"""A Graph, float or int8, as a differentiable network, for methods that fit their constants. Needs TensorFlow.

Values are real numbers, as many samples at once as one likes. Of int8, rounding is left out; saturation is not: every
tensor is clipped to what its int8 can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from driftc.codegen.errors import UsageError
from driftc.codegen.frontends.extras import load_extra
from driftc.codegen.graph import Graph
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.operators.elementwise.leaky_relu import LeakyRelu
from driftc.codegen.operators.movement.concatenation import Concatenation
from driftc.codegen.operators.movement.pad import Pad
from driftc.codegen.operators.movement.strided_slice import StridedSlice
from driftc.codegen.operators.movement.transpose import Transpose
from driftc.codegen.operators.reduction.softmax import Softmax
from driftc.codegen.operators.windowed import Windowed
from driftc.codegen.passes.dequantize import dequantized, float_operator
from driftc.codegen.tensor import Tensor

CEILINGS = {Activation.RELU6: 6.0, Activation.RELU_N1_TO_1: 1.0}
MOVING = ("TRANSPOSE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "STRIDED_SLICE", "PAD", "QUANTIZE")  # make no decision
Values = Any  # a tf.Tensor
Normalise = Callable[[str, Values], Values]  # layer name, values before normalisation -> after it


def tensorflow() -> Any:
    """The module, imported when a fit begins and not before. Raises ToolError where it is absent."""
    return load_extra("tensorflow", "keras", "fitting constants")


class Network:
    """`graph` without its float border and without what `_decided` leaves out: it gives logits."""

    def __init__(self, graph: Graph) -> None:
        self._tf = tensorflow()
        operators, self._yes_or_no = _decided(graph)
        self._operators = operators
        self._input = graph.inputs[0]
        self._output = operators[-1].outputs[0] if operators else graph.inputs[0]
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise UsageError(f"{graph.source}: constants are fitted for models with one input and one output")
        unknown = sorted({op.kind for op in operators if not hasattr(self, f"_{op.kind.lower()}")})
        if unknown:
            raise UsageError(f"{graph.source}: constants cannot be fitted through {', '.join(unknown)} yet")
        if self._output.shape[-1] == 1 and not self._yes_or_no:
            raise UsageError(
                f"{graph.source}: one output channel is no decision (a sigmoid's would be), which constants are "
                "fitted to; --adapt fixed needs none"
            )
        self._weights = {op.name: _real_weights(op) for op in operators if isinstance(op, Weighted)}

    def run(self, x: Values, normalise: Normalise | None = None) -> Values:
        """Logits of the samples `x` [samples, ...]. `normalise` sees each layer with weights, before its activation."""
        values = {self._input.name: x}
        for operator in self._operators:
            given = [self._value(tensor, values) for tensor in operator.inputs]
            result = getattr(self, f"_{operator.kind.lower()}")(operator, *given)
            if normalise is not None and isinstance(operator, Weighted):
                result = normalise(operator.name, result)
            values[operator.outputs[0].name] = self._clipped(operator, result)
        return self._tf.reshape(values[self._output.name], (x.shape[0], -1))

    def decisions(self, logits: Values) -> Values:
        """Log probabilities [samples, places, decisions, classes].

        The places are the pixels of a map. At each, the channels are the classes of one decision, or behind a sigmoid
        each is a decision of its own between two classes.
        """
        tf, channels = self._tf, self._output.shape[-1]
        if self._yes_or_no:
            both = tf.stack([logits, tf.zeros_like(logits)], -1)
            return tf.nn.log_softmax(tf.reshape(both, (logits.shape[0], -1, channels, 2)))
        return tf.nn.log_softmax(tf.reshape(logits, (logits.shape[0], -1, 1, channels)))

    def _value(self, tensor: Tensor, values: Mapping[str, Values]) -> Values:
        if tensor.data is None:
            return values[tensor.name]
        return self._tf.constant(dequantized(tensor).data, self._tf.float32)

    def _clipped(self, operator: Operator, result: Values) -> Values:
        tensor = operator.outputs[0]
        if tensor.quantization is None:
            return self._activated(getattr(operator, "activation", Activation.NONE), result)
        low, high = getattr(operator, "range", tensor.limits)
        real = (np.array([low, high]) - tensor.zero_point) * tensor.scale
        return self._tf.clip_by_value(result, real[0], real[1])

    def _activated(self, activation: Activation, x: Values) -> Values:
        if activation is Activation.RELU:
            return self._tf.nn.relu(x)
        if activation is Activation.NONE:
            return x
        return self._tf.clip_by_value(x, 0.0 if activation is Activation.RELU6 else -1.0, CEILINGS[activation])

    # --- one method an operator, named after its kind ---

    def _conv_2d(self, op: Conv2D, x: Values) -> Values:
        weights, bias = self._weights[op.name]
        kernel = self._tf.constant(weights.transpose(1, 2, 3, 0))
        return self._tf.nn.conv2d(self._padded(op, x), kernel, op.stride, "VALID", dilations=op.dilation) + bias

    def _depthwise_conv_2d(self, op: DepthwiseConv2D, x: Values) -> Values:
        weights, bias = self._weights[op.name]
        kernel = self._tf.constant(weights[0].reshape(*op.kernel, -1, op.multiplicity))
        padded = self._padded(op, x)
        step = min(op.stride) if max(op.dilation) == 1 else 1  # unequal strides: every pixel of one axis, then some
        made = self._tf.nn.depthwise_conv2d(padded, kernel, (1, step, step, 1), "VALID", dilations=op.dilation)
        return made[:, :: op.stride[0] // step, :: op.stride[1] // step] + bias

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

    def _concatenation(self, op: Concatenation, *x: Values) -> Values:
        return self._tf.concat(x, op.axis)

    def _pad(self, op: Pad, x: Values) -> Values:
        tensor = op.outputs[0]
        fill = op.real if tensor.quantization is None else (op.value - tensor.zero_point) * tensor.scale
        return self._tf.pad(x, op.paddings, constant_values=fill)

    def _strided_slice(self, op: StridedSlice, x: Values) -> Values:
        for axis, (first, count, step) in enumerate(zip(op.begin, op.counts, op.strides, strict=True)):
            x = x if axis == 0 else self._tf.gather(x, range(first, first + count * step, step), axis=axis)
        return self._reshape(op, x)

    def _transpose(self, op: Transpose, x: Values) -> Values:
        return self._tf.transpose(x, op.permutation)

    def _softmax(self, op: Softmax, x: Values) -> Values:
        return self._tf.nn.softmax(op.beta * x)

    def _reshape(self, op: Operator, x: Values) -> Values:
        return self._tf.reshape(x, (x.shape[0], *op.outputs[0].shape[1:]))

    _squeeze = _expand_dims = _reshape

    def _relu(self, _: Operator, x: Values) -> Values:
        return self._tf.nn.relu(x)

    def _relu6(self, _: Operator, x: Values) -> Values:
        return self._tf.nn.relu6(x)

    def _leaky_relu(self, op: LeakyRelu, x: Values) -> Values:
        return self._tf.nn.leaky_relu(x, op.alpha)

    def _hard_swish(self, _: Operator, x: Values) -> Values:
        return x * self._tf.nn.relu6(x + 3) / 6

    def _quantize(self, _: Operator, x: Values) -> Values:
        return x

    def _logistic(self, _: Operator, x: Values) -> Values:
        return self._tf.sigmoid(x)

    def _tanh(self, _: Operator, x: Values) -> Values:
        return self._tf.tanh(x)


def _decided(graph: Graph) -> tuple[list[Operator], bool]:
    """The operators up to the logits, channels last, and whether a sigmoid follows.

    What only moves values behind a softmax or sigmoid is left out with it. What moves logits stays, for it may say
    what their channels are; but from a transpose on it does not where the end is a map, whose channels are first.
    """
    operators = list(graph.operators)
    moving: list[Operator] = []
    while operators and operators[-1].kind in MOVING:
        moving.insert(0, operators.pop())
    last = operators[-1].kind if operators else ""
    if last in ("SOFTMAX", "LOGISTIC"):
        return operators[:-1], last == "LOGISTIC"
    kinds, is_map = [operator.kind for operator in moving], sum(size > 1 for size in graph.outputs[0].shape) > 1
    if is_map and "TRANSPOSE" in kinds:
        moving = moving[: kinds.index("TRANSPOSE")]
    return operators + moving, False


def _real_weights(op: Weighted) -> tuple[Any, Any]:
    """Weights and bias as float32, per channel scale applied."""
    made = float_operator(op) if op.weights.quantization else op
    assert isinstance(made, Weighted) and made.weights.data is not None
    bias = np.zeros(op.channels, np.float32) if made.bias is None or made.bias.data is None else made.bias.data
    return made.weights.data.astype(np.float32), bias.astype(np.float32).reshape(-1)
