"""Every engine against the NumPy specification, tensor by tensor, byte by byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.graph import Graph
from driftc.codegen.lower import Lowered
from driftc.codegen.operators.base import Operator
from driftc.codegen.passes.match import as_litert
from driftc.codegen.samples import Samples
from driftc.codegen.tensor import Tensor
from driftc.simulator.difference import Difference, Pairs, first_difference
from driftc.simulator.engine import Engine, Program, Starts
from driftc.simulator.float_io import FloatIo
from driftc.simulator.model_engines import real_values
from driftc.simulator.reference import GraphRun, PlanRun
from driftc.simulator.references import LitertReference, ReferenceRefused, TflmReference

Array = NDArray[Any]
Reference = TflmReference | LitertReference
Tensors = dict[str, Array]
UNSEEN = "changed since driftc wrote it; no sample shows a difference"


@dataclass
class Verification:
    """What was compared, and the first difference if there is one."""

    engines: list[str] = field(default_factory=list)
    samples: int = 0
    compared: set[str] = field(default_factory=set)  # tensors of the model
    fused: dict[str, str] = field(default_factory=dict)  # tensor -> layer in which it is next observable
    total: int = 0
    notes: list[str] = field(default_factory=list)
    first_difference: Difference | None = None
    events: int | None = None  # of learning that were compared

    @property
    def bit_exact(self) -> bool:
        return self.first_difference is None and bool(self.engines)

    def followed_by(self, other: Verification) -> Verification:
        """This, of samples in a row without a difference, and then `other`, of those behind them."""
        ours = [note for note in self.notes if other.bit_exact or not note.endswith(UNSEEN)]
        return replace(
            self,
            engines=list(dict.fromkeys([*self.engines, *other.engines])),
            samples=self.samples + other.samples,
            compared=self.compared | other.compared,
            notes=list(dict.fromkeys([*ours, *other.notes])),
            first_difference=other.first_difference,
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "bit_exact": self.bit_exact,
            "engines": self.engines,
            "samples": self.samples,
            "tensors_compared": len(self.compared),
            "tensors_fused": [f"{tensor} -> {layer}" for tensor, layer in self.fused.items()],
            "learning_events": self.events,
            "first_difference": self.first_difference.as_json() if self.first_difference else None,
        }


Stream = Iterator[Callable[[Tensors], Pairs]]  # one item a sample


def verify(
    lowered: Lowered,
    program: Program,
    model: Path,
    samples: Samples,
    references: Sequence[Reference],
    engines: Sequence[Engine],
    match: str,
    progress: Callable[[], None],
    edited: Sequence[str] = (),
    keep: Callable[[list[tuple[Tensor, Array]]], None] | None = None,
    float_io: FloatIo | None = None,
    outputs: bool = False,
    first: int = 0,
) -> Verification:
    """Run `samples` through everything and compare; stops at the first difference.

    `engines` run the generated C, `references` the model file; the Plan is always run in NumPy too. `edited` names
    generated files that no longer are what driftc writes. `keep` sees each sample's compared tensors. `float_io` is
    compared with the specification of QUANTIZE and DEQUANTIZE. With `outputs`, the C shows these and its states alone.
    `first` is the number of the first of `samples`, where they are part of more.
    """
    found = Verification(fused=_fused(lowered), total=sum(len(op.outputs) for op in lowered.model.operators))
    _account(lowered, found)
    layers = _layer_names(lowered)
    fed = [_model_inputs(lowered, samples, n) for n in range(len(samples))]
    streams: dict[str, Stream] = {"numpy": _plan_stream(lowered, samples)}
    streams |= {engine.name: _engine_stream(lowered, engine, program, samples, outputs) for engine in engines}
    if outputs:
        names = " and ".join(engine.name for engine in engines)
        found.notes.append(f"{names} showed the outputs and states alone; numpy every tensor")
    if float_io is not None:
        streams["host"] = _joined(streams["host"], _float_stream(lowered, float_io, samples))
    streams |= {
        reference.name: _reference_stream(lowered, reference, model, fed, match, samples.starts)
        for reference in references
    }
    for reference in references:
        found.notes += _not_compared(lowered, reference.name)
    partly: list[str] = []  # references that failed after the first sample
    specification = GraphRun(lowered.model)
    for number, inputs in enumerate(fed):
        if number in samples.starts:
            specification.reset()
        values = specification.run(inputs)
        _check_inputs(lowered, samples, number, values)
        for name in list(streams):
            try:
                pairs = next(streams[name])(values)
            except ReferenceRefused as refused:
                del streams[name]
                if first + number == 0:
                    found.notes.append(f"{name} refuses the model, so it was not compared: {refused}")
                else:
                    partly.append(name)
                    found.notes.append(
                        f"{name} failed on sample {first + number}; it was compared on those before: {refused}"
                    )
                continue
            difference = first_difference(name, pairs, layers, first + number, edited)
            if difference is not None:
                found.first_difference = difference
                break
        found.engines = [*streams, *partly]
        found.samples = number + 1
        if found.first_difference is not None:
            return found
        if keep is not None:
            keep([(tensor, _layer(lowered, tensor, values)) for tensor in lowered.plan.layers])
        progress()
    if edited and engines:  # constants that these samples do not meet, tables above all, may differ unseen
        found.notes.append(f"{', '.join(edited)} {UNSEEN}")
    return found


def _undefined(operator: Operator, reference: str) -> str:
    """Why it is not compared with `reference`, where that is so."""
    return operator.tflm_undefined if reference == "tflm" else operator.litert_undefined


def _not_compared(lowered: Lowered, reference: str) -> list[str]:
    """Which operators are not compared with `reference`, and why."""
    names: dict[str, list[str]] = {}
    for operator in lowered.model.operators:
        if reason := _undefined(operator, reference):
            names.setdefault(reason, []).append(operator.name)
    return [f"{reference} was not compared at {', '.join(found)}: {reason}" for reason, found in names.items()]


def _fused(lowered: Lowered) -> dict[str, str]:
    names = {tensor.name: tensor.label or tensor.name for op in lowered.model.operators for tensor in op.outputs}
    return {names.get(tensor, tensor): layer for tensor, layer in lowered.graph.fused.items()}


def _account(lowered: Lowered, found: Verification) -> None:
    """Every tensor of the model is compared or fused. A view is compared with the bytes that it renames."""
    border = lowered.graph.float_border
    seen = {tensor.name for tensor in lowered.plan.layers} | set(lowered.plan.views) | set(lowered.graph.removed)
    seen |= set(border) | {tensor.name for tensor in border.values()}
    for operator in lowered.model.operators:
        for tensor in operator.outputs:
            if tensor.name in seen:
                found.compared.add(tensor.name)
            elif tensor.name not in lowered.graph.fused:
                raise AssertionError(f"{operator.name}: {tensor.name} is neither compared nor fused")


def _model_inputs(lowered: Lowered, samples: Samples, number: int) -> list[Array]:
    """What the model file itself takes: bytes, or real values where its border is float."""
    inputs: list[Array] = []
    for position, tensor in enumerate(lowered.graph.inputs):
        quantized, real = samples.quantized[number][position], samples.real[number][position]
        if tensor.name not in lowered.real_inputs:
            inputs.append(quantized)
        elif real is not None:
            inputs.append(real)
        else:
            inputs.append(real_values(quantized, tensor.scale, tensor.zero_point))
    return inputs


def _check_inputs(lowered: Lowered, samples: Samples, number: int, values: Tensors) -> None:
    """The bytes that the C is given is what the model's own QUANTIZE makes of the same sample."""
    for tensor, given in zip(lowered.graph.inputs, samples.quantized[number], strict=True):
        if not np.array_equal(values[tensor.name], given.reshape(tensor.shape)):
            raise AssertionError(f"{tensor.name}: the sample was quantised differently from the model's own QUANTIZE")


