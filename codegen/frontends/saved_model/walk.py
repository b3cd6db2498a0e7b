"""A walk over a frozen function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from driftc.codegen.frontends.builder import FloatBuilder
from driftc.codegen.frontends.saved_model.operation import Operation, label_of
from driftc.codegen.frontends.translators import Missing, Translators
from driftc.codegen.tensor import Array, Tensor

DROPPED = frozenset({"Identity", "IdentityN", "StopGradient", "PreventGradient", "CheckNumerics", "EnsureShape"})
operation: Translators[Callable[[Operation], Tensor | list[Tensor]]] = Translators(
    "driftc.codegen.frontends.saved_model.operations"
)


class Walk:
    """Visits the operations of the frozen function in the order in which they were made."""

    def __init__(self, tensorflow: Any, function: Any, builder: FloatBuilder) -> None:
        self.tensorflow = tensorflow
        self.function = function
        self.builder = builder
        self.values: dict[str, Tensor] = {}
        self.constants: dict[str, Array] = {}
        self.shapes: dict[str, Array] = {}  # those of the constants that are shapes of values
        self.biased: set[str] = set()  # operations whose work the layer before them does
        self.session = tensorflow.compat.v1.Session(graph=function.graph)
        self.outputs: list[Tensor] = []
        self.missing = Missing(operation)
        self.unknown: set[str] = set()  # what is computed by operations that nothing translates

    def run(self) -> None:
        for tensor in self.function.inputs:
            if tensor.dtype.name == "float32":
                self.values[tensor.name] = self.builder.input(label_of(tensor.op), tensor.shape.as_list())
        for node in self.function.graph.get_operations():
            self.visit(node)
        self.missing.refuse(self.builder.refuse)
        for tensor in self.function.outputs:
            if tensor.name not in self.values:
                self.builder.refuse(f"output '{tensor.name}' is never computed from an input")
            self.outputs.append(self.values[tensor.name])

    def visit(self, node: Any) -> None:
        kind = node.type
        if kind in ("Placeholder", "NoOp"):
            return
        if kind in DROPPED and not any(tensor.name in self.unknown for tensor in node.inputs):
            for source, result in zip(node.inputs, node.outputs, strict=True):
                if source.name in self.values:
                    self.values[result.name] = self.values[source.name]
            return
        if any(tensor.name in self.unknown for tensor in node.inputs):
            self.unknown.update(tensor.name for tensor in node.outputs)
            return
        if not any(tensor.name in self.values for tensor in node.inputs):
            return  # of constants: computed when it is needed
        found = Operation(self, node, label_of(node))
        if kind == "Shape":
            (extents,) = node.outputs
            shape = np.array(found.value(0).shape, extents.dtype.as_numpy_dtype)
            self.constants[extents.name] = self.shapes[extents.name] = shape
            return
        if kind not in operation.known:
            self.missing.add(kind, found.label)
            self.unknown.update(tensor.name for tensor in node.outputs)
            return
        with self.builder.reading(found.label, kind):
            made = operation.known[kind](found)
        results = made if isinstance(made, list) else [made]
        self.values.update((tensor.name, x) for tensor, x in zip(node.outputs, results, strict=False))

    def fetch(self, name: str) -> Array | None:
        """The value of what depends on constants and shapes alone, wherever it stands; None where it does not.

        TensorFlow computes it, from the shapes that are settled here.
        """
        if name not in self.constants:
            try:
                self.constants[name] = np.asarray(self.session.run(name, self.shapes))
            except self.tensorflow.errors.InvalidArgumentError:  # a placeholder was asked for its value
                return None
        return self.constants[name]
