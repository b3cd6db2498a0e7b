"""The int8 Graph beside the float one, layer by layer: biases that undo the mean error, and what each layer loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, log10

import numpy as np

from driftc.codegen.evaluate import batches, trace
from driftc.codegen.graph import Graph
from driftc.codegen.operators.attributes import Activation
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.passes.dequantize import float_operator
from driftc.codegen.quantize.rounding import compensate
from driftc.codegen.tensor import Array, Tensor

SAMPLES = 256  # of the calibration set; the mean of a channel needs no more


@dataclass(frozen=True)
class Loss:
    """How well a layer's int8 output follows the float one: signal to noise in dB."""

    layer: str
    kind: str
    own: float  # with exact inputs: what this layer alone loses
    total: float  # with the inputs that the int8 model has

    def as_json(self) -> dict[str, str | float | None]:
        """null where nothing is lost, or nothing is there to lose."""
        own, total = (value if isfinite(value) else None for value in (self.own, self.total))
        return {"layer": self.layer, "operator": self.kind, "own_db": own, "total_db": total}


def tune(real: Graph, graph: Graph, inputs: Sequence[Array], *, correct: bool = True) -> tuple[Graph, list[Loss]]:
    """`graph` (from `quantize`) with corrected biases, and the losses of its layers in program order.

    Each bias moves by the mean difference, over samples and pixels, between the sums of the int8 layer on the inputs
    that it will really have and the float layer's: what rounded weights and clipped inputs shift on average.
    """
    producers = graph.producers()
    rounded = {t.name: rounding(x, t) for t, x in zip(graph.inputs, inputs, strict=True)}
    changed: dict[str, Operator] = {}
    losses: list[Loss] = []
    for operator, exact, results in trace(real, inputs):
        made = producers[operator.outputs[0].name]
        arguments = [_argument(t, producers, rounded) for t in made.inputs]
        if correct and isinstance(made, Weighted) and isinstance(operator, Weighted):
            made = _corrected(operator, exact[0], compensate(operator, made, arguments[0]), arguments[0])
            changed[made.name] = made
        layer = float_operator(made)
        outputs = _run(layer, arguments)
        for tensor, found in zip(made.outputs, outputs, strict=True):
            rounded[tensor.name] = rounding(found, tensor)
        if not operator.keeps_scale and made.outputs[0].dtype == np.int8:
            constants = [t.data is not None for t in layer.inputs]
            alone = [layer.inputs[i].data if fixed else exact[i] for i, fixed in enumerate(constants)]
            own = rounding(_run(layer, [x for x in alone if x is not None])[0], made.outputs[0])
            noise = _decibels(results[0], own), _decibels(results[0], rounded[made.outputs[0].name])
            losses.append(Loss(made.label or made.name, made.kind, *noise))
    operators = [changed.get(operator.name, operator) for operator in graph.operators]
    return graph.with_operators(operators), losses


def rounding(x: Array, tensor: Tensor) -> Array:
    """Real values as the int8 tensor holds them; indices as they are."""
    if tensor.dtype != np.int8:
        return x
    steps = np.clip(np.rint(x / np.float32(tensor.scale)) + tensor.zero_point, -128, 127)
    return np.asarray((steps - tensor.zero_point) * np.float32(tensor.scale), np.float32)


def _argument(tensor: Tensor, producers: dict[str, Operator], rounded: dict[str, Array]) -> Array:
    """The value that the int8 model has there; a QUANTIZE that the float Graph lacks is computed on the way."""
    if tensor.data is not None:
        return constant_reals(tensor)
    if tensor.name not in rounded:
        (source,) = producers[tensor.name].inputs
        rounded[tensor.name] = rounding(_argument(source, producers, rounded), tensor)
    return rounded[tensor.name]


def constant_reals(tensor: Tensor) -> Array:
    assert tensor.data is not None
    return np.asarray((tensor.data.astype(np.float32) - tensor.zero_point) * np.float32(tensor.scale), np.float32)


def _run(operator: Operator, arguments: Sequence[Array]) -> tuple[Array, ...]:
    """`float_spec` in batches, which bounds its memory."""
    samples = max(len(x) for x in arguments)
    whole = [len(x) == samples and t.data is None for t, x in zip(operator.inputs, arguments, strict=True)]
    if not all(whole):
        return operator.float_spec(*arguments)
    pieces = [operator.float_spec(*batch) for batch in batches(arguments)]
    return tuple(np.concatenate(column) for column in zip(*pieces, strict=True))


def _corrected(real: Weighted, exact: Array, made: Weighted, given: Array) -> Weighted:
    assert made.bias is not None and made.bias.data is not None
    wanted = _mean_sums(real, exact)
    found = _mean_sums(_float(made), given)
    step = np.float64(made.inputs[0].scale) * made.quantization.scale.astype(np.float64)
    data = made.bias.data + np.rint((wanted - found) / step).astype(np.int32)
    return replace(made, bias=replace(made.bias, data=data))


def _float(made: Weighted) -> Weighted:
    found = float_operator(made)
    assert isinstance(found, Weighted)
    return found


def _mean_sums(operator: Weighted, x: Array) -> Array:
    """The mean of each output channel before the activation."""
    (sums,) = _run(replace(operator, activation=Activation.NONE), [x])
    return np.asarray(sums.mean(axis=tuple(range(sums.ndim - 1)), dtype=np.float64))


def _decibels(want: Array, found: Array) -> float:
    noise, signal = (float(np.mean(np.square(x, dtype=np.float64))) for x in (want - found, want))
    if noise == 0:
        return inf
    return round(10 * log10(signal / noise), 1) if signal else -inf
