"""How constants lie in flash for vectors of 16 bytes and of 4 words.

A finished sum becomes int8 in vectors of four: VQRDMULH is gemmlowp's doubling high multiply, VRSHL its rounding shift,
except that it rounds halves upwards: one is subtracted below zero, unless all there is clamped to the zero point
(codegen/kernels/dsp/scales.py, which also says which layers that fits).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.kernels.dsp.scales import Limits, Scales
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.tensor import Array

BYTES = 16  # in a vector
WIDE = Limits(1 << 31, 31)  # what VQRDMULH and VRSHL take
SIXTEEN = (0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15)  # as VMULLB, VMULLT and VMOVLB, VMOVLT part them


def vectors(run: int) -> int:
    """That hold so many bytes."""
    return -(-run // BYTES)


def lanes(scales: Scales) -> NDArray[np.int32]:
    """[channels / 4, 9]: biases and multipliers of four channels, and their left shifts, bytes of one word."""
    values, shifts = _by_four(scales, range(4))
    return np.concatenate([values.reshape(-1, 8), shifts], axis=1)


def lanes_of_sixteen(scales: Scales) -> NDArray[np.int32]:
    """[channels / 16, 36]: four words of shifts, then biases and multipliers of each four; as products come out."""
    values, shifts = _by_four(scales, SIXTEEN)
    return np.concatenate([shifts.reshape(-1, 4), values.reshape(-1, 32)], axis=1)


def _by_four(scales: Scales, order: Sequence[int]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """[channels / 4, 2, 4] biases and multipliers, [channels / 4, 1] left shifts; in `order` of each so many."""
    rows = np.stack([scales.bias, scales.multiplier, -1 - scales.shift.astype(np.int64)])
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % len(order))))
    taken = padded.reshape(3, -1, len(order))[:, :, list(order)].reshape(3, -1, 4)
    shifts = np.ascontiguousarray(taken[2].astype(np.int8)).view("<i4").astype(np.int32)
    return np.ascontiguousarray(wrapped(taken[:2]).transpose(1, 0, 2)), shifts


def wrapped(values: NDArray[np.int64]) -> NDArray[np.int32]:
    """Modulo 2^32."""
    return (values & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def rows_of(op: Weighted, scales: Scales | None = None) -> Array:
    """The weights of each output channel in a row, zeros where by `scales` they make no difference."""
    assert op.weights.data is not None
    rows: Array = np.moveaxis(op.weights.data, op.channel_axis, 0).reshape(op.channels, -1).copy()
    if scales is not None:
        rows[scales.idle] = 0
    return rows


def packed(rows: Array, runs: Sequence[int]) -> NDArray[np.int8]:
    """[rows / 4, vectors, 4, 16]: of runs of so many inputs, each padded with zeros to whole vectors."""
    missing = -len(rows) % 4
    parts = np.split(rows, np.cumsum(runs)[:-1], axis=1)
    whole = [np.pad(part, ((0, missing), (0, -part.shape[1] % BYTES))) for part in parts]
    by_four = np.concatenate(whole, axis=1).reshape(-1, 4, sum(map(vectors, runs)), BYTES)
    return np.ascontiguousarray(by_four.transpose(0, 2, 1, 3)).astype(np.int8)
