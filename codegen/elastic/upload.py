"""Which samples are worth sending: the entropy of the decision as an operator, and the decision about it in NumPy.

E_min < H < E_max, both shares of log2 of the classes; once 128 samples were seen E_max falls as the running mean of H
does: H * A0 < E_max * A, A0 the mean of the first 128. firmware/driftc_upload.h computes the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log2

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.conversion.dequantize import Dequantize
from driftc.codegen.operators.conversion.quantize import Quantize
from driftc.codegen.operators.elementwise.logistic import Logistic
from driftc.codegen.operators.normalization.log_softmax import LogSoftmax
from driftc.codegen.operators.reduction.softmax import Softmax
from driftc.codegen.operators.upload.decision_entropy import FRACTION, DecisionEntropy
from driftc.codegen.options import Options
from driftc.codegen.tensor import Tensor

SEEN = 128  # samples whose mean is the source's
LEAST, MOST = 0.02, 0.4  # of log2 of the classes
ENTROPY = "decision_entropy"


@dataclass(frozen=True)
class Upload:
    """`budget` samples a round at most. `share` of the samples for "random". `copies`: the caller keeps the input."""

    method: str
    classes: int
    budget: int
    share: float
    copies: bool

    @property
    def least(self) -> int:
        """Bits in Q.12, as `most`."""
        return round(LEAST * log2(self.classes) * (1 << FRACTION))

    @property
    def most(self) -> int:
        return round(MOST * log2(self.classes) * (1 << FRACTION))

    @property
    def chance(self) -> int:
        """Of 2^16."""
        return round(self.share * 2**16)


class Chooser:
    """What NAME_upload_wanted says, inference after inference."""

    def __init__(self, upload: Upload, seed: int = 1) -> None:
        self._upload = upload
        self._random = seed or 1
        self._count = self._start = self._mean = 0
        self.tokens = upload.budget

    def round(self) -> None:
        """A new one begins."""
        self.tokens = self._upload.budget

    def wanted(self, entropy: int = 0) -> bool:
        """`entropy` of the inference that ended, bits in Q.12."""
        interesting = self._drawn() if self._upload.method == "random" else self._unsure(entropy)
        if not interesting or self.tokens == 0:
            return False
        self.tokens -= 1
        return True

    def _drawn(self) -> bool:
        x = self._random
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        self._random = x ^ (x << 5 & 0xFFFFFFFF)
        return self._random >> 16 < self._upload.chance

    def _unsure(self, entropy: int) -> bool:
        known = self._count == SEEN
        if known:
            self._mean += ((entropy << 8) - self._mean) >> 7
        else:  # the sum, which twice is the mean of 128 in Q.20
            self._count += 1
            self._mean += entropy
            if self._count == SEEN:
                self._start = self._mean = 2 * self._mean
        below = not known or entropy * self._start < self._upload.most * self._mean
        return self._upload.least < entropy < self._upload.most and below


def uploading(graph: Graph, options: Options) -> tuple[Graph, Upload]:
    """`graph` as the file has it, with the entropy of its decision where `options.upload` asks for it.

    Raises ModelError where it decides between no classes, or by sigmoids.
    """
    logits, beta = _logits(graph)
    assert options.upload is not None
    copies = options.upload_copy is not None
    upload = Upload(options.upload, logits.size, options.upload_budget, options.upload_share, copies)
    if options.upload == "random":
        return graph, upload
    taken = {op.name for op in graph.operators}
    name = next(each for each in (ENTROPY, *(f"{ENTROPY}_{n}" for n in range(2, len(taken) + 3))) if each not in taken)
    output = Tensor(name, (1,), np.dtype(np.int32), label=name)
    made = DecisionEntropy.of(name, logits, output, beta)
    return replace(graph, operators=(*graph.operators, made), held=(*graph.held, output)), upload


def holding(graph: Graph) -> Graph:
    """`graph`, behind the passes, with its input in RAM until the caller writes the next."""
    if len(graph.inputs) != 1:
        raise ModelError(f"{graph.source}: has {len(graph.inputs)} inputs; what is sent is one")
    return replace(graph, held=(*graph.held, graph.inputs[0]))


def _logits(graph: Graph) -> tuple[Tensor, float]:
    """The int8 tensor whose largest value decides, and what a softmax behind it multiplies it with."""
    if len(graph.outputs) != 1:
        raise ModelError(f"{graph.source}: --upload needs one output, with a value a class, not {len(graph.outputs)}")
    made: dict[str, Operator] = graph.producers()
    tensor, beta = graph.outputs[0], 1.0
    found = tensor
    while (maker := made.get(tensor.name)) is not None:
        if isinstance(maker, Logistic):
            raise ModelError(
                f"{graph.source}: --upload: its output is a sigmoid's, for which the criteria were not measured"
            )
        if isinstance(maker, Softmax | LogSoftmax):
            found, beta = maker.inputs[0], maker.beta if isinstance(maker, Softmax) else 1.0
            break
        if not maker.view and not isinstance(maker, Quantize | Dequantize):
            break
        tensor = maker.inputs[0]
        found = tensor if found.dtype != np.int8 else found
    if found.dtype != np.int8 or found.hwc[0] * found.hwc[1] != 1:
        shape = f"{found.dtype.name} {list(found.shape)}"
        raise ModelError(f"{graph.source}: --upload needs logits of one decision in int8, not {shape}")
    if found.size < 2:
        raise ModelError(f"{graph.source}: --upload: its one output value is no decision between classes")
    return found, beta
