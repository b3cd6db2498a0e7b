"""Graph -> .tflite, as `frontends/tflite/`, TFLite Micro and LiteRT read it. A Graph always gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import flatbuffers
import numpy as np
import tflite

from driftc.codegen.graph import Graph
from driftc.codegen.operators.base import Operator, Stored
from driftc.codegen.operators.conversion.dequantize import Dequantize
from driftc.codegen.operators.conversion.quantize import Quantize
from driftc.codegen.tensor import Array, Tensor

TYPES = {
    "float32": tflite.TensorType.FLOAT32,
    "int8": tflite.TensorType.INT8,
    "int32": tflite.TensorType.INT32,
    "bool": tflite.TensorType.BOOL,
}
Row = tuple[Operator, Stored, list[int], list[int]]
Field = int | float | bool | Sequence[int]


def write(graph: Graph) -> bytes:
    """Apply before `fuse`. Raises ModelError for operators that the format does not have."""
    return _File(graph).write()


class _File:
    """Numbers tensors and buffers as they are met; the flatbuffer is built at the end."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._tensors: list[Tensor] = []
        self._places: dict[str, int] = {}

    def write(self) -> bytes:
        graph = self._graph
        inputs = [self._place(tensor) for tensor in graph.inputs]
        rows: list[Row] = []
        for operator in graph.operators:
            stored = operator.stored()
            operands = [
                self._place(value if isinstance(value, Tensor) else _constant(operator, number, value))
                for number, value in enumerate(stored.operands)
            ]
            results = [self._place(tensor) for tensor in operator.outputs]
            rows += (
                self._in_float32(operator, stored)
                if stored.real and not operator.is_float
                else [(operator, stored, operands, results)]
            )
        outputs = [self._place(tensor) for tensor in graph.outputs]

        tables = _Tables()
        buffers = [tables.table("Buffer")]
        tensors = []
        for tensor in self._tensors:
            number = 0
            if tensor.data is not None:
                number = len(buffers)
                buffers.append(tables.table("Buffer", Data=tables.raw(np.ascontiguousarray(tensor.data).tobytes())))
            tensors.append(tables.tensor(tensor, number))
        kinds = [(stored.code or operator.kind, stored.version) for operator, stored, _, _ in rows]
        codes = list(dict.fromkeys(kinds))
        code_tables = [tables.code(*code) for code in codes]
        operators = [
            tables.operator(codes.index(kind), stored, operands, results)
            for kind, (_, stored, operands, results) in zip(kinds, rows, strict=True)
        ]
        subgraph = tables.table(
            "SubGraph",
            Tensors=tables.offsets(tensors),
            Inputs=tables.vector(inputs, np.int32),
            Outputs=tables.vector(outputs, np.int32),
            Operators=tables.offsets(operators),
            Name=tables.string("main"),
        )
        model = tables.table(
            "Model",
            Version=3,
            OperatorCodes=tables.offsets(code_tables),
            Subgraphs=tables.offsets([subgraph]),
            Description=tables.string(f"quantised by driftc from {graph.source}"),
            Buffers=tables.offsets(buffers),
        )
        return tables.finish(model)

    def _in_float32(self, operator: Operator, stored: Stored) -> list[Row]:
        """A function of one value between DEQUANTIZE and QUANTIZE."""

        def real(tensor: Tensor, suffix: str) -> Tensor:
            name = f"{operator.name}/{suffix}"
            return replace(tensor, name=name, label=name, dtype=np.dtype(np.float32), quantization=None, data=None)

        (source,), (target,) = operator.inputs, operator.outputs
        x, y = real(source, "real"), real(target, "result")
        before = Dequantize(name=operator.name, inputs=(source,), outputs=(x,))
        behind = Quantize(name=operator.name, inputs=(y,), outputs=(target,))
        places = [self._place(tensor) for tensor in (source, x, y, target)]
        rows = zip((before, operator, behind), (before.stored(), stored, behind.stored()), strict=True)
        return [(made, kept, [places[n]], [places[n + 1]]) for n, (made, kept) in enumerate(rows)]

    def _place(self, tensor: Tensor) -> int:
        if tensor.name not in self._places:
            self._places[tensor.name] = len(self._tensors)
            self._tensors.append(tensor)
        return self._places[tensor.name]


def _constant(operator: Operator, number: int, data: Array) -> Tensor:
    name = f"{operator.name}/operand_{number}"
    return Tensor(name, data.shape, data.dtype, None, data, name)


class _Tables:
    """Flatbuffer tables by the names of the schema. Children are written before the table that holds them."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(1 << 16)

    def table(self, table: str, **fields: Field) -> int:
        self._call(f"{table}Start")
        for name, value in fields.items():
            self._call(f"{table}Add{name}", value)
        return int(self._call(f"{table}End"))

    def string(self, text: str) -> int:
        return int(self._builder.CreateString(text))

    def vector(self, values: Sequence[int] | Array, dtype: Any) -> int:
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
            "Name": self.string(tensor.label or tensor.name),
        }
        if tensor.quantization is not None:
            fields["Quantization"] = self.table(
                "QuantizationParameters",
                Scale=self.vector(tensor.quantization.scale, np.float32),
                ZeroPoint=self.vector(tensor.quantization.zero_point, np.int64),
                QuantizedDimension=tensor.quantization.axis or 0,
            )
        return self.table("Tensor", Type=TYPES[tensor.dtype.name], Buffer=buffer, **fields)

    def code(self, code: str, version: int) -> int:
        number = getattr(tflite.BuiltinOperator, code)
        return self.table("OperatorCode", DeprecatedBuiltinCode=min(number, 127), Version=version, BuiltinCode=number)

    def operator(self, code: int, stored: Stored, operands: Sequence[int], results: Sequence[int]) -> int:
        fields: dict[str, int] = {
            "Inputs": self.vector(operands, np.int32),
            "Outputs": self.vector(results, np.int32),
        }
        if stored.options:
            values = {
                name: self.vector(value, np.int32) if isinstance(value, Sequence) else value
                for name, value in stored.fields.items()
            }
            fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, stored.options)
            fields["BuiltinOptions"] = self.table(stored.options, **values)
        return self.table("Operator", OpcodeIndex=code, **fields)

    def finish(self, root: int) -> bytes:
        self._builder.Finish(root, file_identifier=b"TFL3")
        return bytes(self._builder.Output())

    def _call(self, function: str, *arguments: Any) -> Any:
        called: Callable[..., Any] = getattr(tflite, function)
        return called(self._builder, *arguments)
