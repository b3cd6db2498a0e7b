"""How fast a dense layer should learn, and how large its weights become: classes that it knows are left out, and learnt
anew in float from the labelled samples, while others are held by references, as on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.learning.trainable import bias_steps, row_scales
from driftc.codegen.operators.convolution.fully_connected import FullyConnected

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

STEPS = (3.0, 1.0, 0.3)  # learning rates that are tried, times the mean of the features' squared length
GOOD = 0.01  # of the best mean of old and new: what the fastest rate may be worse by
ROOM = 1.25  # for weights, of the largest that were seen
WIDEST = 16.0  # of the largest as compiled: beyond, too few of the 8 bits are left for these
LEFT_OUT, GROUPS = 2, 5  # classes that are left out at once, of four or more; how often
TAUGHT, TESTED = 20, 40  # samples of a class, at most
FEWEST = 2  # of each class besides the references


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """A layer on `features` [n, F] of samples with `labels`, of which `keep` of each class are references."""

    features: Floats
    labels: Labels
    weights: Floats  # [C, F]
    bias: Floats
    keep: int
    passes: int
    seed: int

    @classmethod
    def of(cls, layer: FullyConnected, features: Floats, labels: Labels, **numbers: int) -> Rehearsal:
        """With `layer`'s real weights."""
        assert layer.weights.data is not None
        scales = row_scales(layer, layer.channels)
        bias = bias_steps(layer) * scales * float(layer.inputs[0].scale)
        return cls(features, labels, layer.weights.data * scales[:, None], bias, **numbers)

    def found(self, rates: Sequence[float]) -> tuple[float, float]:
        """The fastest of the rates that are good, the first being the fastest, and the largest weight that rows should
        have room for; the first, and 0, where there are too few samples to try."""
        random = np.random.default_rng(self.seed)
        of = [random.permutation(np.flatnonzero(self.labels == label)) for label in range(len(self.bias))]
        there = [label for label, found in enumerate(of) if len(found) >= self.keep + FEWEST]
        size = LEFT_OUT if len(there) >= 2 * LEFT_OUT else 1
        groups = [there[first : first + size] for first in range(0, len(there) - size + 1, size)]
        if len(there) < 2:
            return float(rates[0]), 0.0
        tried = [self._learnt(of, there, groups[n], rates) for n in np.unique(_spread(len(groups), GROUPS))]
        right, largest = np.mean([each for each, _ in tried], axis=0), np.max([peak for _, peak in tried], axis=0)
        chosen = int(np.flatnonzero(right >= right.max() - GOOD)[0])
        return float(rates[chosen]), min(ROOM * float(largest[chosen]), WIDEST * float(np.abs(self.weights).max()))

    def _learnt(
        self, of: Sequence[Labels], there: Sequence[int], group: Sequence[int], rates: Sequence[float]
    ) -> tuple[Floats, Floats]:
        """For each rate: the mean of old and new that are right, and the largest weight."""
        taught = [of[label][: min(TAUGHT, len(of[label]) // 2)] for label in group]
        others = [label for label in there if label not in group]
        references = np.concatenate([of[label][: self.keep] for label in others])
        tests = [of[label][len(mine) :][:TESTED] for label, mine in zip(group, taught, strict=True)]
        held = [of[label][self.keep :][:TESTED] for label in others]
        steps = np.array(rates)
        weights, bias = (np.repeat(array[None], len(steps), axis=0) for array in (self.weights, self.bias))
        weights[:, group], bias[:, group] = 0, 0
        replays = min(max(len(there) // (2 * len(group)), 1), 4)
        random = np.random.default_rng(self.seed)
        for _ in range(self.passes):
            for number in random.permutation(np.concatenate(taught)):
                for sample in (number, *random.choice(references, replays)):
                    x = self.features[sample]
                    logits = weights @ x + bias
                    p = np.exp(logits - logits.max(axis=1, keepdims=True))
                    p /= p.sum(axis=1, keepdims=True)
                    p[:, self.labels[sample]] -= 1
                    p *= steps[:, None]
                    weights -= p[:, :, None] * x
                    bias -= p
        shares = [self._right(weights, bias, np.concatenate(some)) for some in (tests, held)]
        return np.mean(shares, axis=0), np.abs(weights).max(axis=(1, 2))

    def _right(self, weights: Floats, bias: Floats, samples: Labels) -> Floats:
        logits = self.features[samples] @ weights.transpose(0, 2, 1) + bias[:, None]
        return np.asarray((logits.argmax(axis=2) == self.labels[samples]).mean(axis=1), np.float64)


def _spread(count: int, most: int) -> Labels:
    """`most` of so many at most, evenly."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)
