"""The bytes between Python and the harness (firmware/ports/main.c): samples in, frames out."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from driftc.codegen.errors import DataError, ToolError
from driftc.simulator.engine import FIRST, Array, Layer, Program, Sample, Starts

HEADER = struct.Struct("<8i")
OUTPUTS, TICKS, STACK, STATE = -1, -2, -3, -4
GO_ON, RESET, GIVEN = range(3)  # what a sample's state is

STATUS = {
    2: "it could not open in.bin or out.bin",
    3: "it got fewer samples than announced",
    4: "it could not write its results",
    5: "NAME_init refused its memory",
    6: "its stack is too small (port_stack_top in simulator/*.ld)",
    99: "a fault of the processor",
}


def ended(status: int) -> str:
    """Why the harness ended: its exit status in words."""
    return f"status {status}" + (f": {STATUS[status]}" if status in STATUS else "")


@dataclass(frozen=True)
class Batch:
    """Samples for one run of the harness. `resets` begin a sequence; where the first does not, it has `state`."""

    samples: Sequence[Sequence[Array]]
    resets: Starts = FIRST
    state: bytes = b""

    @classmethod
    def of(cls, samples: Sequence[Sequence[Array]], first: int, count: int, starts: Starts, state: bytes) -> Batch:
        """Samples [first, first + count), which begin with `state`."""
        resets = {number - first for number in starts if number >= first}
        return cls(samples[first : first + count], resets if state else {0, *resets}, state)


def encode(program: Program, batch: Batch) -> bytes:
    """What the harness reads: the number of samples, then their bytes."""
    texts = []
    for number, sample in enumerate(batch.samples):
        begin = RESET if number in batch.resets else GO_ON if number else GIVEN
        texts.append(encode_sample(program, sample, begin, batch.state))
    return struct.pack("<i", len(texts)) + b"".join(texts)


def encode_sample(program: Program, sample: Sequence[Array], begin: int = GO_ON, state: bytes = b"") -> bytes:
    """A sample's bytes, after what the state is to be where the model has one: `state` where `begin` is GIVEN."""
    if len(sample) != len(program.inputs):
        raise DataError(f"{program.name}: {len(sample)} arrays in a sample; the model has {len(program.inputs)} inputs")
    parts = []
    if program.state_bytes:
        parts = [struct.pack("<i", begin), state if begin == GIVEN else b""]
    for port, array in zip(program.inputs, sample, strict=True):
        if array.shape != port.shape or array.dtype != port.dtype:
            raise DataError(
                f"{program.name}: input '{port.name}': got {array.dtype} {array.shape}, "
                f"expected {port.dtype} {port.shape}"
            )
        parts.append(np.ascontiguousarray(array, port.dtype.newbyteorder("<")).tobytes())
    return b"".join(parts)


class Feed:
    """A batch as the harness reads it: encoded piece by piece, when it is asked for."""

    def __init__(self, program: Program, batch: Batch) -> None:
        self._program = program
        self._resets = batch.resets
        self._samples = iter(enumerate(batch.samples))
        self._encoded = bytearray(struct.pack("<i", len(batch.samples)))

    def take(self, size: int) -> bytes:
        """The next `size` bytes; fewer at the end."""
        while len(self._encoded) < size and (sample := next(self._samples, None)) is not None:
            begin = RESET if sample[0] in self._resets else GO_ON
            self._encoded += encode_sample(self._program, sample[1], begin)
        part = bytes(self._encoded[:size])
        del self._encoded[:size]
        return part


@dataclass
class Run:
    """A sample as the harness reports it; `ticks` are the port's own, one per step."""

    sample: Sample
    ticks: tuple[int, ...] | None = None


@dataclass
class _Tensor:
    """A layer's output while it is put together from rows, pixels and slices of channels."""

    values: Array
    shown: Array = field(init=False)  # rows x pixels x channels

    def __post_init__(self) -> None:
        self.shown = np.zeros(self.values.shape, bool)


