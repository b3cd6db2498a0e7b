"""What every operator's method stands on: tensors, constants, the list of operators, and the bytes they become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from models.schema import Activation, Array, Operator, OptionValue, Padding, Shape, Subgraph, Tensor, serialize

Pair = int | tuple[int, int]
PADDING: dict[Padding, int] = {"SAME": 0, "VALID": 1}


class Result(TypedDict, total=False):
    """Of an output that takes its input's quantisation where none is given."""

    out_scale: float
    out_zero_point: int
    name: str


class BinaryResult(Result, total=False):
    activation: Activation


class PoolWindow(TypedDict, total=False):
    stride: Pair
    padding: Padding
    activation: Activation
    name: str


class GraphBuilder:
    """Collects tensors and operators, in program order, and writes them with `build`."""

    def __init__(self, description: str = "driftc test model") -> None:
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.once: list[Subgraph] = []  # what CALL_ONCE runs
        self._description = description

    def input(
        self,
        name: str,
        shape: Shape,
        *,
        dtype: DTypeLike = np.int8,
        scale: float | None = None,
        zero_point: int = 0,
        open: tuple[int, ...] = (),
    ) -> Tensor:
        tensor = self.tensor(name, shape, dtype=dtype, scale=scale, zero_point=zero_point, open=open)
        self.inputs.append(tensor)
        return tensor

    def output(self, *tensors: Tensor) -> None:
        self.outputs.extend(tensors)

    def tensor(
        self,
        name: str | None,
        shape: Shape,
        *,
        dtype: DTypeLike = np.int8,
        scale: ArrayLike | None = None,
        zero_point: ArrayLike = 0,
        axis: int = 0,
        data: Array | None = None,
        open: tuple[int, ...] = (),
        variable: bool = False,
    ) -> Tensor:
        """A tensor by itself; `scale` with several entries quantises along `axis`."""
        scales = () if scale is None else tuple(float(value) for value in np.ravel(np.asarray(scale, np.float32)))
        zeros = np.ravel(np.broadcast_to(np.asarray(zero_point), (len(scales),)))
        index = len(self.tensors)
        tensor = Tensor(
            index,
            f"tensor_{index}" if name is None else name,
            tuple(int(extent) for extent in shape),
            np.dtype(dtype),
            scales,
            tuple(int(zero) for zero in zeros),
            axis,
            data,
            open=open,
            variable=variable,
        )
        self.tensors.append(tensor)
        return tensor

    def constant(
        self,
        data: ArrayLike,
        *,
        dtype: DTypeLike | None = None,
        scale: ArrayLike | None = None,
        zero_point: ArrayLike = 0,
        axis: int = 0,
        name: str | None = None,
    ) -> Tensor:
        array = np.asarray(data, dtype)
        return self.tensor(
            name, array.shape, dtype=array.dtype, scale=scale, zero_point=zero_point, axis=axis, data=array
        )

    def operator(
        self,
        code: str,
        inputs: Sequence[Tensor | None],
        outputs: Sequence[Tensor],
        options_table: str | None = None,
        *,
        version: int = 1,
        **options: OptionValue,
    ) -> None:
        """Any operator by its schema names; the way to what has no method of its own."""
        self.operators.append(
            Operator(
                code,
                tuple(-1 if tensor is None else tensor.index for tensor in inputs),
                tuple(tensor.index for tensor in outputs),
                version,
                options_table,
                options,
            )
        )

    def with_int4(self) -> None:
        """Makes the weights int4, each value halved until it fits."""
        for operator in self.operators:
            if operator.code in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
                weights = self.tensors[operator.inputs[1]]
                assert weights.data is not None
                self.tensors[weights.index] = replace(weights, data=weights.data >> 4, int4=True)

    def build(self) -> bytes:
        return serialize(
            self.tensors,
            self.operators,
            [tensor.index for tensor in self.inputs],
            [tensor.index for tensor in self.outputs],
            self._description,
            self.once,
        )

    def result(
        self, name: str | None, shape: Shape, like: Tensor, scale: float | None = None, zero_point: int | None = None
    ) -> Tensor:
        """An operator's output: typed and quantised as `like` is, but for what is given."""
        kept = like.same_quantization()
        if scale is not None:
            kept["scale"] = scale
        if zero_point is not None:
            kept["zero_point"] = zero_point
        return self.tensor(name, shape, **kept)


def pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def window(
    shape: Shape, size: Sequence[int], stride: tuple[int, int], dilation: tuple[int, int], padding: Padding
) -> tuple[int, int]:
    """Height and width after a sliding window."""
    extents = []
    for extent, kernel, step, spread in zip(shape[1:3], size, stride, dilation, strict=True):
        effective = (kernel - 1) * spread + 1
        extents.append(-(-extent // step) if padding == "SAME" else (extent - effective) // step + 1)
    return extents[0], extents[1]
