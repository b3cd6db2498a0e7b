"""UNIDIRECTIONAL_SEQUENCE_LSTM: c = sigmoid(forget) c + sigmoid(input) tanh(cell); out = sigmoid(output) tanh(c)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.arithmetic import INT32_MAX, Multiplier
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.quantised import requantiser, require_quantised
from driftc.codegen.operators.recurrent.sigmoid_table import sigmoid, tanh
from driftc.codegen.tensor import Array, Shape, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

Int64 = NDArray[np.int64]
GATES = ("input", "forget", "cell", "output")
BEFORE_GATE = 2.0**-12  # the scale of what goes into a gate
AFTER_GATE = 2.0**-15  # and of what comes out
TANH = 4  # the schema's activation number
CELL_POWERS = range(-15, -2)  # of the cell state's scale, 2^n


@dataclass(frozen=True, eq=False, kw_only=True)
class UnidirectionalSequenceLstm(Operator):
    """Inputs: x [batch, time, in] (time first with `time_major`), hidden state int8 and cell state int16 [batch, n].

    Outputs: the hidden state after each step, and both states after the last.
    """

    codes = ("UNIDIRECTIONAL_SEQUENCE_LSTM",)
    template = "lstm"
    compared = "TFLite Micro"
    arithmetic = (
        "A gate's sum is that of two FULLY_CONNECTED to int16 in Q3.12, each with double rounding and saturated, of "
        "the input and of the hidden state; their sum saturates. sigmoid and tanh to Q0.15 from TFLite Micro's table "
        "of 256, linear between entries. Cell state int16: forget gate times cell and input gate times cell gate, each "
        "with double rounding and saturated; their sum saturates and is clipped. Hidden state int8: output gate times "
        "tanh of the cell, double rounding, zero point, saturated. Peepholes, projection, layer normalisation and "
        "coupled gates are refused; TFLite Micro has none of them."
    )

    departures = "LiteRT rounds gates and states otherwise. It is not compared there, and refused with --match litert."

    weights: tuple[Tensor, ...]  # int8 [n, in] of each of GATES
    recurrent: tuple[Tensor, ...]  # int8 [n, n]
    biases: tuple[Tensor, ...]  # int32 [n]
    cell_clip: float = 0.0
    time_major: bool = False

    @property
    def litert_undefined(self) -> str:
        return "LiteRT rounds it otherwise, which driftc does not reproduce"

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        node.require(len(node.inputs) == 24, f"has {len(node.inputs)} inputs, not 24")
        absent = {"peepholes": range(9, 12), "a projection": range(16, 18), "layer normalisation": range(20, 24)}
        for what, places in absent.items():
            node.require(all(node.inputs[place] is None for place in places), f"has {what}, as TFLite Micro does not")
        for place in (*range(1, 9), *range(12, 16)):
            node.constant(place)
        options = node.options("UnidirectionalSequenceLSTMOptions")
        activation = int(options.FusedActivationFunction())
        node.require(activation == TANH, f"its cell gate has activation {activation}; driftc compiles TANH")
        node.require(not options.DiagonalRecurrentTensors(), "has diagonal recurrent weights")
        clip = float(options.CellClip())
        node.require(0 <= clip < np.inf, f"cell clip {clip:g} is not a number from 0 on")
        x, hidden, cell = node.input(0), node.input(18), node.input(19)
        outputs = (*node.outputs, node.update(18), node.update(19))
        return cls(
            **node.common(x, hidden, cell) | {"outputs": outputs},
            weights=tuple(node.input(place) for place in range(1, 5)),
            recurrent=tuple(node.input(place) for place in range(5, 9)),
            biases=tuple(node.input(place) for place in range(12, 16)),
            cell_clip=clip,
            time_major=bool(options.TimeMajor()),
        )

    # --- shapes ---

    @property
    def units(self) -> int:
        return self.recurrent[0].shape[0]

    @property
    def batch(self) -> int:
        return self.inputs[0].shape[1 if self.time_major else 0]

    @property
    def steps(self) -> int:
        return self.inputs[0].shape[0 if self.time_major else 1]

    @property
    def length(self) -> int:
        """Values of the input at each step."""
        return self.inputs[0].shape[2]

    @property
    def step_stride(self) -> int:
        """How many rows of x, and of the output, lie from one step to the next."""
        return self.batch if self.time_major else 1

    @property
    def batch_stride(self) -> int:
        """How many lie from one sequence to the next."""
        return 1 if self.time_major else self.steps

    def infer(self) -> tuple[Shape, ...]:
        x, hidden, cell = self.inputs
        if len(x.shape) != 3:
            self.refuse(f"needs an input of three axes, not shape {list(x.shape)}")
        return ((*x.shape[:2], self.units), hidden.shape, cell.shape)

    @property
    def macs(self) -> int:
        return self.batch * self.steps * self.units * (4 * (self.length + self.units) + 3)

    # --- what the C is made from ---

    @cached_property
    def scales(self) -> tuple[tuple[Multiplier, Multiplier], ...]:
        """Of the input's and of the hidden state's sums, of each gate."""
        x, hidden, _ = self.inputs
        pairs = zip(self.weights, self.recurrent, self.largest, strict=True)
        return tuple(
            (
                requantiser(self, np.float64(x.scale) * np.float64(weights.scale) / BEFORE_GATE, largest[0]),
                requantiser(self, np.float64(hidden.scale) * np.float64(recurrent.scale) / BEFORE_GATE, largest[1]),
            )
            for weights, recurrent, largest in pairs
        )

    @cached_property
    def largest(self) -> tuple[tuple[int, int], ...]:
        """The magnitude that no such sum exceeds, in any order."""

        def reach(tensor: Tensor, source: Tensor) -> Int64:
            return np.asarray(np.abs(_values(tensor)).sum(axis=1) * (128 + abs(source.zero_point)), np.int64)

        x, hidden, _ = self.inputs
        parts = zip(self.weights, self.biases, self.recurrent, strict=True)
        return tuple(
            (int((reach(weights, x) + np.abs(_values(bias))).max()), int(reach(recurrent, hidden).max()))
            for weights, bias, recurrent in parts
        )

    @cached_property
    def products(self) -> tuple[Multiplier, Multiplier, Multiplier]:
        """Of forget gate and cell, of input and cell gate, of output gate and tanh of the cell."""
        _, hidden, cell = self.inputs
        gate, kept = AFTER_GATE, np.float64(cell.scale)
        reals = (gate * kept / kept, gate * gate / kept, gate * gate / np.float64(hidden.scale))
        first, second, third = (requantiser(self, float(real), 1 << 30) for real in reals)
        return first, second, third

    @property
    def clip(self) -> int:
        """The largest magnitude of the cell state; 0: none."""
        return int(np.clip(self.cell_clip / np.float64(self.inputs[2].scale), -32768, 32767))

    @property
    def tanh_shift(self) -> int:
        """What the cell state is shifted by to Q3.12."""
        return self._power + 12

    @property
    def _power(self) -> int:
        return int(np.log2(self.inputs[2].scale))

    def check(self) -> None:
        super().check()
        x, hidden, cell = self.inputs
        for what, tensors, shape, kind in (
            ("weights", self.weights, (self.units, self.length), "int8"),
            ("recurrent weights", self.recurrent, (self.units, self.units), "int8"),
            ("biases", self.biases, (self.units,), "int32"),
        ):
            for tensor in tensors:
                if tensor.shape != shape or tensor.dtype.name != kind:
                    self.refuse(
                        f"{what} '{tensor.label}' are {tensor.dtype.name} {list(tensor.shape)}, not {list(shape)}"
                    )
        for tensor in (hidden, cell):
            if tensor.size != self.batch * self.units:
                self.refuse(f"state '{tensor.label}' has {tensor.size} values for {self.batch} x {self.units}")
        if cell.dtype != np.int16:
            self.refuse(f"cell state '{cell.label}' is {cell.dtype.name}, not int16")
        require_quantised(self, x, hidden, cell, self.outputs[0], *self.weights, *self.recurrent)
        if any(tensor.zero_point for tensor in (cell, *self.weights, *self.recurrent)):
            self.refuse("its weights and its cell state must have zero point 0")
        if cell.scale != 2.0**self._power or self._power not in CELL_POWERS:
            self.refuse(f"the scale of its cell state is {cell.scale:g}; it must be a power of two, 2^-15 to 2^-3")
        if max(size for pair in self.largest for size in pair) > INT32_MAX:
            self.refuse("sums can overflow int32; the weights or the biases are out of any sensible range")
        _ = self.scales, self.products

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return (*self.inputs[:2], *self.outputs[:2])

    def summary(self) -> str:
        return f"LSTM, {self.units} units over {self.steps} steps"

    # --- specification ---

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        x = np.asarray(inputs[0], np.int64)
        x = x if self.time_major else x.swapaxes(0, 1)
        hidden, cell = (np.asarray(state, np.int64).reshape(self.batch, self.units) for state in inputs[1:])
        steps = []
        for values in x:
            hidden, cell = self._step(values, hidden, cell)
            steps.append(hidden)
        y = np.stack(steps)
        y = y if self.time_major else y.swapaxes(0, 1)
        after = hidden.reshape(self.outputs[1].shape), cell.reshape(self.outputs[2].shape)
        return y.astype(np.int8), after[0].astype(np.int8), after[1].astype(np.int16)

    def _step(self, x: Int64, hidden: Int64, cell: Int64) -> tuple[Int64, Int64]:
        sums = [self._gate(number, x, hidden) for number in range(4)]
        entering, forgetting, leaving = (sigmoid(sums[number]) for number in (0, 1, 3))
        keep, add, show = self.products
        cell = _int16(_int16(keep.apply(forgetting * cell)) + _int16(add.apply(entering * tanh(sums[2], 0))))
        if self.cell_clip > 0:
            cell = np.clip(cell, -self.clip, self.clip)
        scaled = show.apply(tanh(cell, self.tanh_shift) * leaving)
        return np.clip(scaled + self.inputs[1].zero_point, -128, 127), cell

    def _gate(self, number: int, x: Int64, hidden: Int64) -> Int64:
        of_input, of_hidden = self.scales[number]
        first = (x - self.inputs[0].zero_point) @ _values(self.weights[number]).T + _values(self.biases[number])
        second = (hidden - self.inputs[1].zero_point) @ _values(self.recurrent[number]).T
        return _int16(_int16(of_input.apply(first)) + _int16(of_hidden.apply(second)))


def _values(tensor: Tensor) -> Int64:
    assert tensor.data is not None
    return tensor.data.astype(np.int64)


def _int16(x: Int64) -> Int64:
    return np.clip(x, -32768, 32767)
