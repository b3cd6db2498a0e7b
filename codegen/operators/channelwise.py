"""Operators that compute each channel of their output from the same channel of each input."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.ranges import Ranges


def channelwise(operator: Operator) -> bool:
    """The output and every input have the same channels, as their last axis."""
    channels = operator.outputs[0].hwc[2]
    return len(operator.outputs) == 1 and all(t.shape and t.hwc[2] == channels for t in operator.inputs)


def at_corners(operator: Operator, inputs: Sequence[Ranges]) -> Ranges | None:
    """Bounds of a channelwise operator whose extremes are at those of its inputs; None where it is not channelwise.

    So it is where the result, with all other inputs fixed, rises or falls with each input.
    """
    if not channelwise(operator):
        return None
    found = []
    for corner in product(*inputs):
        filled = [
            np.broadcast_to(values.astype(tensor.dtype), tensor.shape)
            for tensor, values in zip(operator.inputs, corner, strict=True)
        ]
        found.append(operator.spec(*filled)[0].reshape(-1, operator.outputs[0].hwc[2]).astype(np.int64))
    every = np.concatenate(found)
    return every.min(axis=0), every.max(axis=0)
