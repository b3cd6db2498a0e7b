"""A .tflite file as plain records. Everything read from it is checked here: the file is untrusted."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from flatbuffers.number_types import Int32Flags

from driftc.codegen.errors import ModelError
from driftc.codegen.tensor import Array, Quantization, Shape

LARGEST_TENSOR = 1 << 26  # bytes; beyond any microcontroller, and a bound on what a hostile file can ask for
LARGEST_OPERANDS = 16_000_000  # values that one operator reads and makes; planning takes some 60 bytes of each
LARGEST_RANK = 8
LARGEST_FILE = 1 << 28
LONGEST_NAME = 1 << 14

DTYPES: dict[int, Any] = {
    0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 4: np.int64, 6: np.bool_, 7: np.int16, 9: np.int8,
    10: np.float64, 12: np.uint64, 15: np.uint32, 16: np.uint16, 17: np.int8,
}  # fmt: skip
INT4 = 17
# What the flatbuffers package raises where a file does not hold what it should.
DAMAGE = (struct.error, ValueError, IndexError, TypeError, OverflowError, AttributeError, MemoryError, RecursionError)


@dataclass(frozen=True, eq=False)
class RawTensor:
    name: str
    shape: Shape
    dtype: np.dtype[Any] | None  # None: a type driftc does not know, refused where it is used
    type_name: str
    quantization: Quantization | None
    data: Array | None
    variable: bool
    int4: bool = False  # two values a byte in the file, unpacked in `data`
    open: tuple[int, ...] = ()  # axes whose extent the file leaves to the run (-1 in its shape_signature)


@dataclass(frozen=True, eq=False)
class RawOperator:
    code: str  # BuiltinOperator name
    version: int
    inputs: tuple[int, ...]  # -1 where an optional input is absent
    outputs: tuple[int, ...]
    options_type: str
    options: Any  # flatbuffers Table, or None


@dataclass(frozen=True, eq=False)
class RawModel:
    """Subgraph 0; `others` are the subgraphs after it, read where CALL_ONCE refers to one."""

    tensors: tuple[RawTensor, ...]
    operators: tuple[RawOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    others: tuple[RawModel, ...] = ()


@cache
def names_of(enum: str) -> dict[int, str]:
    """Number -> name of a schema enum, such as BuiltinOperator."""
    members = vars(getattr(import_module(f"tflite.{enum}"), enum))
    return {value: name for name, value in members.items() if isinstance(value, int)}


def options_class(name: str) -> Any:
    """The schema's accessor class for operator options."""
    return getattr(import_module(f"tflite.{name}"), name)


def default_options(name: str) -> Any:
    """Options with every field at the schema's default, for operators that store none."""
    import flatbuffers

    builder = flatbuffers.Builder(16)
    builder.StartObject(0)
    builder.Finish(builder.EndObject())
    return options_class(name).GetRootAs(bytes(builder.Output()), 0)


