"""The same adapted network with less or no fixed point, to see what that costs. NumPy and TensorFlow, in batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.adaptation.constants import Constants
from driftc.codegen.adaptation.network import Network, tensorflow
from driftc.codegen.compiled import Compiled
from driftc.codegen.graph import Graph
from driftc.codegen.operators.adapt.adapt_affine import AdaptAffine
from driftc.codegen.operators.adapt.adapt_kernel import AdaptKernel
from driftc.codegen.operators.adapt.adapt_rank import AdaptRank
from driftc.codegen.operators.adapt.live import Live
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.passes.border import border
from driftc.codegen.samples import load
from driftc.codegen.tensor import Array, Tensor

AT_ONCE = 64

Floats = NDArray[np.float64]
Classes = NDArray[np.int64]


def in_float64(made: Compiled, data: Path) -> Classes:
    """int8 as on the device, but statistics and affine step in float64 from the exact accumulators."""
    graph = made.lowered.graph
    assert made.lowered.adaptation is not None
    layers = made.lowered.adaptation.layers
    biases = {op.name: op.raw_bias for op in made.lowered.source.operators if isinstance(op, Weighted)}
    return _batches(data, graph, lambda x: _run(graph, layers, biases, x))


def _batches(data: Path, graph: Graph, run: Callable[[Array], Array]) -> Classes:
    samples = np.concatenate([sample[0] for sample in load(data, graph.inputs).quantized])
    parts = [samples[start : start + AT_ONCE] for start in range(0, len(samples), AT_ONCE)]
    return np.concatenate([np.argmax(run(part), axis=1) for part in parts])


@dataclass(frozen=True)
class _Moved:
    """A live layer of a batch: real values are scale * p + centre; y = slope * (x - mean) + beta, [n, channels]."""

    scale: Floats
    centre: Floats
    mean: Floats
    slope: Floats
    beta: Floats


def _run(graph: Graph, layers: dict[str, Constants], biases: dict[str, Array], x: Array) -> Array:
    """Outputs [n, classes] of int8 samples [n, ...]. `biases`: before they were centred."""
    values: dict[str, Array] = {graph.inputs[0].name: x}
    moved: dict[str, _Moved] = {}
    for op in graph.operators:
        result = op.outputs[0]
        if isinstance(op, AdaptKernel | AdaptRank):
            continue
        if isinstance(op, Weighted):
            given = values[op.inputs[0].name].reshape(-1, *op.inputs[0].shape[1:])
            sums = op.accumulate_many(given).reshape(len(x), -1, op.channels)
            values[result.name] = op.requantise(sums).reshape(len(x), *result.shape[1:])
            if isinstance(op, Live):
                moved[result.name] = _statistics(op, layers[op.name], biases[op.name] - op.raw_bias, sums)
        elif isinstance(op, AdaptAffine):
            layer, p = moved[op.inputs[0].name], values[op.inputs[0].name]
            shape = (len(x), *[1] * (p.ndim - 2), p.shape[-1])
            mean, slope = layer.mean.reshape(shape), layer.slope.reshape(shape)
            y = slope * (layer.scale * p + layer.centre - mean) + layer.beta
            values[result.name] = np.clip(np.rint(y / result.scale) + result.zero_point, *op.bounds).astype(np.int8)
        else:
            found = [op.spec(*(_given(tensor, values, n) for tensor in op.inputs))[0] for n in range(len(x))]
            values[result.name] = np.stack(found).reshape(len(x), *result.shape[1:])
    return values[graph.outputs[0].name].reshape(len(x), -1)


def _given(tensor: Tensor, values: dict[str, Array], sample: int) -> Array:
    return values[tensor.name][sample].reshape(tensor.shape) if tensor.data is None else tensor.data


def _statistics(op: Live, constants: Constants, centre: Array, sums: Array) -> _Moved:
    step = np.float64(op.inputs[0].scale) * op.quantization.scale.astype(np.float64)
    mean = step * (sums.mean(axis=1) + centre)
    power = np.log2(step**2 * sums.var(axis=1) + constants.eps)
    mu, level = constants.dm * mean + constants.cm, constants.dv * power + constants.cv
    if constants.rank is not None:
        rank = constants.rank
        z = np.concatenate([(mean - rank.mean) / rank.deviation, (power - rank.log_mean) / rank.log_deviation], 1)
        om, ov = np.split(np.maximum(z.clip(-8, 8) @ rank.down.T + rank.start, 0) @ rank.up.T, 2, axis=1)
        mu, level = mu + rank.deviation * om, level + rank.log_deviation * ov
    quantization = op.outputs[0].quantization
    assert quantization is not None
    scale = quantization.scale.astype(np.float64)
    return _Moved(scale, step * centre, mu, constants.gamma * np.exp2(-level / 2), constants.beta)


def in_float(made: Compiled, data: Path) -> Classes:
    """float32 throughout: the int8 model's weights, no rounding."""
    tf = tensorflow()
    assert made.lowered.adaptation is not None
    layers = made.lowered.adaptation.layers
    plain = border(made.lowered.source)
    network = Network(plain)
    (tensor,) = plain.inputs

    def normalise(name: str, x: Any) -> Any:
        if name not in layers:
            return x
        c = layers[name]
        mean, variance = tf.nn.moments(x, range(1, len(x.shape) - 1), keepdims=True)
        level = c.dv * tf.math.log(variance + c.eps.astype(np.float32)) / np.log(2) + c.cv
        slope = tf.cast(c.gamma, tf.float32) * tf.exp(-level * np.log(2) / 2)
        return slope * (x - (c.dm.astype(np.float32) * mean + c.cm.astype(np.float32))) + c.beta.astype(np.float32)

    def run(x: Array) -> Array:
        real = (x.astype(np.float32) - tensor.zero_point) * np.float32(tensor.scale)
        return np.asarray(network.run(real, normalise))

    return _batches(data, made.lowered.graph, run)
