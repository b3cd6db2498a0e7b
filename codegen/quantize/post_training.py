"""The road from a float model to an int8 one: frontend, fold, activate, equalise, ranges, quantise, correct, write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.errors import ModelError, UsageError
from driftc.codegen.evaluate import batches, trace
from driftc.codegen.files import write_file
from driftc.codegen.frontends import load_model
from driftc.codegen.graph import Graph
from driftc.codegen.names import Names
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.conversion.dequantize import Dequantize
from driftc.codegen.operators.conversion.quantize import Quantize
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.passes.absorb import absorb
from driftc.codegen.passes.activate import activate
from driftc.codegen.passes.fold import fold
from driftc.codegen.passes.sink import sink
from driftc.codegen.quantize import calibration
from driftc.codegen.quantize.calibration import Calibration
from driftc.codegen.quantize.equalize import equalize
from driftc.codegen.quantize.quantize import observed, quantize
from driftc.codegen.quantize.ranges import CHOICES, Histogram
from driftc.codegen.quantize.tune import SAMPLES, Loss, tune
from driftc.codegen.tensor import Array, Tensor
from driftc.codegen.tflite_writer import write

TRIAL = 128  # samples that say whether equalisation helps

Watch = Callable[[str, Graph], None]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Settings:
    """How a float model becomes int8."""

    ranges: str = "mse"  # of activations: minmax, percentile or mse
    correct_bias: bool = True
    equalize: bool | None = None  # None: where there are depthwise convolutions and the output follows better with it
    input_divisor: float = 1.0  # calibration values are divided by it
    float_border: bool = False  # QUANTIZE and DEQUANTIZE at the model's border

    def __post_init__(self) -> None:
        if self.ranges not in CHOICES:
            raise UsageError(f"ranges '{self.ranges}' are unknown; {', '.join(CHOICES)} are")


@dataclass(frozen=True, eq=False)
class Quantized:
    """`real` is the model as imported, `graph` the int8 one, `model` the bytes of its .tflite.

    Between them, `prepared` is float still, folded and equalised; `factors` is what equalisation divided the channels
    of a layer by, under its operator's name.
    """

    real: Graph
    prepared: Graph
    factors: Mapping[str, NDArray[np.float64]]
    graph: Graph
    model: bytes
    losses: tuple[Loss, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {"notes": list(self.notes), "layers": [loss.as_json() for loss in self.losses]}

    def write(self, path: str | Path) -> None:
        """The .tflite file. Raises UsageError where it cannot be written."""
        write_file(Path(path), self.model)


def quantize_file(
    path: Path,
    data: Path,
    settings: Settings,
    *,
    name: str | None = None,
    watch: Watch | None = None,
    progress: Progress | None = None,
) -> Quantized:
    """Raises ModelError (the model), DataError (the samples), UsageError or ToolError (a missing framework)."""
    real = load_model(path, name)
    refuse_int8(real)
    samples = calibration.load(data, real, divisor=settings.input_divisor)
    return quantize_graph(real, samples, settings, watch=watch, progress=progress)


def refuse_int8(graph: Graph) -> None:
    if not graph.is_float:
        raise UsageError(f"{graph.source}: is quantised already; --calibrate is for float models")


def quantize_graph(
    real: Graph,
    samples: Calibration,
    settings: Settings,
    *,
    watch: Watch | None = None,
    progress: Progress | None = None,
) -> Quantized:
    """`real` as a frontend gives it, with its batch normalisation."""
    try:
        return _quantize(real, samples, settings, watch, progress)
    except ModelError as error:
        raise error.within(real.source) from None


def _quantize(
    real: Graph, samples: Calibration, settings: Settings, watch: Watch | None, progress: Progress | None
) -> Quantized:
    see = watch or (lambda stage, graph: None)
    see("import", real)
    real = absorb(sink(real))
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows shows when it is run, by its layer's name
        folded = fold(real)
    see("fold", folded)
    prepared = activate(folded)
    notes = [*real.notes, *samples.notes]
    factors: dict[str, NDArray[np.float64]] = {}
    if settings.equalize or (settings.equalize is None and _has_depthwise(prepared)):
        evened, found = equalize(prepared, samples.first(SAMPLES))
        even = True
        if settings.equalize is None:
            heard = [_heard(graph, samples.first(TRIAL), settings) for graph in (prepared, evened)]
            even = heard[1] > heard[0]
            chosen = "used" if even else "not used"
            notes.append(f"equalisation {chosen}: {heard[1]:g} dB at the output with it, {heard[0]:g} dB without")
        if even:
            prepared, factors = evened, found
    prepared.check()
    see("activate", prepared)
    graph, losses = _quantized(prepared, samples.inputs, samples.first(SAMPLES), settings, progress)
    if settings.float_border:
        graph = with_float_border(graph)
    for operator in graph.operators:
        operator.check()
    graph.check()
    see("quantize", graph)
    return Quantized(real, prepared, factors, graph, write(graph), tuple(losses), tuple(notes))


def _quantized(
    graph: Graph, inputs: Sequence[Array], some: Sequence[Array], settings: Settings, progress: Progress | None = None
) -> tuple[Graph, list[Loss]]:
    """Ranges from all `inputs`, weights and biases from `some`."""
    seen = observe(graph, inputs, progress)
    ranges = {tensor: CHOICES[settings.ranges](histogram) for tensor, histogram in seen.items()}
    return tune(graph, quantize(graph, ranges), some, correct=settings.correct_bias)


def _heard(graph: Graph, some: Sequence[Array], settings: Settings) -> float:
    """Signal to noise at the output and the layer before it, in dB, quantised on a few samples.

    Both, for a softmax hides what its input loses or shows it, as the samples will have it.
    """
    _, losses = _quantized(graph, some, some, settings)
    return round(float(np.mean([loss.total for loss in losses[-2:]])), 1) if losses else 0.0


def _has_depthwise(graph: Graph) -> bool:
    return any(isinstance(operator, DepthwiseConv2D) for operator in graph.operators)


def observe(graph: Graph, inputs: Sequence[Array], progress: Progress | None = None) -> dict[str, Histogram]:
    """What each tensor whose range must be known holds, over all samples."""
    seen = {tensor.name: Histogram() for tensor in observed(graph)}
    done = 0
    for batch in batches(inputs):
        for tensor, values in zip(graph.inputs, batch, strict=True):
            if tensor.name in seen:
                seen[tensor.name].add(values)
        for operator, _, results in trace(graph, batch):
            for tensor, values in zip(operator.outputs, results, strict=True):
                if tensor.name in seen:
                    seen[tensor.name].add(values)
        done += len(batch[0])
        if progress is not None:
            progress(done, len(inputs[0]))
    return seen


def with_float_border(graph: Graph) -> Graph:
    """Float inputs and outputs, as a .tflite converted with them has: QUANTIZE and DEQUANTIZE at the border."""
    names = Names(graph.name)
    names.taken.update(operator.name for operator in graph.operators)

    def real(tensor: Tensor, suffix: str) -> Tensor:
        return replace(
            tensor,
            name=f"{tensor.name}/{suffix}",
            label=f"{tensor.label}/{suffix}",
            dtype=np.dtype(np.float32),
            quantization=None,
        )

    inputs = tuple(real(t, "float") if t.dtype == np.int8 else t for t in graph.inputs)
    outputs = tuple(real(t, "float") if t.dtype == np.int8 else t for t in graph.outputs)
    first: list[Operator] = [
        Quantize(name=names.unique("quantize_input"), inputs=(x,), outputs=(y,), label=y.label)
        for x, y in zip(inputs, graph.inputs, strict=True)
        if x is not y
    ]
    last: list[Operator] = [
        Dequantize(name=names.unique("dequantize_output"), inputs=(x,), outputs=(y,), label=x.label)
        for x, y in zip(graph.outputs, outputs, strict=True)
        if x is not y
    ]
    return replace(graph, operators=(*first, *graph.operators, *last), inputs=inputs, outputs=outputs)