def _layer_pairs(lowered: Lowered, values: Tensors, layers: dict[int, Array]) -> Pairs:
    return [
        (tensor, _kept(lowered, tensor, values), layers.get(index)) for index, tensor in enumerate(lowered.plan.layers)
    ]


def _layer(lowered: Lowered, tensor: Tensor, values: Tensors) -> Array:
    """The specification's tensor; of one that a pass reshaped, the one of the model that is a view of it."""
    if tensor.name in values:
        return values[tensor.name]
    views = (values[name] for name, root in lowered.plan.views.items() if root == tensor.name and name in values)
    return next(value.reshape(tensor.shape) for value in views if value.size == tensor.size)


def _kept(lowered: Lowered, tensor: Tensor, values: Tensors) -> Array:
    """Of the specification's tensor the channels that are computed."""
    removed, whole = lowered.graph.removed.get(tensor.name), _layer(lowered, tensor, values)
    return whole if removed is None else whole[..., removed.kept]


def _constant_pairs(lowered: Lowered, values: Tensors) -> Pairs:
    """The channels that are proven constant, with what they are said to hold."""
    pairs: Pairs = []
    for operator in lowered.model.operators:
        for tensor in operator.outputs:
            removed = lowered.graph.removed.get(tensor.name)
            if removed is not None and removed.constant.any():
                expected = values[tensor.name][..., removed.constant]
                part = replace(tensor, shape=expected.shape)
                pairs.append((part, expected, np.broadcast_to(removed.values[removed.constant], expected.shape)))
    return pairs


