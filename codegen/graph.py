"""The Graph: operators on tensors. What is computed is settled here, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.errors import ModelError
from driftc.codegen.operators.base import Operator
from driftc.codegen.tensor import Array, Tensor


@dataclass(frozen=True, eq=False)
class State:
    """What outlives an inference: `tensor` is its value before one, the tensor named `next` its value after it.

    Operators read `tensor` as an input like any other, and give `next` as an output like any other; nothing else
    carries over. `next` has the bytes of `tensor`, perhaps in another shape, and is `tensor` itself where no operator
    writes the state.
    """

    tensor: Tensor
    initial: Array  # the value after a reset, in the tensor's shape and type
    next: str


@dataclass(frozen=True, eq=False)
class Removed:
    """The channels of a tensor that are not computed: all but `kept` of those that `constant` and `values` count.

    A channel that is `constant` holds its value for every input; of the others nothing that is computed depends.
    """

    kept: NDArray[np.int64]  # numbers of the channels that are left
    values: NDArray[np.int8]  # [channels]
    constant: NDArray[np.bool_]  # [channels]

    @property
    def count(self) -> int:
        return len(self.values) - len(self.kept)


@dataclass(frozen=True)
class Saved:
    """What is not computed since channels were removed; `layers` are those that are gone whole."""

    channels: int = 0
    layers: int = 0
    macs: int = 0
    weight_bytes: int = 0


@dataclass(frozen=True, eq=False)
class Graph:
    """Operators in an order that can be executed, the tensors that enter and leave, and those that stay.

    Passes are pure functions Graph -> Graph.
    """

    name: str
    operators: tuple[Operator, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    source: str = ""  # file name of the model
    sha256: str = ""
    # Float tensors at the model's border that became int8 here: name of the int8 tensor -> the float one.
    float_border: dict[str, Tensor] = field(default_factory=dict)
    # Tensors that passes removed, and the operator in which each is next observable: fused tensor -> operator name.
    fused: dict[str, str] = field(default_factory=dict)
    states: tuple[State, ...] = ()
    removed: dict[str, Removed] = field(default_factory=dict)  # tensor -> its channels that are not computed
    saved: Saved = Saved()  # by that
    held: tuple[Tensor, ...] = ()  # what the caller may read after an inference, besides the outputs
    notes: tuple[str, ...] = ()  # what a reader should be told: how near an imported model is to its framework

    def producers(self) -> dict[str, Operator]:
        """Tensor name -> the operator that computes it."""
        return {tensor.name: operator for operator in self.operators for tensor in operator.outputs}

    def consumers(self) -> dict[str, list[Operator]]:
        """Tensor name -> the operators that read it, in program order."""
        found: dict[str, list[Operator]] = {}
        for operator in self.operators:
            for tensor in operator.inputs:
                found.setdefault(tensor.name, []).append(operator)
        return found

    def tensors(self) -> Iterator[Tensor]:
        """Graph inputs and states, then every operator's outputs, in program order."""
        yield from self.inputs
        yield from (state.tensor for state in self.states)
        for operator in self.operators:
            yield from operator.outputs

    def check(self) -> None:
        """Raise ModelError unless every tensor is defined exactly once and before it is read."""
        known = {tensor.name for tensor in (*self.inputs, *(state.tensor for state in self.states))}
        for operator in self.operators:
            for tensor in operator.inputs:
                if tensor.data is None and tensor.name not in known:
                    raise ModelError(f"{self.source}: {operator.name}: reads '{tensor.label}' before it is computed")
            for tensor in operator.outputs:
                if tensor.name in known:
                    raise ModelError(f"{self.source}: {operator.name}: computes '{tensor.label}' a second time")
                known.add(tensor.name)
        for tensor in self.outputs:
            if tensor.name not in known:
                raise ModelError(f"{self.source}: output '{tensor.label}' is never computed")
        for state in self.states:
            if state.next not in known:
                raise ModelError(f"{self.source}: the next value of state '{state.tensor.label}' is never computed")

    @property
    def is_float(self) -> bool:
        """Nothing is quantised: operators are float, or work on indices and truth values alone."""
        rest = [operator for operator in self.operators if not operator.is_float]
        whole = all(t.dtype in (np.bool_, np.int32) for o in rest for t in (*o.inputs, *o.outputs))
        return whole and len(rest) < max(len(self.operators), 1)

    @property
    def kept(self) -> set[str]:
        """Names of the tensors that are wanted after the last operator: outputs, others, and what the states become."""
        return {tensor.name for tensor in (*self.outputs, *self.held)} | {state.next for state in self.states}

    def with_operators(self, operators: list[Operator], **changes: Any) -> Graph:
        return replace(self, operators=tuple(operators), **changes)
