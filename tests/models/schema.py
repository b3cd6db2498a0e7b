"""Tensors and operators as records, and the one place that writes them as a TFLite flatbuffer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal

import flatbuffers
import numpy as np
import tflite
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]
Padding = Literal["SAME", "VALID"]
OptionValue = int | float | bool | str | Sequence[int]


class Activation(IntEnum):
    """A fused activation, with the schema's numbers."""

    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3
    TANH = 4


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the model under construction. `scale` and `zero_point` hold one entry, or one per index of `axis`."""

    index: int
    name: str
    shape: Shape
    dtype: np.dtype[Any]
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    axis: int = 0
    data: Array | None = None
    open: tuple[int, ...] = ()  # axes that the file leaves to the run
    int4: bool = False  # the file holds two values a byte
    variable: bool = False  # it keeps its value between inferences

    def same_quantization(self) -> dict[str, Any]:
        """Keyword arguments that give another tensor this one's type, scale and zero point."""
        return {
            "dtype": self.dtype,
            "scale": self.scale[0] if self.scale else None,
            "zero_point": self.zero_point[0] if self.zero_point else 0,
        }


@dataclass(frozen=True)
class Operator:
    """One operator by its schema names: code 'CONV_2D', options table 'Conv2DOptions' and its fields."""

    code: str
    inputs: tuple[int, ...]  # tensor indices; -1 stands for an optional input that is absent
    outputs: tuple[int, ...]
    version: int
    options_table: str | None = None
    options: Mapping[str, OptionValue] = field(default_factory=dict)


_TYPES: dict[str, int] = {
    "float32": tflite.TensorType.FLOAT32,
    "int8": tflite.TensorType.INT8,
    "uint8": tflite.TensorType.UINT8,
    "int16": tflite.TensorType.INT16,
    "int32": tflite.TensorType.INT32,
    "int64": tflite.TensorType.INT64,
    "bool": tflite.TensorType.BOOL,
    "void": tflite.TensorType.RESOURCE,  # a variable's handle
}


@dataclass(frozen=True)
class Subgraph:
    """One more subgraph, without inputs and outputs: what CALL_ONCE runs."""

    tensors: Sequence[Tensor]
    operators: Sequence[Operator]


def serialize(
    tensors: Sequence[Tensor],
    operators: Sequence[Operator],
    inputs: Sequence[int],
    outputs: Sequence[int],
    description: str,
    others: Sequence[Subgraph] = (),
) -> bytes:
    """The model as the bytes of a .tflite file. The same records always give the same bytes."""
    writer = _Writer()
    buffers = [writer.table("Buffer")]

    def placed(tensor: Tensor) -> int:
        number = 0
        if tensor.data is not None:
            number = len(buffers)
            buffers.append(writer.table("Buffer", Data=writer.raw(_stored(tensor))))
        return writer.tensor(tensor, number)

    graphs = [Subgraph(tensors, operators), *others]
    tensor_offsets = [[placed(tensor) for tensor in graph.tensors] for graph in graphs]
    codes = list(dict.fromkeys((operator.code, operator.version) for graph in graphs for operator in graph.operators))
    code_offsets = [writer.operator_code(code, version) for code, version in codes]
    operator_offsets = [
        [writer.operator(operator, codes.index((operator.code, operator.version))) for operator in graph.operators]
        for graph in graphs
    ]
    subgraphs = [
        writer.table(
            "SubGraph",
            Tensors=writer.offsets(tensor_offsets[number]),
            Inputs=writer.vector(() if number else inputs, np.int32),
            Outputs=writer.vector(() if number else outputs, np.int32),
            Operators=writer.offsets(operator_offsets[number]),
            Name=writer.string("once" if number else "main"),
        )
        for number in range(len(graphs))
    ]
    model = writer.table(
        "Model",
        Version=3,
        OperatorCodes=writer.offsets(code_offsets),
        Subgraphs=writer.offsets(subgraphs),
        Description=writer.string(description),
        Buffers=writer.offsets(buffers),
    )
    return writer.finish(model)


def _stored(tensor: Tensor) -> bytes:
    """The buffer of a constant; int4 with the low half of each byte first."""
    assert tensor.data is not None
    if not tensor.int4:
        return tensor.data.tobytes()
    halves = np.append(tensor.data.reshape(-1), [0] * (tensor.data.size % 2)).astype(np.uint8) & 15
    return (halves[::2] | halves[1::2] << 4).astype(np.uint8).tobytes()


class _Writer:
    """Flatbuffer tables by the names of the schema. Children are written before the table that holds them."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(4096)

    def table(self, table: str, **fields: OptionValue) -> int:
        self._call(f"{table}Start")
        for name, value in fields.items():
            self._call(f"{table}Add{name}", value)
        return int(self._call(f"{table}End"))

    def string(self, text: str) -> int:
        return int(self._builder.CreateString(text))

    def vector(self, values: Sequence[float], dtype: type[np.generic]) -> int:
        return int(self._builder.CreateNumpyVector(np.asarray(values, dtype)))

    def offsets(self, offsets: Sequence[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())

    def raw(self, data: bytes) -> int:
        """A byte vector aligned to 16, as readers that map the file expect of constants."""
        builder = self._builder
        builder.StartVector(1, len(data), 16)
        builder.head -= len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        return int(builder.EndVector())

    def tensor(self, tensor: Tensor, buffer: int) -> int:
        fields: dict[str, int] = {
            "Shape": self.vector(tensor.shape, np.int32),
            "Name": self.string(tensor.name),
        }
        if tensor.open:
            signature = [-1 if axis in tensor.open else extent for axis, extent in enumerate(tensor.shape)]
            fields["ShapeSignature"] = self.vector(signature, np.int32)
        if tensor.scale:
            fields["Quantization"] = self.table(
                "QuantizationParameters",
                Scale=self.vector(tensor.scale, np.float32),
                ZeroPoint=self.vector(tensor.zero_point, np.int64),
                QuantizedDimension=tensor.axis,
            )
        kind = tflite.TensorType.INT4 if tensor.int4 else _TYPES[tensor.dtype.name]
        return self.table("Tensor", Type=kind, Buffer=buffer, IsVariable=tensor.variable, **fields)

    def operator_code(self, code: str, version: int) -> int:
        number = getattr(tflite.BuiltinOperator, code)
        return self.table("OperatorCode", DeprecatedBuiltinCode=min(number, 127), Version=version, BuiltinCode=number)

    def operator(self, operator: Operator, code_index: int) -> int:
        fields: dict[str, int] = {
            "Inputs": self.vector(operator.inputs, np.int32),
            "Outputs": self.vector(operator.outputs, np.int32),
        }
        if operator.options_table is not None:
            fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, operator.options_table)
            values = {name: self.option(value) for name, value in operator.options.items()}
            fields["BuiltinOptions"] = self.table(operator.options_table, **values)
        return self.table("Operator", OpcodeIndex=code_index, **fields)

    def option(self, value: OptionValue) -> OptionValue:
        if isinstance(value, str):
            return self.string(value)
        return value if isinstance(value, int | float) else self.vector(value, np.int32)

    def finish(self, root: int) -> bytes:
        self._builder.Finish(root, file_identifier=b"TFL3")
        return bytes(self._builder.Output())

    def _call(self, function: str, *arguments: Any) -> Any:
        called: Callable[..., Any] = getattr(tflite, function)
        return called(self._builder, *arguments)
