"""Which samples of a stream a device would send, by the C that chooses them or by its specification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from driftc.codegen.elastic.upload import Chooser, Upload
from driftc.simulator.engine import Port, Program

SEED = 1  # of the simulated device


def as_uploading(program: Program) -> Program:
    """`program` built to say of each sample whether it is wanted: one more output, int32."""
    wanted = Port("wanted", (1,), np.dtype(np.int32))
    return replace(program, uploads=True, outputs=(*program.outputs, wanted))


def chosen(upload: Upload, entropies: Sequence[int]) -> list[bool]:
    """The specification: of each inference, in order, whether its sample is wanted."""
    chooser = Chooser(upload, SEED)
    return [chooser.wanted(entropy) for entropy in entropies]
