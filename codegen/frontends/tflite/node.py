"""What an operator's `from_tflite` is given: its tensors and options, with checks that name the operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import numpy as np

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends.tflite.schema import DAMAGE, RawOperator, default_options, options_class
from driftc.codegen.operators.attributes import Activation, same_padding
from driftc.codegen.tensor import Array, Shape, Tensor


class _Options:
    """The schema's accessor for an options table, which may lie anywhere in a damaged file."""

    def __init__(self, node: Node, name: str) -> None:
        self._node = node
        self._name = name
        self._table = options_class(name)()
        self._read(self._table.Init, node.raw.options.Bytes, node.raw.options.Pos)

    def _read(self, method: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return method(*arguments)
        except DAMAGE as damage:
            self._node.refuse(f"its {self._name} are damaged ({type(damage).__name__})")

    def __getattr__(self, field: str) -> Callable[..., Any]:
        return partial(self._read, getattr(self._table, field))


@dataclass(frozen=True, eq=False)
class Node:
    """One operator of the file. `inputs` holds None for an optional input that is absent."""

    raw: RawOperator
    index: int
    name: str
    label: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    open: bool = False  # the file leaves an output's shape to the run: it follows from the inputs
    updates: Callable[[Tensor], Tensor | None] = lambda _: None

    def refuse(self, problem: str) -> NoReturn:
        raise ModelError(f"operator {self.index} {self.raw.code} '{self.label}': {problem}")

    def require(self, condition: bool, problem: str) -> None:
        if not condition:
            self.refuse(problem)

    def input(self, position: int) -> Tensor:
        """The input at `position`, which must be there."""
        found = self.inputs[position] if position < len(self.inputs) else None
        if found is None:
            self.refuse(f"input {position} is missing")
        return found

    def optional(self, position: int) -> Tensor | None:
        return self.inputs[position] if position < len(self.inputs) else None

    def constant(self, position: int) -> Array:
        """The value of an input that must be constant, such as axes or a shape."""
        tensor = self.input(position)
        if tensor.data is None:
            self.refuse(
                f"input {position} '{tensor.label}' is computed from the data that the model is given, and must be "
                "known when compiling; where a batch left open is the reason, export the model with one of 1: "
                "keras.Input(..., batch_size=1)"
            )
        return tensor.data

    def integers(self, position: int) -> tuple[int, ...]:
        """A constant input of int32 or int64 values, flattened."""
        data = self.constant(position)
        self.require(data.dtype in (np.int32, np.int64), f"input {position} must be integers, not {data.dtype}")
        return tuple(int(value) for value in data.reshape(-1))

    def output(self, count: int = 1) -> Tensor:
        self.require(len(self.outputs) == count, f"has {len(self.outputs)} outputs, not {count}")
        return self.outputs[0]

    def update(self, position: int) -> Tensor:
        """A tensor for what the operator makes of the state at `position`, one more output of it."""
        made = self.updates(self.input(position))
        if made is None:
            self.refuse(f"input {position} '{self.input(position).label}' must be marked as variable")
        return made

    def options(self, name: str) -> Any:
        """The options table `name` (schema defaults where the file stores none)."""
        if self.raw.options is None or self.raw.options_type in ("", "NONE"):
            return default_options(name)
        self.require(self.raw.options_type == name, f"has {self.raw.options_type} instead of {name}")
        return _Options(self, name)

    def common(self, *inputs: Tensor) -> dict[str, Any]:
        """The fields that every operator has."""
        for tensor in inputs:
            self.require(tensor.size > 0, f"input '{tensor.label}' is empty: shape {list(tensor.shape)}")
        return {
            "name": self.name,
            "label": self.label,
            "index": self.index,
            "inputs": inputs,
            "outputs": self.outputs,
        }

    def weighted(self, rank: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Input, constant weights of `rank` axes, and bias (or None) of a convolution or dense layer."""
        x, weights = self.input(0), self.input(1)
        self.output()
        self.constant(1)
        self.require(
            len(weights.shape) == rank and weights.size > 0,
            f"weights '{weights.label}' must have {rank} axes, not shape {list(weights.shape)}",
        )
        return x, weights, self.optional(2)

    def positive(self, options: Any, *fields: str) -> tuple[int, int]:
        """Two options that must be 1 or more, such as the strides."""
        first, second = (int(getattr(options, field)()) for field in fields)
        self.require(first > 0 and second > 0, f"{fields[0]}, {fields[1]} = {first}, {second}; driftc needs 1 or more")
        self.require(max(first, second) < 1 << 15, f"{fields[0]}, {fields[1]} = {first}, {second} are out of range")
        return first, second

    def activation(self, options: Any) -> Activation:
        """The fused activation. Raises ModelError for the ones TFLite Micro does not fuse either."""
        number = int(options.FusedActivationFunction())
        if number not in {activation.value for activation in Activation}:
            self.refuse(f"fused activation {number} is not supported; NONE, RELU, RELU_N1_TO_1 and RELU6 are")
        return Activation(number)

    def padding(
        self, options: Any, x: Tensor, kernel: Shape, stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
    ) -> tuple[int, int, int, int]:
        """Top, bottom, left and right padding of a window of `kernel` rows x pixels."""
        scheme = int(options.Padding())
        self.require(scheme in (0, 1), f"padding scheme {scheme} is unknown")
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        self.require(max(reach) < 1 << 12, f"a window that spans {reach[0]} x {reach[1]} pixels is out of range")
        if scheme == 1:
            self.require(
                reach[0] <= x.shape[1] and reach[1] <= x.shape[2],
                f"a window of {reach[0]} x {reach[1]} does not fit an input of {x.shape[1]} x {x.shape[2]}",
            )
            return 0, 0, 0, 0
        rows = same_padding(x.shape[1], kernel[0], stride[0], dilation[0])
        pixels = same_padding(x.shape[2], kernel[1], stride[1], dilation[1])
        return (*rows, *pixels)
