"""What each layer's values are like on the source: measured by running the int8 Graph on the calibration samples."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.adaptation.known import Normalisation
from driftc.codegen.graph import Graph
from driftc.codegen.inference import AT_ONCE, infer
from driftc.codegen.operators.adapt.live import statistics
from driftc.codegen.operators.convolution.weighted import Int64, Weighted
from driftc.codegen.tensor import Array

Floats = NDArray[np.float64]
FLOOR = 2.0**-10  # eps, as a share of the source variance


@dataclass(frozen=True, eq=False)
class Source:
    """One layer on the calibration samples, in real units: before normalisation and activation.

    `means`, `variances`: of each sample, [samples, channels]. `mean`, `var`: over all pixels of all samples.
    """

    pixels: int
    means: Floats
    variances: Floats
    mean: Floats
    var: Floats
    reach: Floats  # largest |x - mean| seen
    step: Floats  # one unit of the accumulator
    floor: Floats  # eps, as it should be

    @property
    def eps(self) -> Floats:
        """As the device adds it: a power of two, and never less than the accumulator resolves."""
        unit = self.step**2 / self.pixels
        return np.asarray(unit * np.exp2(np.rint(np.log2(np.maximum(self.floor / unit, 1.0)))))


def measure(
    graph: Graph,
    layers: Collection[str],
    samples: Sequence[Sequence[Array]],
    progress: Callable[[int, int], None] | None = None,
    known: Mapping[str, Normalisation] | None = None,
) -> dict[str, Source]:
    """The Source of each of `layers` (operator names). Statistics are exact: integers until the last step.

    Mean, variance and eps are those in `known`; of other layers those of the samples, and a thousandth of the variance.
    """
    seen: dict[str, _Seen] = {}

    def see(operator: Weighted, accumulators: Int64) -> None:
        if operator.name in layers:
            seen.setdefault(operator.name, _Seen()).add(accumulators)

    for start in range(0, len(samples), AT_ONCE):
        some = samples[start : start + AT_ONCE]
        infer(graph, [np.stack(arrays) for arrays in zip(*some, strict=True)], see)
        if progress is not None:
            progress(start + len(some), len(samples))
    operators = {operator.name: operator for operator in graph.operators}
    norms = known or {}
    return {name: seen[name].source(operators[name], norms.get(name)) for name in layers}


class _Seen:
    """A layer's statistics so far."""

    def __init__(self) -> None:
        self.pixels = 0
        self.sums: list[Int64] = []
        self.squares: list[Int64] = []
        self.low: Int64 | None = None
        self.high: Int64 | None = None

    def add(self, accumulators: Int64) -> None:
        """Of n samples: [n, pixels, channels]."""
        self.pixels = accumulators.shape[1]
        for sample in accumulators:
            sums, squares = statistics(sample)
            self.sums.append(sums)
            self.squares.append(squares)
        low, high = accumulators.min(axis=(0, 1)), accumulators.max(axis=(0, 1))
        self.low = low if self.low is None else np.minimum(self.low, low)
        self.high = high if self.high is None else np.maximum(self.high, high)

    def source(self, operator: object, known: Normalisation | None) -> Source:
        assert isinstance(operator, Weighted)
        assert self.low is not None and self.high is not None
        step = np.float64(operator.inputs[0].scale) * operator.quantization.scale.astype(np.float64)
        step = np.broadcast_to(step, (operator.channels,))
        means = np.stack(self.sums) / self.pixels
        powers = np.stack(self.squares) / self.pixels
        if known is None:
            mean = means.mean(axis=0)
            var = np.maximum(powers.mean(axis=0) - mean**2, 0.0)
            mean, var, floor = mean * step, var * step**2, var * step**2 * FLOOR
        else:
            mean, var, floor = known.mean, known.var, known.eps
        return Source(
            self.pixels,
            means * step,
            np.maximum(powers - means**2, 0.0) * step**2,
            mean,
            var,
            np.maximum(self.high * step - mean, mean - self.low * step),
            step,
            floor,
        )
