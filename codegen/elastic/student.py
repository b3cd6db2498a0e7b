"""The compiled model as a server knows it: its int8 specification, and the layers that an update moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.adaptation.constants import Constants
from driftc.codegen.elastic.coding import Codes
from driftc.codegen.elastic.parameters import Parameters, apply
from driftc.codegen.errors import UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.inference import AT_ONCE, infer
from driftc.codegen.lower import Lowered
from driftc.codegen.operators.elementwise.logistic import Logistic
from driftc.codegen.passes.border import border
from driftc.codegen.tensor import Shape

Raw = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Student:
    """`graph` is the specification as compiled, `source` the same model with nothing live, `live` its constants."""

    graph: Graph
    source: Graph
    parameters: Parameters
    live: dict[str, Constants]

    def __post_init__(self) -> None:
        """Raises UsageError for a model that makes no decision that a teacher could correct."""
        title = self.graph.source
        if len(self.graph.inputs) != 1 or len(self.graph.outputs) != 1 or self.graph.inputs[0].dtype != np.int8:
            raise UsageError(f"{title}: updates are learnt for models with one int8 input and one output")
        if self.graph.states:
            raise UsageError(f"{title}: keeps '{self.graph.states[0].tensor.label}' between inferences; not learnt yet")
        if self.classes < 2 or isinstance(self.graph.producers()[self.graph.outputs[0].name], Logistic):
            raise UsageError(f"{title}: updates are learnt for models that decide between two classes or more")

    @classmethod
    def of(cls, lowered: Lowered) -> Student:
        """Raises UsageError where the model takes no updates."""
        if lowered.parameters is None:
            raise UsageError(f"{lowered.graph.source}: takes no updates; compile it with --updatable")
        live = lowered.adaptation.layers if lowered.adaptation is not None else {}
        return cls(lowered.graph, border(lowered.source), lowered.parameters, dict(live))

    @property
    def model_id(self) -> bytes:
        return self.parameters.model_id

    @property
    def shape(self) -> Shape:
        """Of one sample, without the first axis."""
        return self.graph.inputs[0].shape[1:]

    @property
    def input_bytes(self) -> int:
        return self.graph.inputs[0].size

    @property
    def classes(self) -> int:
        return self.graph.outputs[0].size

    def real(self, samples: Raw) -> NDArray[np.float32]:
        """What the bytes stand for."""
        tensor = self.graph.inputs[0]
        steps = samples.astype(np.float32) - np.float32(tensor.zero_point)
        return np.asarray(steps * np.float32(tensor.scale), np.float32)

    def decisions(self, samples: Raw, codes: Sequence[Codes] | None = None) -> NDArray[np.int64]:
        """The class of each sample [n, ...], by the int8 specification; `codes` None: as compiled."""
        graph = self.graph if codes is None else apply(self.graph, self.parameters, codes)
        (output,) = graph.outputs
        found = []
        for start in range(0, len(samples), AT_ONCE):
            some = samples[start : start + AT_ONCE]
            made = infer(graph, [some.reshape(len(some), *graph.inputs[0].shape)])[output.name]
            found.append(made.reshape(len(some), -1).argmax(-1))
        return np.concatenate(found) if found else np.zeros(0, np.int64)
