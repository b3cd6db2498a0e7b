"""What each channel of a tensor can hold: interval arithmetic, by which channels are proven constant."""

from __future__ import annotations

import numpy as np

from driftc.codegen.arithmetic import Int64
from driftc.codegen.tensor import Tensor

Ranges = tuple[Int64, Int64]  # the smallest and the largest value of each channel, both included


def full(tensor: Tensor) -> Ranges:
    """All that the type can hold."""
    channels = tensor.hwc[2]
    info = np.iinfo(tensor.dtype) if tensor.dtype.kind in "iu" else np.iinfo(np.int64)
    return np.full(channels, int(info.min)), np.full(channels, int(info.max))


def of_constant(tensor: Tensor) -> Ranges:
    """What a constant holds; all that its type can where it is none."""
    if tensor.data is None or tensor.dtype.kind not in "iu" or tensor.size == 0:
        return full(tensor)
    values = tensor.data.reshape(-1, tensor.hwc[2]).astype(np.int64)
    return values.min(axis=0), values.max(axis=0)


def repeated(tensor: Tensor, wanted: Tensor, bounds: Ranges) -> Ranges | None:
    """Bounds of a view `wanted` of `tensor`; None where its channels are mixed."""
    channels, others = tensor.hwc[2], wanted.hwc[2]
    if channels == 0 or others % channels:
        return None
    low, high = bounds
    return np.tile(low, others // channels), np.tile(high, others // channels)