def _output_pairs(lowered: Lowered, values: Tensors, outputs: Sequence[Array]) -> Pairs:
    return [
        (tensor, values[tensor.name], output) for tensor, output in zip(lowered.graph.outputs, outputs, strict=True)
    ]


def _state_pairs(lowered: Lowered, values: Tensors, region: bytes) -> Pairs:
    """The states after the inference, as they lie in RAM."""
    pairs: Pairs = []
    for state, place in zip(lowered.model.states, lowered.plan.states, strict=True):
        start = place.before.offset
        got = np.frombuffer(region[start : start + state.tensor.bytes], state.tensor.dtype.newbyteorder("<"))
        pairs.append((state.tensor, values[state.next], got.astype(state.tensor.dtype)))
    return pairs


def _plan_stream(lowered: Lowered, samples: Samples) -> Stream:
    """The Plan, executed in NumPy on its own buffers and offsets."""
    run = PlanRun(lowered.plan)
    for number, quantized in enumerate(samples.quantized):
        if number in samples.starts:
            run.reset()
        outputs, layers = run.run(quantized)
        yield lambda values, o=outputs, n=layers, s=run.state: (  # type: ignore[misc]
            _layer_pairs(lowered, values, dict(enumerate(n)))
            + _constant_pairs(lowered, values)
            + _output_pairs(lowered, values, o)
            + _state_pairs(lowered, values, s)
        )


def _engine_stream(lowered: Lowered, engine: Engine, program: Program, samples: Samples, outputs: bool) -> Stream:
    """Generated C: each layer as the hook shows it, the outputs, and what the inference leaves in the states."""
    for sample in engine.run(program, samples.quantized, trace=not outputs, starts=samples.starts):
        yield lambda values, s=sample: (  # type: ignore[misc]
            ([] if outputs else _layer_pairs(lowered, values, s.tensors))
            + _output_pairs(lowered, values, s.outputs)
            + _state_pairs(lowered, values, s.state)
        )


def _float_stream(lowered: Lowered, float_io: FloatIo, samples: Samples) -> Stream:
    """NAME_quantize_* on the sample's real values, NAME_dequantize_* on the specification's output."""
    graph = lowered.graph
    for number, quantized in enumerate(samples.quantized):
        pairs: Pairs = []
        for port, tensor in enumerate(graph.inputs):
            if tensor.quantization is None:  # indices
                continue
            given = samples.real[number][port]
            real = real_values(quantized[port], tensor.scale, tensor.zero_point) if given is None else given
            got = float_io.quantize(port, real)
            if got is not None:
                pairs.append((tensor, quantized[port], got))
        yield lambda values, p=pairs: p + _dequantized(lowered, float_io, values)  # type: ignore[misc]


def _dequantized(lowered: Lowered, float_io: FloatIo, values: Tensors) -> Pairs:
    pairs: Pairs = []
    for port, tensor in enumerate(lowered.graph.outputs):
        got = float_io.dequantize(port, values[tensor.name])
        if got is not None:
            pairs.append((tensor, real_values(values[tensor.name], tensor.scale, tensor.zero_point), got))
    return pairs


def _joined(*streams: Stream) -> Stream:
    """One stream that gives the pairs of all."""
    for makers in zip(*streams, strict=True):
        yield lambda values, m=makers: [pair for maker in m for pair in maker(values)]  # type: ignore[misc]


