"""Twin weights: two output channels in one 16-bit lane, so that one SXTB16 makes four int8 weights two useful operands.

lane = 256 * w1 + w0. SMLAD of two such lanes with two inputs gives F = 256 * S1 + S0 (mod 2^32); SXTB16 leaves w0 in
each lane, and SMLAD then gives S0; S1 = (F - S0) >> 8, exact where |S1| < 2^23. Inputs are widened to int16 in the
order of SXTB16, (0, 2) and (1, 3) of four bytes, and the weights are laid out to match.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.kernels.dsp.scales import Scales, in_fours
from driftc.codegen.operators.convolution.weighted import Weighted

LARGEST = 65535  # of the sum of a channel's weights, in magnitude: times 128 below 2^23
AT_ONCE = 4  # pairs of inputs that the matrix functions' loops take

Order = tuple[tuple[int, int], ...]  # which two inputs each pair is; -1: none


@lru_cache(maxsize=512)
def order_of(runs: Sequence[int]) -> Order:
    """Of inputs in runs of so many bytes, each widened by itself (driftc_widen_2)."""
    pairs: list[tuple[int, int]] = []
    place = 0
    for run in runs:
        for four in range(place, place + run // 4 * 4, 4):
            pairs += [(four, four + 2), (four + 1, four + 3)]
        end, rest = place + run, run % 4
        pairs += {0: [], 1: [(end - 1, -1)], 2: [(end - 2, end - 1)], 3: [(end - 3, end - 2), (end - 1, -1)]}[rest]
        place = end
    pairs += [(-1, -1)] * (-len(pairs) % AT_ONCE)
    return tuple(pairs)


def pairs_of(runs: Sequence[int]) -> int:
    """How many pairs that makes, those of nothing at the end included."""
    return -(-sum(run // 4 * 2 + (0, 1, 1, 2)[run % 4] for run in runs) // AT_ONCE) * AT_ONCE


@lru_cache(maxsize=512)
def heavy(op: Weighted) -> tuple[int, ...] | None:
    """The channels whose lanes do not fit int16, or whose sums do not fit 24 bits; None: weights are not int8."""
    if op.weights.dtype != np.int8 or op.inputs[0].dtype != np.int8 or op.weights.data is None:
        return None
    weights = rows_of(op)
    found = np.abs(weights).sum(axis=1) > LARGEST
    found[1::2] |= (256 * weights[1::2] + weights[::2]).min(axis=1) < -(2**15)
    return tuple(np.flatnonzero(found).tolist())


def twins(weights: NDArray[np.int64], order: Order) -> NDArray[np.int8]:
    """[channels / 4, pairs, 2, 4]: for each pair of inputs the lanes of rows 0 and 1, and of 2 and 3."""
    padded = np.concatenate([weights, np.zeros((len(weights), 1), np.int64)], axis=1)  # -1 is a weight of 0
    ordered = padded[:, np.array(order).reshape(-1)].reshape(len(weights), len(order), 2)
    lanes = (256 * ordered[1::2] + ordered[::2]).astype("<i2")  # [channels / 2, pairs, 2]
    by_four = lanes.reshape(-1, 2, len(order), 2).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(by_four).view(np.int8).reshape(-1, len(order), 2, 4)


def alone(op: Weighted, channels: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """`rows_of` some channels and their biases, each beside one of nothing in its twin, so that none is too heavy."""
    rows, starts = rows_of(op), op.folded_bias.astype(np.int32)
    apart, biases = np.zeros((2 * len(channels), rows.shape[1]), np.int64), np.zeros(2 * len(channels), np.int32)
    apart[::2], biases[::2] = rows[list(channels)], starts[list(channels)]
    return in_fours(apart), in_fours(biases)


def rows_of(op: Weighted, scales: Scales | None = None) -> NDArray[np.int64]:
    """The weights of each output channel in a row, zeros where by `scales` they make no difference; in fours."""
    assert op.weights.data is not None
    rows = np.moveaxis(op.weights.data.astype(np.int64), op.channel_axis, 0).reshape(op.channels, -1).copy()
    if scales is not None:
        rows[scales.idle] = 0
    return in_fours(rows)
