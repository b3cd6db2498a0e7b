"""What a Graph is built with: tensors, one method for any operator, names and shapes worked out here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import Any, Literal, NoReturn

import numpy as np

from driftc.codegen.errors import DriftcError, ModelError, fault
from driftc.codegen.frontends.batch import batch_notes
from driftc.codegen.graph import Graph
from driftc.codegen.names import Names
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.elementwise.comparison import Comparison
from driftc.codegen.operators.elementwise.logical import Logical
from driftc.codegen.operators.elementwise.logical_not import LogicalNot
from driftc.codegen.operators.movement.move import Move
from driftc.codegen.operators.movement.view import View
from driftc.codegen.tensor import Array, Shape, Tensor

Pair = tuple[int, int]
Around = tuple[int, int, int, int]  # top, bottom, left, right
Padding = Literal["same", "valid"] | Around
FLOAT = np.dtype(np.float32)
LARGEST_TENSOR = 1 << 24  # elements; beyond any microcontroller


class Core:
    """Collects operators in program order; `graph` ends the model. Labels are the framework's own names."""

    def __init__(self, name: str, title: str, sha256: str) -> None:
        self._graph = Graph(name, (), (), (), title, sha256)
        self._layers = Names(name)
        self._tensors = Names()
        self._operators: list[Operator] = []
        self._inputs: list[Tensor] = []
        self.batches: dict[str, int | None] = {}  # inputs by name whose batch is not 1 in the model; None: open

    def refuse(self, problem: str) -> NoReturn:
        raise ModelError(f"{self._graph.source}: {problem}")

    @contextmanager
    def reading(self, label: str, kind: str) -> Iterator[None]:
        """Whatever is wrong within is said of this layer, by its name and kind."""
        try:
            yield
        except DriftcError as error:
            said = str(error).removeprefix(f"{self._graph.source}: ")
            if not isinstance(error, ModelError) or f"'{label}' ({kind})" in said:
                raise
            problem = re.sub(rf"^'{re.escape(label)}(/[^']*)?': ", "", said)
            raise ModelError(f"{self._graph.source}: '{label}' ({kind}): {problem}") from None
        except MemoryError:
            raise
        except Exception as problem:  # of attributes and shapes that no translator thought of
            self.refuse(f"'{label}' ({kind}): cannot be imported: {fault(problem)}")

    def input(self, label: str, shape: Sequence[int | None], dtype: np.dtype[Any] = FLOAT) -> Tensor:
        """An input of one sample; `shape` has the batch first. It may be int32: indices."""
        inner = tuple(shape[1:])
        if shape and shape[0] not in (None, 1):  # None: as every model of Keras has it
            self.batches[label] = shape[0]
        if not inner or any(not isinstance(n, int) or n < 1 for n in inner):
            known = ["?" if n is None else n for n in shape]
            self.refuse(
                f"input '{label}' has shape [{', '.join(map(str, known))}]: only the batch may be left open; export "
                "the model with a fixed shape"
            )
        tensor = self._tensor(label, (1, *(int(n) for n in inner if n)), dtype)
        self._inputs.append(tensor)
        return tensor

    def constant(self, label: str, data: Array) -> Tensor:
        values = np.ascontiguousarray(data, np.float32)
        if not np.all(np.isfinite(values)):
            self.refuse(f"constant '{label}' holds NaN or infinite values")
        return Tensor(self._tensors.tensor(label, len(self._tensors.taken)), values.shape, FLOAT, None, values, label)

    def graph(self, outputs: Sequence[Tensor]) -> Graph:
        """The finished Graph, without what no output needs."""
        needed = {tensor.name for tensor in outputs}
        kept: list[Operator] = []
        for operator in reversed(self._operators):
            if any(tensor.name in needed for tensor in operator.outputs):
                kept.append(operator)
                needed.update(tensor.name for tensor in operator.inputs)
        made = replace(
            self._graph,
            operators=tuple(reversed(kept)),
            inputs=tuple(self._inputs),
            outputs=tuple(outputs),
            notes=batch_notes(self.batches),
        )
        made.check()
        return made

    def add(
        self, kind: type[Operator], label: str, *inputs: Tensor, output_shape: Shape = (), **attributes: Any
    ) -> Tensor:
        """The output of an operator that is appended; its `output_shape` is for operators that do not infer it."""
        return self.add_many(kind, label, inputs, 1, output_shape, **attributes)[0]

    def add_many(
        self,
        kind: type[Operator],
        label: str,
        inputs: Sequence[Tensor],
        count: int,
        output_shape: Shape = (),
        dtype: np.dtype[Any] | None = None,
        **attributes: Any,
    ) -> list[Tensor]:
        """The `count` outputs of an operator that is appended; `dtype` where the operator alone does not say it."""
        dtype = dtype or _given(kind, inputs)
        outputs = (Tensor("", output_shape, dtype),) * count
        draft = kind(name="", inputs=tuple(inputs), outputs=outputs, label=label, **attributes)
        try:
            shapes = draft.infer()
            names = [label] if count == 1 else [f"{label}/{number}" for number in range(count)]
            operator = replace(
                draft,
                name=self._layers.layer(label, draft.kind),
                outputs=tuple(self._tensor(name, shape, dtype) for name, shape in zip(names, shapes, strict=True)),
                index=len(self._operators),
            )
            operator.check_float()
        except ModelError as error:
            self.refuse(str(error))
        self._operators.append(operator)
        return list(operator.outputs)

    def _need_image(self, label: str, x: Tensor) -> None:
        if len(x.shape) != 4:
            self.refuse(f"'{label}': needs rows, pixels and channels, not shape {list(x.shape)}")

    def _tensor(self, label: str, shape: Shape, dtype: np.dtype[Any] = FLOAT) -> Tensor:
        if prod(shape) > LARGEST_TENSOR:
            self.refuse(f"'{label}': shape {list(shape)} is out of any sensible range")
        return Tensor(self._tensors.tensor(label, len(self._tensors.taken)), shape, dtype, label=label)


def _given(kind: type[Operator], inputs: Sequence[Tensor]) -> np.dtype[Any]:
    """The type of what an operator gives: truth values, what it only moves, else real values."""
    if issubclass(kind, Comparison | Logical | LogicalNot):
        return np.dtype(np.bool_)
    return inputs[-1].dtype if issubclass(kind, Move | View) else FLOAT
