"""Every engine against the NumPy specification, tensor by tensor, byte by byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from driftc.codegen.lower import Lowered
from driftc.codegen.samples import Samples
from driftc.codegen.tensor import Tensor
from driftc.simulator.compared_references import Array, Reference, Stream, Tensors, not_compared, reference_stream
from driftc.simulator.difference import Difference, Pairs, first_difference
from driftc.simulator.engine import Engine, Program
from driftc.simulator.float_io import FloatIo
from driftc.simulator.model_engines import real_values
from driftc.simulator.reference import GraphRun, PlanRun
from driftc.simulator.references import ReferenceRefused

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
        reference.name: reference_stream(lowered, reference, model, fed, match, samples.starts)
        for reference in references
    }
    for reference in references:
        found.notes += not_compared(lowered, reference.name)
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


def _layer_names(lowered: Lowered) -> dict[str, str]:
    """Tensor -> the layer that computes it, under its C name where it is still a layer of its own."""
    operators = (*lowered.model.operators, *lowered.graph.operators)
    return {tensor.name: operator.name for operator in operators for tensor in operator.outputs}
