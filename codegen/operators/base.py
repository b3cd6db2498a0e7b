"""What every operator is: attributes bound to tensors, shape inference, cost, and integer semantics in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, Flag, auto
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import round_half_away
from driftc.codegen.errors import ModelError
from driftc.codegen.graph import Quantization, Shape, Tensor
from driftc.codegen.operators.walk import NEVER, Steps, Walk

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node
    from driftc.codegen.operators.ranges import Ranges

Array = NDArray[Any]


class Activation(Enum):
    """Fused activations of a .tflite file, by their schema number."""

    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3


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
    tiling: ClassVar[Tiling] = Tiling.NONE
    keeps_scale: ClassVar[bool] = False  # inputs and outputs must be quantised alike
    reversible: ClassVar[bool] = False  # the kernel can also take rows and pixels from the last to the first
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
    def macs(self) -> int:
        """Multiply-accumulates of one inference, those on padding included."""
        return 0

    def constants(self) -> dict[str, Array]:
        """Arrays that the C holds in flash, in the layout and order in which the kernel reads them."""
        return {}

    def walk(self, backward: bool = False) -> Walk | None:
        """The order in which the kernel reads and writes, where an output may lie over a dying input; else None.

        `backward`, for `reversible` operators: rows and pixels from the last to the first.
        """
        return None

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


def activation_range(activation: Activation, tensor: Tensor) -> tuple[int, int]:
    """The int8 bounds that a fused activation leaves: TFLite `CalculateActivationRangeQuantized`, float32 division."""
    low, high = -128, 127

    def quantized(real: float) -> int:
        with np.errstate(over="ignore", invalid="ignore"):
            steps = round_half_away(np.float32(real) / np.float32(tensor.scale))
        if not abs(steps) < 2**31:
            raise ModelError(f"tensor '{tensor.label}': scale {tensor.scale:g} is too small for its fused activation")
        return tensor.zero_point + int(steps)

    if activation is Activation.RELU:
        low = max(low, quantized(0.0))
    elif activation is Activation.RELU6:
        low, high = max(low, quantized(0.0)), min(high, quantized(6.0))
    elif activation is Activation.RELU_N1_TO_1:
        low, high = max(low, quantized(-1.0)), min(high, quantized(1.0))
    return low, high


def float_activation(activation: Activation, x: Array) -> Array:
    """The fused activation on real values."""
    low, high = {
        Activation.NONE: (None, None),
        Activation.RELU: (0.0, None),
        Activation.RELU6: (0.0, 6.0),
        Activation.RELU_N1_TO_1: (-1.0, 1.0),
    }[activation]
    return x if low is None else np.asarray(np.clip(x, low, high), np.float32)


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


def _strip(tensor: Tensor, pixels: int) -> Tensor:
    height, _, channels = tensor.hwc
    return replace(tensor, shape=(1, height, pixels, channels))


class Windowed(Operator):
    """Helpers shared by operators that slide a window: convolution, depthwise convolution, pooling.

    Expects `kernel`, `stride`, `dilation` as (rows, pixels) and `padding` as (top, bottom, left, right).
    """

    reversible = True
    one_image = True
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]

    @cached_property
    def reach(self) -> tuple[int, int]:
        """Rows and pixels that one window spans, dilation included."""
        return (
            (self.kernel[0] - 1) * self.dilation[0] + 1,
            (self.kernel[1] - 1) * self.dilation[1] + 1,
        )

    def output_size(self) -> tuple[int, int]:
        """Rows and pixels of the output."""
        _, height, width, _ = self.inputs[0].shape
        top, bottom, left, right = self.padding
        return (
            (height + top + bottom - self.reach[0]) // self.stride[0] + 1,
            (width + left + right - self.reach[1]) // self.stride[1] + 1,
        )

    def input_rows(self, row0: int, row1: int) -> tuple[int, int, int, int]:
        """For output rows [row0, row1): the input rows [first, last) and the padding above and below them."""
        height = self.inputs[0].hwc[0]
        first = row0 * self.stride[0] - self.padding[0]
        last = (row1 - 1) * self.stride[0] - self.padding[0] + self.reach[0]
        inside = (max(0, min(first, height)), max(0, min(last, height)))
        return (*inside, inside[0] - first, last - inside[1])

    def input_pixels(self, pixels: range) -> tuple[range, int, int]:
        """For output pixels `pixels` of a row: the input pixels, and the padding left and right of them."""
        width = self.inputs[0].hwc[1]
        first = pixels.start * self.stride[1] - self.padding[2]
        last = (pixels.stop - 1) * self.stride[1] - self.padding[2] + self.reach[1]
        inside = range(max(0, min(first, width)), max(0, min(last, width)))
        return inside, inside.start - first, last - inside.stop

    def strip(self, pixels: range) -> Self:
        """The operator that computes `pixels` of each row from exactly the pixels that they need, made once."""
        if pixels not in self._strips:
            read, left, right = self.input_pixels(pixels)
            changes: dict[str, Any] = {
                "inputs": (_strip(self.inputs[0], len(read)), *self.inputs[1:]),
                "outputs": (_strip(self.outputs[0], len(pixels)),),
                "padding": (*self.padding[:2], left, right),
            }
            self._strips[pixels] = replace(self, **changes)
        return self._strips[pixels]

    @cached_property
    def _strips(self) -> dict[range, Self]:
        return {}

    def scheme(self) -> int:
        """The padding as a .tflite file names it: 0 is SAME, 1 is VALID."""
        size = self.inputs[0].shape[1:3]
        same = [same_padding(*axis) for axis in zip(size, self.kernel, self.stride, self.dilation, strict=True)]
        if not any(self.padding):
            return 1
        if self.padding != (*same[0], *same[1]):
            self.refuse(f"padding {list(self.padding)} is neither SAME nor VALID; a PAD must come before it")
        return 0

    def interior(self, axis: int) -> tuple[int, int]:
        """Output rows (axis 0) or pixels (axis 1) [first, last) whose window lies wholly inside the input."""
        size = self.inputs[0].hwc[axis]
        before = self.padding[2 * axis]
        count = self.outputs[0].hwc[axis]
        first = -(-before // self.stride[axis])
        last = (size + before - self.reach[axis]) // self.stride[axis] + 1
        first = min(max(first, 0), count)
        return first, min(max(last, first), count)

    def visits(self, backward: bool) -> tuple[Steps, Steps]:
        """When output pixels are computed, and when each input pixel is last in a window (NEVER: in none).

        Pixels are counted in the order in which they are computed: [out rows, out pixels], [in rows, in pixels].
        """
        height, width, _ = self.outputs[0].hwc
        row, pixel = self._last_use(0, backward), self._last_use(1, backward)
        last = row[:, None] * width + pixel[None, :]
        last[(row == NEVER)[:, None] | (pixel == NEVER)[None, :]] = NEVER
        order = np.arange(height * width, dtype=np.int64).reshape(height, width)
        return order[::-1, ::-1] if backward else order, last

    def _last_use(self, axis: int, backward: bool) -> NDArray[np.int64]:
        """For each input row (axis 0) or pixel (axis 1): the last window it is in, counted as they are computed."""
        size, count = self.inputs[0].hwc[axis], self.outputs[0].hwc[axis]
        last = np.full(size, NEVER, np.int64)
        for turn in range(count):
            window = count - 1 - turn if backward else turn
            first = window * self.stride[axis] - self.padding[2 * axis]
            reads = first + np.arange(self.kernel[axis]) * self.dilation[axis]
            last[reads[(reads >= 0) & (reads < size)]] = turn
        return last

    def windows(self, x: NDArray[np.int64], fill: int) -> NDArray[np.int64]:
        """View `x` [1, H, W, C] as [out_h, out_w, C, kernel_h, kernel_w], padded with `fill`."""
        top, bottom, left, right = self.padding
        padded = np.pad(x[0], ((top, bottom), (left, right), (0, 0)), constant_values=fill)
        spans = np.lib.stride_tricks.sliding_window_view(padded, self.reach, axis=(0, 1))
        view = spans[:: self.stride[0], :: self.stride[1], :, :: self.dilation[0], :: self.dilation[1]]
        return np.asarray(view)

    def float_windows(self, x: Array) -> Array:
        """View `x` [n, H, W, C], padded with zeros, as [n, out_h, out_w, kernel_h, kernel_w, C]."""
        top, bottom, left, right = self.padding
        padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
        spans = np.lib.stride_tricks.sliding_window_view(padded, self.reach, axis=(1, 2))
        view = spans[:, :: self.stride[0], :: self.stride[1], :, :: self.dilation[0], :: self.dilation[1]]
        return view.transpose(0, 1, 2, 4, 5, 3)


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """TFLite SAME: padding before and after along one axis, the odd one after."""
    reach = (kernel - 1) * dilation + 1
    out = -(-size // stride)
    total = max((out - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def as_int64(arrays: Sequence[Array]) -> list[NDArray[np.int64]]:
    return [np.asarray(array, np.int64) for array in arrays]