class Decoder:
    """Turns the harness's bytes, in pieces of any size, into samples."""

    def __init__(self, program: Program, *, trace: bool) -> None:
        self._program = program
        self._trace = trace
        self._buffer = bytearray()
        self._ticks: tuple[int, ...] | None = None
        self._stack: int | None = None
        self._state = b""
        self._tensors: dict[int, _Tensor] = {}

    def feed(self, data: bytes | bytearray) -> list[Run]:
        """The samples that are complete with `data`."""
        self._buffer += data
        done, at = [], 0
        while len(self._buffer) - at >= HEADER.size:
            kind, *box, size = HEADER.unpack_from(self._buffer, at)
            if size < 0:
                raise self._broken(f"a frame of {size} bytes")
            end = at + HEADER.size + size
            if end > len(self._buffer):
                break
            payload = bytes(self._buffer[at + HEADER.size : end])
            at = end
            if kind == OUTPUTS:
                done.append(self._finish(payload))
            elif kind == TICKS:
                self._ticks = struct.unpack(f"<{size // 8}Q", payload)
            elif kind == STACK:
                (self._stack,) = struct.unpack("<I", payload)
            elif kind == STATE:
                self._state = payload
            else:
                self._show(kind, box, payload)
        del self._buffer[:at]
        return done

    def finish(self) -> None:
        """The stream ended here; ToolError if that is within a sample."""
        if self._buffer or self._tensors:
            raise self._broken("the program ended within a sample")

    def _show(self, index: int, box: Sequence[int], payload: bytes) -> None:
        """`box` is the first and the number of rows, of pixels, of channels."""
        if not 0 <= index < len(self._program.layers):
            raise self._broken(f"a frame of kind {index}")
        layer = self._program.layers[index]
        dtype = layer.dtype.newbyteorder("<")
        firsts, counts = box[::2], box[1::2]
        spans = list(zip(firsts, counts, layer.hwc, strict=True))
        inside = all(0 <= first <= first + count <= extent for first, count, extent in spans)
        if not inside or len(payload) != int(np.prod(counts)) * dtype.itemsize:
            height, width, depth = layer.hwc
            raise self._broken(
                f"layer {layer.name} of {height} x {width} x {depth}: rows {box[0]}+{box[1]}, "
                f"pixels {box[2]}+{box[3]}, channels {box[4]}+{box[5]}, {len(payload)} bytes"
            )
        tensor = self._tensors.get(index)
        if tensor is None:
            tensor = self._tensors[index] = _Tensor(np.zeros(layer.hwc, layer.dtype))
        where = tuple(slice(first, first + count) for first, count, _ in spans)
        tensor.values[where] = np.frombuffer(payload, dtype).reshape(counts)
        tensor.shown[where] = True

    def _finish(self, payload: bytes) -> Run:
        expected = sum(int(np.prod(port.shape)) * port.dtype.itemsize for port in self._program.outputs)
        if len(payload) != expected:
            raise self._broken(f"{len(payload)} bytes of outputs instead of {expected}")
        outputs, at = [], 0
        for port in self._program.outputs:
            count = int(np.prod(port.shape))
            values = np.frombuffer(payload, port.dtype.newbyteorder("<"), count, at)
            outputs.append(values.reshape(port.shape).astype(port.dtype))
            at += count * port.dtype.itemsize
        tensors = {index: self._whole(self._program.layers[index], t) for index, t in sorted(self._tensors.items())}
        if self._trace and len(tensors) != len(self._program.layers):
            absent = next(i for i in range(len(self._program.layers)) if i not in tensors)
            raise self._broken(f"layer {self._program.layers[absent].name} was never shown")
        if self._ticks is not None and len(self._ticks) != len(self._program.steps):
            raise self._broken(f"{len(self._ticks)} times for {len(self._program.steps)} steps")
        if len(self._state) != self._program.state_bytes:
            raise self._broken(f"{len(self._state)} bytes of state instead of {self._program.state_bytes}")
        run = Run(Sample(tuple(outputs), tensors, stack_peak=self._stack, state=self._state), self._ticks)
        self._tensors, self._ticks, self._stack, self._state = {}, None, None, b""
        return run

    def _whole(self, layer: Layer, tensor: _Tensor) -> Array:
        if not tensor.shown.all():
            row, pixel, channel = np.argwhere(~tensor.shown)[0]
            raise self._broken(f"layer {layer.name}: row {row}, pixel {pixel}, channel {channel} was never shown")
        return tensor.values

    def _broken(self, what: str) -> ToolError:
        return ToolError(f"{self._program.name}: the program's results make no sense: {what}")
