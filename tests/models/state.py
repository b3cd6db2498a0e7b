"""What outlives an inference: variables, and operators that keep a state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from models.core import GraphBuilder
from models.schema import Array, Operator, Subgraph, Tensor


class StateOperators(GraphBuilder):
    def svdf(
        self,
        x: Tensor,
        feature: Array,
        time: Array,
        bias: Array,
        *,
        scales: tuple[float, float, float],
        state_zero_point: int = 0,
        out_scale: float,
        out_zero_point: int = 0,
        rank: int = 1,
        name: str | None = None,
    ) -> Tensor:
        """`feature` int8 [filters, in], `time` int8 [filters, memory]; `scales` of both, and of the state."""
        filters, memory = time.shape
        size = (x.shape[0], filters * memory)
        state = self.tensor(None, size, scale=scales[2], zero_point=state_zero_point, variable=True)
        y = self.tensor(name, (x.shape[0], filters // rank), scale=out_scale, zero_point=out_zero_point)
        operands = [
            x,
            self.constant(feature, scale=scales[0]),
            self.constant(time, scale=scales[1]),
            self.constant(bias, dtype=np.int32, scale=float(np.float32(scales[2]) * np.float32(scales[1]))),
            state,
        ]
        self.operator("SVDF", operands, [y], "SVDFOptions", version=3, Rank=rank, FusedActivationFunction=1)
        return y

    def lstm(
        self,
        x: Tensor,
        weights: Sequence[Array],
        recurrent: Sequence[Array],
        biases: Sequence[Array],
        *,
        scales: tuple[Sequence[float], Sequence[float]],
        hidden_scale: float,
        hidden_zero_point: int = 0,
        cell_power: int = -12,
        cell_clip: float = 0.0,
        time_major: bool = False,
        name: str | None = None,
    ) -> Tensor:
        """Each of input, forget, cell and output gate: int8 [n, in] and [n, n], int32 [n]; `scales` of the weights."""
        units, batch = len(biases[0]), x.shape[1 if time_major else 0]
        zero = hidden_zero_point
        hidden = self.tensor(None, (batch, units), scale=hidden_scale, zero_point=zero, variable=True)
        cell = self.tensor(None, (batch, units), dtype=np.int16, scale=2.0**cell_power, variable=True)
        y = self.tensor(name, (*x.shape[:2], units), scale=hidden_scale, zero_point=zero)
        first, second = (
            [self.constant(data, scale=scale) for data, scale in zip(part, scale_of, strict=True)]
            for part, scale_of in zip((weights, recurrent), scales, strict=True)
        )
        bias = [
            self.constant(data, dtype=np.int32, scale=x.scale[0] * scale)
            for data, scale in zip(biases, scales[0], strict=True)
        ]
        operands = [x, *first, *second, None, None, None, *bias, None, None, hidden, cell, None, None, None, None]
        self.operator(
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            operands,
            [y],
            "UnidirectionalSequenceLSTMOptions",
            FusedActivationFunction=4,
            CellClip=cell_clip,
            TimeMajor=time_major,
        )
        return y

    def call_once(self, values: Mapping[str, Array]) -> None:
        """Before the first inference each named variable is assigned its value."""
        tensors: list[Tensor] = []
        operators: list[Operator] = []
        for name, value in values.items():
            handle = len(tensors)
            tensors.append(Tensor(handle, f"{name}/handle", (), np.dtype(np.void)))
            tensors.append(Tensor(handle + 1, f"{name}/value", value.shape, value.dtype, data=value))
            options = {"SharedName": name}
            operators.append(Operator("VAR_HANDLE", (), (handle,), 1, "VarHandleOptions", options))
            operators.append(Operator("ASSIGN_VARIABLE", (handle, handle + 1), (), 1))
        self.once.append(Subgraph(tensors, operators))
        self.operator("CALL_ONCE", [], [], "CallOnceOptions", InitSubgraphIndex=len(self.once))

    def variable(self, name: str) -> Tensor:
        """The handle of the variable `name`."""
        handle = self.tensor(None, (), dtype=np.void)
        self.operator("VAR_HANDLE", [], [handle], "VarHandleOptions", SharedName=name)
        return handle

    def read_variable(self, handle: Tensor, shape: Sequence[int], like: Tensor, *, name: str | None = None) -> Tensor:
        """Its value, typed and quantised as `like` is."""
        y = self.result(name, tuple(shape), like)
        self.operator("READ_VARIABLE", [handle], [y], "ReadVariableOptions")
        return y

    def assign_variable(self, handle: Tensor, value: Tensor) -> None:
        self.operator("ASSIGN_VARIABLE", [handle, value], [], "AssignVariableOptions")