class _Reader:
    """Walks the flatbuffer, remembering where it is so that damage can be named."""

    def __init__(self, file: str, data: bytes) -> None:
        self.file = file
        self.data = data
        self.where = "header"

    def refuse(self, problem: str) -> ModelError:
        return ModelError(f"{self.file}: {self.where}: {problem}")

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Name the table being read; flatbuffers' own exceptions become ModelError."""
        self.where, before = where, self.where
        try:
            yield
        except DAMAGE as damage:
            raise self.refuse(f"the file is damaged or truncated ({type(damage).__name__})") from None
        self.where = before

    def count(self, length: int, smallest: int) -> int:
        """A vector's length, refused when the file could not hold that many elements."""
        if not 0 <= length * smallest <= len(self.data):
            raise self.refuse(f"a vector claims {length} elements, more than the file holds")
        return length

    def vector(self, length: int, values: Callable[[], Any], dtype: Any) -> Array:
        """A numeric vector, copied."""
        if self.count(length, np.dtype(dtype).itemsize) == 0:
            return np.zeros(0, dtype)
        found = np.array(values(), dtype=dtype)
        if found.shape != (length,):
            raise self.refuse("a vector is not where it should be")
        return found

    def model(self) -> RawModel:
        from tflite.Model import Model

        if len(self.data) < 16 or self.data[4:8] != b"TFL3":
            raise self.refuse("not a .tflite file (its identifier is not TFL3)")
        with self.at("model"):
            model = Model.GetRootAs(self.data, 0)
            if self.count(model.SubgraphsLength(), 4) == 0:
                raise self.refuse("holds no subgraph")
            codes = [self.code(model.OperatorCodes(i)) for i in range(self.count(model.OperatorCodesLength(), 4))]
        found = self.subgraph(model, codes, 0)
        if not found.inputs or not found.outputs:
            raise self.refuse("the model has no inputs or no outputs")
        if len(set(found.inputs)) < len(found.inputs):
            raise self.refuse(f"subgraph 0: lists an input twice: tensors {list(found.inputs)}")
        if not any(operator.code == "CALL_ONCE" for operator in found.operators):
            return found
        return replace(found, others=tuple(self.subgraph(model, codes, n) for n in range(1, model.SubgraphsLength())))

    def subgraph(self, model: Any, codes: list[tuple[str, int]], number: int) -> RawModel:
        with self.at(f"subgraph {number}"):
            subgraph = model.Subgraphs(number)
            tensors = tuple(self.tensor(model, subgraph, i) for i in range(self.count(subgraph.TensorsLength(), 4)))
            operators = tuple(
                self.operator(subgraph, codes, len(tensors), i)
                for i in range(self.count(subgraph.OperatorsLength(), 4))
            )
            inputs = self.indices(subgraph.InputsLength(), subgraph.InputsAsNumpy, len(tensors), absent=False)
            outputs = self.indices(subgraph.OutputsLength(), subgraph.OutputsAsNumpy, len(tensors), absent=False)
            return RawModel(tensors, operators, inputs, outputs)
        raise AssertionError

    def code(self, record: Any) -> tuple[str, int]:
        # The larger, as TFLite has it; the package `tflite` takes the older field below 127, whatever the newer says.
        place = record._tab.Offset(10)
        newer = record._tab.Get(Int32Flags, place + record._tab.Pos) if place else 0
        number = max(int(newer), record.DeprecatedBuiltinCode())
        return names_of("BuiltinOperator").get(number, f"number {number}"), int(record.Version())

    def indices(self, length: int, values: Callable[[], Any], tensors: int, absent: bool) -> tuple[int, ...]:
        found = self.vector(length, values, np.int32)
        if found.size and (found.min() < (-1 if absent else 0) or found.max() >= tensors):
            raise self.refuse(f"refers to a tensor outside 0..{tensors - 1}")
        return tuple(int(i) for i in found)

    def operator(self, subgraph: Any, codes: list[tuple[str, int]], tensors: int, index: int) -> RawOperator:
        with self.at(f"operator {index}"):
            record = subgraph.Operators(index)
            if not 0 <= record.OpcodeIndex() < len(codes):
                raise self.refuse(f"operator code {record.OpcodeIndex()} is not in the file")
            code, version = codes[record.OpcodeIndex()]
            self.where = f"operator {index} {code}"
            return RawOperator(
                code=code,
                version=version,
                inputs=self.indices(record.InputsLength(), record.InputsAsNumpy, tensors, absent=True),
                outputs=self.indices(record.OutputsLength(), record.OutputsAsNumpy, tensors, absent=False),
                options_type=names_of("BuiltinOptions").get(record.BuiltinOptionsType(), ""),
                options=record.BuiltinOptions(),
            )
        raise AssertionError

    def tensor(self, model: Any, subgraph: Any, index: int) -> RawTensor:
        with self.at(f"tensor {index}"):
            record = subgraph.Tensors(index)
            name = (record.Name() or b"").decode("utf-8", "replace")
            if len(name) > LONGEST_NAME:
                raise self.refuse(f"its name has {len(name)} characters; driftc reads up to {LONGEST_NAME}")
            self.where = f"tensor {index} '{name[:80]}'"
            shape = tuple(int(n) for n in self.vector(record.ShapeLength(), record.ShapeAsNumpy, np.int32))
            type_name = names_of("TensorType").get(record.Type(), f"type {record.Type()}")
            dtype = np.dtype(DTYPES[record.Type()]) if record.Type() in DTYPES else None
            int4 = record.Type() == INT4
            if len(shape) > LARGEST_RANK:
                raise self.refuse(f"has {len(shape)} axes; driftc reads up to {LARGEST_RANK}")
            if any(n < 0 for n in shape):
                raise self.refuse(f"shape {list(shape)} is not possible")
            if prod(shape) * (dtype.itemsize if dtype else 1) > LARGEST_TENSOR:
                raise self.refuse(f"shape {list(shape)} needs over {LARGEST_TENSOR >> 20} MiB; driftc stops there")
            return RawTensor(
                name=name,
                shape=shape,
                dtype=dtype,
                type_name=type_name,
                quantization=self.quantization(record.Quantization(), dtype),
                data=self.buffer(model, record.Buffer(), shape, dtype, int4),
                int4=int4,
                variable=bool(record.IsVariable()),
                open=self.open_axes(record, len(shape)),
            )
        raise AssertionError

    def open_axes(self, record: Any, rank: int) -> tuple[int, ...]:
        signature = self.vector(record.ShapeSignatureLength(), record.ShapeSignatureAsNumpy, np.int32)
        return tuple(axis for axis, n in enumerate(signature) if n == -1) if len(signature) == rank else ()

    def buffer(self, model: Any, index: int, shape: Shape, dtype: np.dtype[Any] | None, int4: bool) -> Array | None:
        if not 0 <= index < model.BuffersLength():
            raise self.refuse(f"its buffer {index} is not in the file")
        record = model.Buffers(index)
        length = record.DataLength()
        if length == 0 or dtype is None:
            return None
        raw = self.vector(length, record.DataAsNumpy, np.uint8)
        needed = (prod(shape) + 1) // 2 if int4 else prod(shape) * dtype.itemsize
        if length != needed:
            kind = "int4" if int4 else dtype
            raise self.refuse(f"holds {length} bytes, but shape {list(shape)} of {kind} needs {needed}")
        return _unpacked(raw)[: prod(shape)].reshape(shape) if int4 else raw.view(dtype).reshape(shape)

    def quantization(self, record: Any, dtype: np.dtype[Any] | None) -> Quantization | None:
        if record is None or record.ScaleLength() == 0:
            return None
        scale = self.vector(record.ScaleLength(), record.ScaleAsNumpy, np.float32)
        zero_point = self.vector(record.ZeroPointLength(), record.ZeroPointAsNumpy, np.int64)
        if zero_point.size == 0 and dtype == np.int32:  # of a bias no kernel reads it
            zero_point = np.zeros(scale.size, np.int64)
        elif zero_point.size == 0:
            raise self.refuse("has a scale but no zero point, so that TFLite Micro takes it as not quantised")
        elif zero_point.size == 1:
            zero_point = np.repeat(zero_point, scale.size)
        if zero_point.size != scale.size:
            raise self.refuse(f"has {scale.size} scales but {zero_point.size} zero points")
        if not np.all(np.isfinite(scale)) or np.any(scale < 0):
            raise self.refuse("has a scale that is not a positive finite number")
        # Some files state a nonsensical axis for the bias, which no kernel reads; weights are checked where used.
        axis = int(record.QuantizedDimension()) if scale.size > 1 else None
        return Quantization(scale, zero_point, axis)


def _unpacked(raw: Array) -> Array:
    """int4 as int8: the low half of each byte first, as TFLite Micro's UnpackDenseInt4IntoInt8 has it."""
    halves = np.stack([raw & 15, raw >> 4], axis=-1).reshape(-1)
    return ((halves ^ 8).astype(np.int16) - 8).astype(np.int8)


def read(path: Path, title: str) -> tuple[RawModel, bytes]:
    """Parse a .tflite file. Raises ModelError naming the file (`title`) and the table at fault."""
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise ModelError(f"{title}: {size} bytes; driftc reads models up to {LARGEST_FILE >> 20} MiB")
        data = path.read_bytes()
    except OSError as problem:
        raise ModelError(f"{path}: cannot be read: {problem.strerror}") from None
    return _Reader(title, data).model(), data
