"""What tensors of a Graph hold of samples, from which references and learning rates are taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.graph import Graph
from driftc.codegen.inference import AT_ONCE, infer
from driftc.codegen.passes.border import border
from driftc.codegen.tensor import Array, Tensor

Progress = Callable[[int, int], None]


def values_of(
    model: Graph, tensors: Sequence[Tensor], samples: Sequence[Sequence[Array]], progress: Progress | None = None
) -> list[NDArray[np.int8]]:
    """What each of these int8 tensors holds of each sample: [n, elements]."""
    inner = border(model)
    found: list[list[Array]] = [[] for _ in tensors]
    for start in range(0, len(samples), AT_ONCE):
        some = samples[start : start + AT_ONCE]
        values = infer(inner, [np.stack(arrays) for arrays in zip(*some, strict=True)])
        for parts, tensor in zip(found, tensors, strict=True):
            parts.append(values[tensor.name].reshape(len(some), -1))
        if progress is not None:
            progress(start + len(some), len(samples))
    return [np.concatenate(parts).astype(np.int8) for parts in found]


def tensor_of(
    model: Graph, tensor: Tensor, samples: Sequence[Sequence[Array]], progress: Progress | None = None
) -> NDArray[np.int8]:
    """What `tensor` holds for each sample: int8 [n, its size]."""
    return values_of(model, (tensor,), samples, progress)[0]
