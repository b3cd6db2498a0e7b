"""What every operator is: attributes bound to tensors, shape inference, cost, and integer semantics in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Flag, auto
from typing import TYPE_CHECKING, ClassVar, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.errors import ModelError
from driftc.codegen.operators.ranges import Ranges
from driftc.codegen.tensor import Array, Quantization, Shape, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


class Tiling(Flag):
    """Along which axes a Plan may compute the operator in parts (algorithms: FDT and FFMT)."""

    NONE = 0
    ROWS = auto()  # any range of output rows from the rows of the input it needs
    CHANNELS = auto()  # any range of output channels
    REDUCE = auto()  # any range of input channels, summed in int32


@dataclass(frozen=True)
class Box:
    """Rows [row0, row1) and channels [channel0, channel1) of a tensor seen as rows x pixels x channels."""

    row0: int
    row1: int
    channel0: int
    channel1: int


@dataclass(frozen=True, eq=False)
class Stored:
    """An operator as a .tflite file holds it, outputs aside. Arrays among the operands become constants."""

    operands: tuple[Tensor | Array, ...]
    options: str = ""  # the schema's options table, and its fields
    fields: Mapping[str, int | float | bool | Sequence[int]] = field(default_factory=dict)
    version: int = 2
    code: str = ""  # where the operator has several
    real: bool = False  # the file holds it in float32, between a DEQUANTIZE and a QUANTIZE of its own


@dataclass(frozen=True, eq=False, kw_only=True)
class Operator:
    """One layer. Subclasses add attributes; `inputs` and `outputs` carry shapes and quantisation.

    A subclass is found by its module existing in `driftc.codegen.operators`.
    """

    codes: ClassVar[tuple[str, ...]] = ()  # BuiltinOperator names in a .tflite
    in_files: ClassVar[bool] = True  # a model file may hold it; False: only a pass makes it
    template: ClassVar[str]  # folder in driftc.templates
    header: ClassVar[str | None] = None  # a file of firmware/ that its C includes besides driftc.h
    tiling: ClassVar[Tiling] = Tiling.NONE
    keeps_scale: ClassVar[bool] = False  # inputs and outputs must be quantised alike
    centred: ClassVar[bool] = False  # what a float one computes, it computes of inputs whose zero point is 0 alone
    view: ClassVar[bool] = False  # same bytes under another shape: costs nothing
    per_channel: ClassVar[bool] = False  # outputs after the first are [channels]: of a part, its channels are written
    arithmetic: ClassVar[str] = ""  # for docs/arithmetic.md: multiplier, rounding, saturation
    departures: ClassVar[str] = ""  # for docs/arithmetic.md: where LiteRT's reference kernel gives other bytes
    one_image: ClassVar[bool] = False  # takes one sample, [1, H, W, C]; a batch is computed one by one
    compared: ClassVar[str] = "TFLite Micro; LiteRT"  # for docs/arithmetic.md: whose kernels the tests ran beside it

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    label: str = ""  # the model's own name, for comments and messages
    index: int | None = None  # the operator's index in the model file
    litert: bool = False  # compute as LiteRT's reference kernel does, where it departs from TFLite Micro's
    updatable: bool = False  # some of its constants lie in RAM, where an update changes them (codegen/elastic)

    # --- to be defined by each operator ---

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        """Read attributes from a .tflite operator. Raises ModelError for what driftc does not support."""
        raise NotImplementedError

    def stored(self) -> Stored:
        """What `from_tflite` reads, for the writer of .tflite files. Apply before `fuse`."""
        self.refuse("cannot be written to a .tflite file")

    def infer(self) -> tuple[Shape, ...]:
        """The shapes of the outputs, from the inputs' shapes and the attributes."""
        raise NotImplementedError

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        """The integer semantics: slow and plain NumPy on whole tensors. All else is compared with this."""
        raise NotImplementedError

    @property
    def litert_undefined(self) -> str:
        """Why this is not compared with LiteRT, and refused with --match litert, where that is so."""
        return ""

    @property
    def tflm_undefined(self) -> str:
        """Why this is not compared with TFLite Micro, where that is so."""
        return ""

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        """The same on float32, in Graphs not quantised yet. Inputs may hold n samples along the first axis."""
        self.refuse("has no float semantics here; driftc computes it in int8 only")

    # --- with defaults that suit most ---

    @property
    def divisible(self) -> Tiling:
        """`tiling`, as far as the shapes of this one allow it."""
        return self.tiling

    @property
    def is_float(self) -> bool:
        """True before `quantize` alone: the outputs are float32, and `float_spec` says what they are."""
        return all(tensor.dtype == np.float32 for tensor in self.outputs)

    @property
    def kind(self) -> str:
        return self.codes[0]

    @property
    def epilogue(self) -> str:
        """What happens to a finished accumulator; a file in templates/epilogue/, where the operator has one."""
        return "requantize"

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        """The inputs and outputs that must be int8: all, where an operator does not say otherwise."""
        return (*self.inputs, *self.outputs)

    @property
    def packed(self) -> bool:
        """Its weights lie two a byte in flash: kernels compute it that unpack them."""
        return False

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference, those on padding included."""
        return 0

    def channel_ranges(self, inputs: Sequence[Ranges]) -> Ranges | None:
        """Bounds of each channel of the only output, from those of the inputs' channels; None: nothing is known.

        Where it is known, and the operator has no weights, channel c of the output is computed from channel c of each
        input alone (of a view, from channel c modulo theirs), and the operator is the same on any of the channels.
        """
        return None

    def summary(self) -> str:
        """A few words for the comment above the layer: kernel size, stride, activation."""
        return self.kind.lower().replace("_", " ")

    def check(self) -> None:
        """Raise ModelError where shapes, types or quantisation are not what the operator computes with."""
        for tensor, shape in zip(self.outputs, self.infer(), strict=True):
            if tensor.shape != shape:
                self.refuse(f"gives shape {list(shape)}, but the file says {list(tensor.shape)}")
        for tensor in self.int8_tensors:
            if tensor.dtype == np.uint8:
                self.refuse(
                    f"tensor '{tensor.label}' is uint8, of which driftc takes inputs and outputs of models alone, not "
                    "networks that compute in it: convert the model again, to int8 (TFLITE_BUILTINS_INT8)"
                )
            if tensor.dtype != np.int8:
                self.refuse(f"tensor '{tensor.label}' is {tensor.dtype.name}; driftc compiles int8 here")

    @property
    def fixed_quantization(self) -> Quantization | None:
        """The only quantisation that the output can have, where the arithmetic fixes it."""
        return None

    def quantized(self, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Self:
        """The int8 operator that does what this float one does, on tensors whose quantisation is chosen."""
        return replace(self, inputs=inputs, outputs=outputs)

    def check_float(self) -> None:
        """`check` of an operator that is not quantised yet."""
        for tensor, shape in zip(self.outputs, self.infer(), strict=True):
            if tensor.shape != shape:
                self.refuse(f"gives shape {list(shape)}, but the file says {list(tensor.shape)}")
        for tensor in (*self.inputs, *self.outputs):
            if tensor.dtype != np.float32:
                self.refuse(
                    f"tensor '{tensor.label}' is {tensor.dtype.name} beside float32; driftc needs one or the other"
                )

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        """What is read of each input to compute `box` of the output (only the channels in `reduce`, if given)."""
        return tuple(Box(0, t.hwc[0], 0, t.hwc[2]) for t in self.inputs)

    @property
    def sums_rows(self) -> bool:
        """Its one row of output comes from any ranges of input rows, summed in int32: what `reduce` then counts."""
        return False

    def part(self, box: Box, reduce: range | None = None) -> Self:
        """The operator that computes `box` from exactly `needs(box, reduce)`. Its spec gives those bytes."""
        height, _, channels = self.outputs[0].hwc
        if box != Box(0, height, 0, channels) or reduce is not None:
            raise ValueError(f"{self.name}: {self.kind} cannot be computed in parts")
        return self

    def refuse(self, problem: str) -> NoReturn:
        """Raise ModelError that names this operator."""
        where = f"operator {self.index} " if self.index is not None else ""
        raise ModelError(f"{where}{self.kind} '{self.label or self.name}': {problem}")


def batched(x: Array, tensor: Tensor, shape: Shape) -> Array:
    """`x`, n samples of `tensor`, as n samples of `shape`."""
    count = x.size // tensor.size
    return x.reshape(count * shape[0], *shape[1:]) if shape else x.reshape(count)


def single(tensor: Tensor) -> Tensor:
    """The type of one sample of a batch."""
    return replace(tensor, shape=(1, *tensor.shape[1:]))


def cut(tensor: Tensor, box: Box) -> Tensor:
    """The type of a part of `tensor`: as [1, rows, pixels, channels]."""
    width = tensor.hwc[1]
    return replace(tensor, shape=(1, box.row1 - box.row0, width, box.channel1 - box.channel0))


def as_int64(arrays: Sequence[Array]) -> list[NDArray[np.int64]]:
    return [np.asarray(array, np.int64) for array in arrays]
