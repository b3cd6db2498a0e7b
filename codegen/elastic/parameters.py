"""Which layers of an int8 Graph can be updated, and the Graph that an update makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from driftc.codegen.arithmetic import INT32_MAX, Multiplier
from driftc.codegen.elastic.coding import SHIFTS, Codes, Folded, Live, UpdatableLayer, layer_bytes
from driftc.codegen.errors import ModelError, UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.operators.adapt.adapt_affine import AdaptAffine
from driftc.codegen.operators.adapt.adapt_statistics import AdaptStatistics
from driftc.codegen.operators.adapt.live import Live as LiveProducer
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.conversion.dequantize import Dequantize
from driftc.codegen.operators.conversion.quantize import Quantize
from driftc.codegen.operators.convolution.conv_2d import Conv2D
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.convolution.weighted import LARGEST_BIAS, Int64, Weighted
from driftc.codegen.operators.elementwise.logistic import Logistic
from driftc.codegen.operators.reduction.softmax import Softmax
from driftc.codegen.tensor import Tensor

ALL = "all"
ID_BYTES = 8
LEAST_RANGE = 8.0  # steps of the output that 127 offsets reach at least, at exponent 0
LARGEST_STEP = 1 << 30
BEHIND = (Softmax, Logistic, Quantize, Dequantize)  # what may follow the layer that decides


@dataclass(frozen=True, eq=False)
class Parameters:
    """The updatable layers of a Graph, in program order: that of a packet's body."""

    layers: tuple[UpdatableLayer, ...]
    model_id: bytes  # 8 bytes

    @property
    def packet_bytes(self) -> int:
        """Header and tag included."""
        return 64 + sum(layer_bytes(layer) for layer in self.layers)

    @property
    def ram_bytes(self) -> int:
        """Of the parameters, about: a kernel may pad them."""
        return sum(9 * la.channels if isinstance(la, Folded) else la.table.nbytes for la in self.layers)

    def unchanged(self) -> tuple[Codes, ...]:
        """The update that changes nothing."""
        return tuple(layer.unchanged() for layer in self.layers)


def parameters(graph: Graph, wanted: str = ALL) -> Parameters:
    """Of `graph`, int8, behind the passes (`Compiled.lowered.graph`). `wanted`: "all", or names, with commas between.

    Raises UsageError for a layer that does not exist or cannot be updated, ModelError where none can.
    """
    found, refused = _found(graph)
    able = ", ".join(found) or "none"
    if wanted != ALL:
        titles = {layer.label: name for name, layer in found.items()}
        names = [titles.get(name.strip(), name.strip()) for name in wanted.split(",")]
        for name in names:
            if name not in found:
                raise UsageError(
                    f"--updatable: {name}: {refused.get(name, 'the model has no such layer')}; it could be {able}"
                )
        found = {name: layer for name, layer in found.items() if name in names}
    if not found:
        reasons = "; ".join(f"{name}: {problem}" for name, problem in refused.items())
        raise ModelError(f"{graph.source}: no layer can be updated: {reasons or 'none has weights'}")
    layers = tuple(found.values())
    described = b"\n".join([graph.sha256.encode(), *(layer.described for layer in layers)])
    return Parameters(layers, sha256(described).digest()[:ID_BYTES])


def updatable(graph: Graph, wanted: str = ALL) -> tuple[Graph, Parameters]:
    """`graph` with the layers marked whose constants lie in RAM, and what can be updated. Raises as `parameters`."""
    known = parameters(graph, wanted)
    names = {operator_of(layer) for layer in known.layers}
    made = [replace(op, updatable=True) if op.name in names else op for op in graph.operators]
    return graph.with_operators(made), known


def operator_of(layer: UpdatableLayer) -> str:
    """The name of the operator whose constants change."""
    return layer.name if isinstance(layer, Folded) else layer.statistics


def apply(graph: Graph, known: Parameters, codes: Sequence[Codes]) -> Graph:
    """The int8 specification with an update's parameters. `graph` is as compiled, not one that was updated before.

    Raises ValueError where a parameter leaves its bounds.
    """
    return graph.with_operators([*changed(graph.operators, known, codes)])


def changed(operators: Sequence[Operator], known: Parameters, codes: Sequence[Codes]) -> list[Operator]:
    """The operators with an update's parameters, others as they are."""
    made: dict[str, Codes] = {}
    layers: dict[str, UpdatableLayer] = {}
    for layer, coded in zip(known.layers, codes, strict=True):
        name = operator_of(layer)
        layers[name], made[name] = layer, coded
    return [op if op.name not in layers else _changed(op, layers[op.name], made[op.name]) for op in operators]


