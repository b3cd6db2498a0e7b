"""Which samples of a stream are uploaded: by chance, or by the entropy of the int8 decision (docs/elastic.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.elastic.student import Raw, Student
from driftc.codegen.inference import AT_ONCE, infer

LEAST, MOST = 0.02, 0.4  # of log C: E_min, and E_max as published


def by_chance(stream: Raw, count: int) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(0).permutation(len(stream))[:count])


def by_entropy(student: Student, stream: Raw, count: int) -> NDArray[np.int64]:
    """The first `count` between the bounds; fewer where the stream has no more."""
    found: list[int] = []
    for start in range(0, len(stream), AT_ONCE):
        some = stream[start : start + AT_ONCE]
        found += [start + int(n) for n in np.flatnonzero(between(entropies(student, some), student.classes))]
        if len(found) >= count:
            break
    return np.array(found[:count])


def between(entropy: NDArray[np.float64], classes: int) -> NDArray[np.bool_]:
    share = entropy / np.log(classes)
    return np.asarray((share > LEAST) & (share < MOST))


def entropies(student: Student, samples: Raw) -> NDArray[np.float64]:
    """Of the softmax of the int8 logits, in nats."""
    graph = student.graph
    softmax = graph.producers()[graph.outputs[0].name]
    (logits,) = softmax.inputs
    values = infer(graph, [samples.reshape(len(samples), *graph.inputs[0].shape)])[logits.name]
    return entropy_of(values.reshape(len(samples), -1) * np.float64(logits.scale))


def entropy_of(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    shares = raised / raised.sum(-1, keepdims=True)
    return np.asarray(-(shares * np.log(shares + 1e-12)).sum(-1))