def _reference_stream(
    lowered: Lowered, reference: Reference, model: Path, fed: list[list[Array]], match: str, starts: Starts
) -> Stream:
    """A reference's own tensors: in a chain, or operator by operator where it is known to depart, or is undefined.

    Then our operator is given the reference's rounding and the reference's own tensors as its inputs. So it is too
    where layers are live, or learn: a reference knows the model without them.
    """
    alike = match == reference.name or not any(operator.departures for operator in lowered.model.operators)
    alike = alike and lowered.adaptation is None and lowered.learned is None
    alike = alike and not (reference.name == "tflm" and _not_compared(lowered, "tflm"))
    graph = lowered.source if reference.name == "tflm" else as_litert(lowered.source)
    states: Tensors = {}
    for number, tensors in enumerate(reference.run(model, fed, starts)):
        _same_shapes(graph, reference.name, model, tensors)
        if number in starts:
            states = {state.tensor.name: state.initial for state in graph.states}
        if alike:
            yield lambda values, t=tensors: _observable(lowered, _chain_pairs(lowered.model, values, t))  # type: ignore[misc]
        else:
            yield lambda values, t=tensors, s=states: _observable(lowered, _local_pairs(graph, reference.name, t, s))  # type: ignore[misc]
            states = _states_after(graph, tensors)


def _same_shapes(graph: Graph, reference: str, model: Path, tensors: dict[int, Array]) -> None:
    """Raise ReferenceRefused where the file leaves extents open, and the reference takes what stands in their place."""
    for tensor in graph.tensors():
        got = tensors.get(tensor.index) if tensor.index is not None else None
        if got is not None and got.size != tensor.size:
            raise ReferenceRefused(
                reference,
                model,
                f"tensor '{tensor.label}' has {list(got.shape)} there, which the file leaves open; it follows to be "
                f"{list(tensor.shape)}",
            )


def _observable(lowered: Lowered, pairs: Pairs) -> Pairs:
    """Without float32 values within tables, in which a libm has its part. The int8 behind them is compared."""
    return [pair for pair in pairs if pair[0].dtype != np.float32 or pair[0].name not in lowered.graph.fused]


def _chain_pairs(model: Graph, values: Tensors, tensors: dict[int, Array]) -> Pairs:
    return [
        (tensor, values[tensor.name], tensors[tensor.index])
        for operator in model.operators
        for tensor in operator.outputs
        if tensor.index in tensors
    ]


def _local_pairs(graph: Graph, reference: str, tensors: dict[int, Array], states: Tensors) -> Pairs:
    """`states` are the reference's own before the inference, as far as it shows them."""
    kept = {state.tensor.name for state in graph.states}
    pairs: Pairs = []
    for operator in graph.operators:
        if _undefined(operator, reference):
            continue
        inputs = [
            states.get(t.name) if t.name in kept else t.data if t.data is not None else tensors.get(_index(t))
            for t in operator.inputs
        ]
        known = [value for value in inputs if value is not None]
        if len(known) < len(inputs):
            continue
        shaped = [value.reshape(t.shape) for value, t in zip(known, operator.inputs, strict=True)]
        for tensor, value in zip(operator.outputs, operator.spec(*shaped), strict=True):
            if tensor.index in tensors:
                pairs.append((tensor, value, tensors[tensor.index]))
    return pairs


def _states_after(graph: Graph, tensors: dict[int, Array]) -> Tensors:
    """What a reference's inference left in the states: a tensor marked as variable, or what was assigned to one."""
    found: Tensors = {}
    made = graph.producers()
    for state in graph.states:
        operator = made.get(state.next)
        if operator is None:
            continue
        tensor = next(tensor for tensor in operator.outputs if tensor.name == state.next)
        source = operator.inputs[0] if tensor.index is None else tensor
        value = source.data if source.data is not None else tensors.get(_index(source))
        if value is not None:
            found[state.tensor.name] = value
    return found


def _index(tensor: Tensor) -> int:
    """In the model file; -1, which no tensor has, for what is not in it."""
    return -1 if tensor.index is None else tensor.index


def _layer_names(lowered: Lowered) -> dict[str, str]:
    """Tensor -> the layer that computes it, under its C name where it is still a layer of its own."""
    operators = (*lowered.model.operators, *lowered.graph.operators)
    return {tensor.name: operator.name for operator in operators for tensor in operator.outputs}