def _changed(operator: Operator, layer: UpdatableLayer, codes: Codes) -> Operator:
    if isinstance(layer, Live):
        assert isinstance(operator, AdaptStatistics)
        table = layer.table.copy()
        for name, column in zip(("level", "base", "centre"), layer.updated(codes), strict=True):
            table[:, operator.columns.index(name)] = column
        return replace(operator, table=table)
    assert isinstance(operator, Weighted)
    multiplier, shift, raw = layer.updated(codes)
    bias = operator.bias or Tensor(f"{operator.name}/bias", raw.shape, np.dtype(np.int32), label=f"{layer.label}/bias")
    return replace(
        operator,
        bias=replace(bias, data=raw.astype(np.int32), shape=raw.shape),
        rescaled=Multiplier(multiplier, -shift),
    )


def _found(graph: Graph) -> tuple[dict[str, UpdatableLayer], dict[str, str]]:
    """Layers by name, and why others are not."""
    found: dict[str, UpdatableLayer] = {}
    refused: dict[str, str] = {}
    deciding, made, readers = _deciding(graph), graph.producers(), graph.consumers()
    for operator in graph.operators:
        if isinstance(operator, AdaptStatistics):
            maker = made[operator.inputs[0].name]
            (affine,) = readers[operator.outputs[0].name]
            assert isinstance(affine, AdaptAffine)
            found[maker.name] = _live(operator, maker, affine)
        elif isinstance(operator, Weighted) and not isinstance(operator, LiveProducer):
            problem = "decides the class" if operator.name in deciding else unfit(operator)
            if problem is None:
                found[operator.name] = _folded(operator)
            else:
                refused[operator.name] = problem
        elif isinstance(operator, LiveProducer):
            refused[operator.name] = "its method of adaptation moves the variance itself, not its logarithm"
    return found, {name: problem for name, problem in refused.items() if name not in found}


def _deciding(graph: Graph) -> set[str]:
    """The layers that give the logits: what no normalisation follows."""
    made, found = graph.producers(), set()
    for tensor in graph.outputs:
        maker = made.get(tensor.name)
        while maker is not None and (isinstance(maker, BEHIND) or maker.view):
            maker = made.get(maker.inputs[0].name)
        if isinstance(maker, Weighted):
            found.add(maker.name)
    return found


def unfit(operator: Weighted) -> str | None:
    """Why `operator` cannot be updated; None where it can."""
    if not isinstance(operator, Conv2D | DepthwiseConv2D | FullyConnected):
        return f"{operator.kind} is not updated"
    if operator.litert and isinstance(operator, FullyConnected):
        return "it rounds as LiteRT does, by a factor that cannot be updated"
    if operator.outputs[0].dtype != np.int8 or operator.inputs[0].dtype != np.int8:
        return "it is not int8"
    shift = -operator.multiplier.shift
    if shift.min() < SHIFTS[0] or shift.max() > SHIFTS[1]:
        return f"its scales need shifts of {int(shift.min())} to {int(shift.max())}, not {SHIFTS[0]} to {SHIFTS[1]}"
    if np.abs(operator.raw_bias).max() > largest_bias(operator):
        return "its bias leaves no room for another"
    return None


def largest_bias(operator: Weighted) -> int:
    """So large that no sum reaches 2^29, where every kernel's arithmetic is exact."""
    reach = operator.largest_products
    return max(min(LARGEST_BIAS, 2**29 - 1 - int(reach.max())), 0)


def _folded(operator: Weighted) -> Folded:
    def whole(values: Int64) -> Int64:
        return np.broadcast_to(values, (operator.channels,)).copy()

    multiplier, shift = whole(operator.multiplier.value), whole(-operator.multiplier.shift)
    real = multiplier * np.exp2(-31.0 - shift)  # steps of the output for one of the accumulator
    reach = max(float((np.abs(operator.raw_bias) * real).max()), LEAST_RANGE)
    step = np.clip(np.rint(reach / 127 / real), 1, LARGEST_STEP).astype(np.int64)
    return Folded(
        name=operator.name,
        label=operator.label or operator.name,
        raw=operator.raw_bias,
        rest=operator.folded_bias - operator.raw_bias,
        multiplier=multiplier,
        shift=shift,
        step=step,
        largest=largest_bias(operator),
        scale=operator.outputs[0].scale,
    )


def _live(operator: AdaptStatistics, maker: Operator, affine: AdaptAffine) -> Live:
    values = affine.inputs[0]
    assert values.quantization is not None
    finer = 0 if affine.shift is None else affine.shift.astype(np.float64)
    unit = np.broadcast_to(values.quantization.scale * np.exp2(finer), (operator.table.shape[0],))
    level, base, centre = (operator.column(name) for name in ("level", "base", "centre"))
    assert max(int(np.abs(base).max()), int(np.abs(centre).max())) <= INT32_MAX + 1
    return Live(
        name=maker.name,
        label=maker.label or maker.name,
        statistics=operator.name,
        level=level,
        base=base,
        centre=centre,
        table=operator.table.astype(np.int32),
        scale=affine.outputs[0].scale,
        unit=unit.astype(np.float64),
    )
