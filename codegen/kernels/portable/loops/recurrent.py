"""What keeps a state from step to step."""

from __future__ import annotations

import numpy as np

from driftc.codegen.kernels.portable.loops import Loops
from driftc.codegen.kernels.walk import Steps, Walk
from driftc.codegen.operators.recurrent.svdf import Svdf
from driftc.codegen.operators.recurrent.unidirectional_sequence_lstm import UnidirectionalSequenceLstm
from driftc.codegen.tensor import Array, Tensor


class SvdfLoops(Loops[Svdf]):
    """Filter by filter: its part of the state moves on; after the last of a unit its output is written."""

    operators = (Svdf,)

    def constants(self, op: Svdf) -> dict[str, Array]:
        assert op.feature.data is not None and op.time.data is not None
        return {
            "weights": op.feature.data,
            "offset": op.folded_feature.astype(np.int32),
            "time": op.time.data,
            "bias": op.folded_bias.astype(np.int32),
        }

    def walk(self, op: Svdf, backward: bool = False) -> Walk | None:
        steps = np.arange(op.batch * op.filters).reshape(op.batch, op.filters)
        last = np.repeat(steps[:, -1:], op.inputs[0].shape[1], axis=1)
        state = np.repeat(steps, op.memory, axis=1)
        units = steps[:, op.rank - 1 :: op.rank]
        return Walk((last[None], state[None]), (units[None], state[None]))


class LstmLoops(Loops[UnidirectionalSequenceLstm]):
    """The cell state moves to its place first; the hidden state is written last, when all else has been read."""

    operators = (UnidirectionalSequenceLstm,)

    def constants(self, op: UnidirectionalSequenceLstm) -> dict[str, Array]:
        """Unit by unit, of each the four gates."""
        x, hidden, _ = op.inputs
        weights, recurrent, biases = (
            np.stack([_values(tensor) for tensor in tensors], axis=1)
            for tensors in (op.weights, op.recurrent, op.biases)
        )
        return {
            "weights": weights.astype(np.int8),
            "recurrent": recurrent.astype(np.int8),
            "bias": (biases - x.zero_point * weights.sum(axis=2)).astype(np.int32),
            "offset": (-hidden.zero_point * recurrent.sum(axis=2)).astype(np.int32),
        }

    def walk(self, op: UnidirectionalSequenceLstm, backward: bool = False) -> Walk | None:
        def at(tensor: Tensor, step: int) -> Steps:
            return np.full(tensor.hwc, step, np.int64)

        (x, hidden, cell), (y, hidden_after, cell_after) = op.inputs, op.outputs
        read = (at(x, 2), at(hidden, 2), at(cell, 0))
        return Walk(read, (at(y, 1), at(hidden_after, 3), at(cell_after, 0)))


def _values(tensor: Tensor) -> Steps:
    assert tensor.data is not None
    return tensor.data.astype(np.int64)
