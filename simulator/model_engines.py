"""Engines that run the model instead of its C: the specification, and the references behind the same interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from driftc.codegen.errors import ToolError
from driftc.codegen.lower import Lowered
from driftc.simulator.engine import FIRST, Array, Engine, Program, Sample, Starts
from driftc.simulator.reference import PlanRun
from driftc.simulator.references import LitertReference, TflmReference


class NumpyEngine(Engine):
    """The Plan in NumPy, on its own buffers and offsets."""

    name: ClassVar[str] = "numpy"

    def __init__(self, lowered: Lowered) -> None:
        self._lowered = lowered

    def missing(self) -> str | None:
        return None

    def run(
        self, program: Program, samples: Sequence[Sequence[Array]], *, trace: bool, starts: Starts = FIRST
    ) -> Iterator[Sample]:
        run = PlanRun(self._lowered.plan)
        for number, sample in enumerate(samples):
            if number in starts:
                run.reset()
            outputs, layers = run.run(sample)
            yield Sample(tuple(outputs), dict(enumerate(layers)) if trace else {}, state=run.state)


class ReferenceEngine(Engine):
    """TFLite Micro or LiteRT on the model file. Int8 in and out; real values at a float border are made from them."""

    name: ClassVar[str] = "reference"

    def __init__(self, reference: TflmReference | LitertReference, lowered: Lowered, model: Path) -> None:
        self._reference = reference
        self._lowered = lowered
        self._model = model
        self.name = reference.name  # type: ignore[misc]

    def missing(self) -> str | None:
        return self._reference.missing()

    def run(
        self, program: Program, samples: Sequence[Sequence[Array]], *, trace: bool, starts: Starts = FIRST
    ) -> Iterator[Sample]:
        graph, layers, reals = self._lowered.graph, self._lowered.plan.layers, self._lowered.real_inputs
        fed = [
            [
                real_values(value, tensor.scale, tensor.zero_point) if tensor.name in reals else value
                for value, tensor in zip(sample, graph.inputs, strict=True)
            ]
            for sample in samples
        ]
        for tensors in self._reference.run(program.folder / self._model.name, fed, starts):
            outputs = [tensors.get(-1 if tensor.index is None else tensor.index) for tensor in graph.outputs]
            if any(output is None for output in outputs):
                raise ToolError(f"{self.name} does not show the model's outputs")
            shapes = [(tensors[t.index], t) for t in (*graph.outputs, *layers) if t.index in tensors]
            if any(got.size != tensor.size for got, tensor in shapes):
                raise ToolError(f"{self.name} takes other shapes where the file leaves them open; use another engine")
            shown = {n: tensors[t.index].reshape(t.hwc) for n, t in enumerate(layers) if t.index in tensors}
            yield Sample(tuple(output for output in outputs if output is not None), shown if trace else {})


def real_values(quantized: Array, scale: float, zero_point: int) -> Array:
    """DEQUANTIZE: float32(scale) * (q - zero), rounded once; infinite beyond float32, as in the kernels."""
    with np.errstate(over="ignore"):
        return (quantized.astype(np.int32) - zero_point).astype(np.float32) * np.float32(scale)
