"""UNIDIRECTIONAL_SEQUENCE_LSTM: sigmoid and tanh come from a header of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driftc.codegen.kernels.portable.default import Default
from driftc.codegen.operators.recurrent.unidirectional_sequence_lstm import UnidirectionalSequenceLstm

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call


class Lstm(Default):
    """As the default one, but for the header."""

    name = "portable/lstm"
    header = "driftc_sigmoid.h"

    def serves(self, call: Call) -> bool:
        return isinstance(call.computed, UnidirectionalSequenceLstm)
