"""What a float model says of its own normalisation, for the layers that hold it once it is quantised.

A normalisation of training, gamma (x - mean) / sqrt(variance + eps) + beta, folded into the layer before it, leaves
values y of mean beta and variance gamma^2 variance / (variance + eps). y is affine in x, and so are its statistics:
normalising y of one sample by them, from these source statistics on, is normalising x. So the quantised model is the
folded one, and `Normalisation` is all that keeps a layer live.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.graph import Graph
from driftc.codegen.operators.normalization.batch_normalization import BatchNormalization
from driftc.codegen.passes.fold import fold
from driftc.codegen.quantize.post_training import Quantized

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Normalisation:
    """Source statistics of a layer's values after normalisation, before its activation; float64 [channels]."""

    name: str  # the model's own
    mean: Floats
    var: Floats
    eps: Floats


@dataclass(frozen=True, eq=False)
class Known:
    """`layers`: operator name of the int8 Graph -> its normalisation. `real`: the float Graph to be imitated."""

    layers: Mapping[str, Normalisation]
    real: Graph


def known(quantized: Quantized, graph: Graph) -> Known:
    """`graph` is `quantized.model` as read again, which may name operators otherwise."""
    folded = fold(quantized.real).producers()
    names = {ours.name: read.name for ours, read in zip(quantized.graph.operators, graph.operators, strict=True)}
    layers: dict[str, Normalisation] = {}
    for norm in quantized.real.operators:
        if isinstance(norm, BatchNormalization) and norm.outputs[0].name in folded:  # else another follows at once
            host = folded[norm.outputs[0].name].name
            layers[names[host]] = _normalisation(norm, quantized.factors.get(host))
    return Known(layers, quantized.prepared)


def _normalisation(norm: BatchNormalization, factors: Floats | None) -> Normalisation:
    """`factors`: what equalisation divided each channel by."""
    by = np.ones(len(norm.gamma)) if factors is None else factors
    total = norm.variance.astype(np.float64) + norm.epsilon
    power = norm.gamma.astype(np.float64) ** 2 / total / by**2
    variance = np.maximum(norm.variance.astype(np.float64), 0.0)
    return Normalisation(norm.label or norm.name, norm.beta / by, power * variance, power * norm.epsilon)
