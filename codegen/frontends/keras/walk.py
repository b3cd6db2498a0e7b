"""A walk over a Keras model, and what every layer is read with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import numpy as np

from driftc.codegen.frontends.builder import FloatBuilder, Padding, Pair
from driftc.codegen.frontends.translators import Translators
from driftc.codegen.graph import Array, Tensor

# (walk, the layer, its inputs one by one) -> its output
layer: Translators[Callable[..., Tensor]] = Translators("driftc.codegen.frontends.keras.layers")


class Walk:
    """Visits the layers of a model in an order in which they can be computed."""

    def __init__(self, builder: FloatBuilder) -> None:
        self.builder = builder

    def model(self, model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The outputs of `model` applied to `inputs`."""
        model = getattr(model, "_functional", None) or model  # of a Sequential
        if not hasattr(model, "_nodes_by_depth"):
            self.builder.refuse("driftc reads Sequential and functional Keras models, not subclassed ones")
        found = {id(tensor): x for tensor, x in zip(model.inputs, inputs, strict=True)}
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if not node.is_input:
                    arguments = [found[id(tensor)] for tensor in node.input_tensors]
                    results = self.layer(node.operation, arguments)
                    found.update((id(tensor), x) for tensor, x in zip(node.outputs, results, strict=True))
        return [found[id(tensor)] for tensor in model.outputs]

    def layer(self, found: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The outputs of one layer, which may be a model."""
        kind = type(found).__name__
        if hasattr(found, "_nodes_by_depth") or getattr(found, "_functional", None) is not None:
            return self.model(found, inputs)
        if getattr(found, "data_format", "channels_last") not in (None, "channels_last"):
            self.builder.refuse(f"layer '{found.name}' is channels_first; driftc reads channels_last")
        if kind in layer.known and takes(layer.known[kind], len(inputs)):
            return [layer.known[kind](self, found, *inputs)]
        return self.builder.refuse(
            f"layer '{found.name}' ({kind} of {len(inputs)} tensors) is not supported; driftc reads "
            f"{', '.join(layer.known)}"
        )


def takes(translate: Callable[..., Tensor], count: int) -> bool:
    """True where it is defined for `count` inputs."""
    try:
        signature(translate).bind(None, None, *range(count))
    except TypeError:
        return False
    return True


def values(variable: Any) -> Array:
    return np.asarray(variable, np.float32)


def bias(of: Any) -> Array | None:
    return values(of.bias) if of.use_bias else None


def pair(value: Any) -> Pair:
    first, second = value if isinstance(value, list | tuple) else (value, value)
    return int(first), int(second)


def padding(of: Any) -> Padding:
    return "same" if of.padding == "same" else "valid"
