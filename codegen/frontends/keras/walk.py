"""A walk over a Keras model, and what every layer is read with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from driftc.codegen.frontends.builder import FloatBuilder, Padding, Pair
from driftc.codegen.frontends.translators import Missing, Translators
from driftc.codegen.tensor import Array, Tensor

Results = Tensor | list[Tensor]
# (walk, the layer, its inputs one by one) -> its output, or outputs
layer: Translators[Callable[..., Results]] = Translators("driftc.codegen.frontends.keras.layers")
# (walk, the operation, what it was called with) -> the same. Names are those of the classes behind keras.ops.
operation: Translators[Callable[..., Results]] = Translators("driftc.codegen.frontends.keras.operations")


class Walk:
    """Visits the layers of a model in an order in which they can be computed."""

    def __init__(self, keras: Any, builder: FloatBuilder) -> None:
        self.keras = keras
        self.builder = builder
        self.layers, self.operations = Missing(layer), Missing(operation)

    def outputs(self, model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Of the whole model. Refuses what nothing translates, all of it at once."""
        found = self.model(model, inputs)
        self.layers.refuse(self.builder.refuse)
        self.operations.refuse(lambda said: self.builder.refuse(f"operations of keras.ops {said}"))
        return [x for x in found if x is not None]

    def model(self, model: Any, inputs: Sequence[Tensor]) -> list[Tensor | None]:
        """The outputs of `model` applied to `inputs`; None for what depends on a layer that nothing translates."""
        model = getattr(model, "_functional", None) or model  # of a Sequential
        if not hasattr(model, "_nodes_by_depth"):
            self.builder.refuse("driftc reads Sequential and functional Keras models, not subclassed ones")
        found: dict[int, Any] = {id(tensor): x for tensor, x in zip(model.inputs, inputs, strict=True)}
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if node.is_input:
                    continue
                known = all(found[id(tensor)] is not None for tensor in node.input_tensors)
                results = self.node(node, found) if known else [None] * len(node.outputs)
                found.update((id(tensor), x) for tensor, x in zip(node.outputs, results, strict=True))
        return [found[id(tensor)] for tensor in model.outputs]

    def node(self, node: Any, found: dict[int, Any]) -> list[Tensor | None]:
        """The outputs of one node; `found` holds tensors by the id of Keras' own."""
        if isinstance(node.operation, self.keras.layers.Layer):
            return self.layer(node.operation, [found[id(tensor)] for tensor in node.input_tensors], len(node.outputs))
        kind = type(node.operation).__name__
        if kind not in operation.known:
            self.operations.add(kind, node.operation.name)
            return [None] * len(node.outputs)
        arguments, named = node.arguments.fill_in(found)
        with self.builder.reading(node.operation.name, kind):
            return _listed(operation.known[kind](self, node.operation, *arguments, **named))

    def layer(self, found: Any, inputs: Sequence[Tensor], outputs: int = 1) -> list[Tensor | None]:
        """The outputs of one layer, which may be a model."""
        kind = type(found).__name__
        if hasattr(found, "_nodes_by_depth") or getattr(found, "_functional", None) is not None:
            return self.model(found, inputs)
        if kind not in layer.known:
            self.layers.add(kind, found.name)
            return [None] * outputs
        if getattr(found, "data_format", "channels_last") not in (None, "channels_last"):
            self.builder.refuse(f"layer '{found.name}' is channels_first; driftc reads channels_last")
        with self.builder.reading(found.name, kind):
            return _listed(layer.known[kind](self, found, *inputs))

    def refuse(self, found: Any, problem: str) -> NoReturn:
        """Raise ModelError that names the layer."""
        self.builder.refuse(f"layer '{found.name}' ({type(found).__name__}): {problem}")


def _listed(made: Results) -> list[Tensor | None]:
    return list(made) if isinstance(made, list) else [made]


def values(variable: Any) -> Array:
    return np.asarray(variable, np.float32)


def bias(of: Any) -> Array | None:
    return values(of.bias) if of.use_bias else None


def pair(value: Any) -> Pair:
    first, second = value if isinstance(value, list | tuple) else (value, value)
    return int(first), int(second)


def padding(of: Any) -> Padding:
    return "same" if of.padding == "same" else "valid"
