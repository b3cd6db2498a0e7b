"""In which order a kernel reads its inputs and writes its outputs: what lets an output lie over a dying input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.operators.windowed import Windowed
from driftc.codegen.tensor import Shape

Steps = NDArray[np.int64]  # a step number for each element, rows x pixels x channels

NEVER = -1


@dataclass(frozen=True, eq=False)
class Walk:
    """Kernels as numbered steps: each reads some elements of the inputs, and then writes some of the outputs.

    `read[i]` is the last step that reads each element of input i (NEVER: none does), `written[o]` the first step that
    writes each element of output o. They restate the loops of the operator's template; the tests hold the C to them.
    """

    read: tuple[Steps, ...]
    written: tuple[Steps, ...]


def row_major(shape: Shape) -> Steps:
    """Step n is element n: what a loop over every axis in order, or over all elements, gives."""
    return np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)


def broadcast(output: Shape, inputs: Sequence[Shape]) -> Walk:
    """Element by element of the output; inputs broadcast to it."""
    steps = row_major(output)

    def last(shape: Shape) -> Steps:
        padded = (1,) * (len(output) - len(shape)) + tuple(shape)
        axes = tuple(axis for axis, extent in enumerate(padded) if extent == 1)
        return steps.max(axis=axes, keepdims=True).reshape(shape) if axes else steps

    return Walk(tuple(as_rows(last(shape)) for shape in inputs), (as_rows(steps),))


def unordered(inputs: Sequence[tuple[int, int, int]], outputs: Sequence[tuple[int, int, int]]) -> Walk:
    """All is read at the end: nothing may lie over anything. Of shapes as rows x pixels x channels."""
    return Walk(tuple(np.ones(hwc, np.int64) for hwc in inputs), tuple(np.zeros(hwc, np.int64) for hwc in outputs))


def as_rows(steps: Steps) -> Steps:
    """As rows x pixels x channels, as `Tensor.hwc` folds axes."""
    if steps.ndim <= 1:
        return steps.reshape(1, 1, -1)
    return steps.reshape(-1, *steps.shape[-2:])


def visits(op: Windowed, backward: bool) -> tuple[Steps, Steps]:
    """When output pixels are computed, and when each input pixel is last in a window (NEVER: in none).

    Pixels are counted in the order in which they are computed: [out rows, out pixels], [in rows, in pixels].
    """
    height, width, _ = op.outputs[0].hwc
    row, pixel = _last_use(op, 0, backward), _last_use(op, 1, backward)
    last = row[:, None] * width + pixel[None, :]
    last[(row == NEVER)[:, None] | (pixel == NEVER)[None, :]] = NEVER
    order = np.arange(height * width, dtype=np.int64).reshape(height, width)
    return order[::-1, ::-1] if backward else order, last


def _last_use(op: Windowed, axis: int, backward: bool) -> Steps:
    """For each input row (axis 0) or pixel (axis 1): the last window it is in, counted as they are computed."""
    size, count = op.inputs[0].hwc[axis], op.outputs[0].hwc[axis]
    last = np.full(size, NEVER, np.int64)
    for turn in range(count):
        window = count - 1 - turn if backward else turn
        first = window * op.stride[axis] - op.padding[2 * axis]
        reads = first + np.arange(op.kernel[axis]) * op.dilation[axis]
        last[reads[(reads >= 0) & (reads < size)]] = turn
    return last
