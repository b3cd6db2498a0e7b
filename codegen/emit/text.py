"""Numbers and comments as C text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftc.codegen.arithmetic import Multiplier
from driftc.codegen.emit.access import C_TYPES
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.tensor import Array, Tensor

LINE = 116


@dataclass(frozen=True)
class ConstantArray:
    """One `const` array."""

    name: str
    type: str
    length: int
    bytes: int
    values: str
    owner: str  # the first operator that reads it
    layout: str = ""
    lent: str = ""  # what the model calls it, where a step of learning reads it there

    @property
    def content(self) -> tuple[str, int, str]:
        """Alike in arrays that hold the same."""
        return (self.type, self.length, self.values)


def constant_array(name: str, data: Array, owner: str, layout: str = "") -> ConstantArray:
    """The initialiser, wrapped to the line length."""
    kind = C_TYPES[data.dtype.name]
    return ConstantArray(name, kind, data.size, data.nbytes, wrapped(data.reshape(-1)), owner, layout)


def wrapped(values: Array) -> str:
    """Numbers in lines of at most 116 columns, indented by four."""
    texts = [_number(value) for value in values.tolist()]
    width = max((len(text) for text in texts), default=1) + 2
    per_line = max(1, (LINE - 4) // width)
    lines = (", ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line))
    return ",\n".join(f"    {line}" for line in lines)


def _number(value: int) -> str:
    return "INT32_MIN" if value == -(2**31) else str(int(value))


def float_literal(value: float) -> str:
    """The shortest C float constant that reads back as the same float32."""
    text = str(np.float32(value))
    return f"{text}f" if any(mark in text for mark in ".en") else f"{text}.0f"


def real(tensor: Tensor) -> str:
    """How to read a tensor's values, or nothing where it has no scale."""
    if tensor.quantization is None or tensor.quantization.scale.size != 1:
        return ""
    zero = tensor.zero_point
    sign = f"q {'-' if zero > 0 else '+'} {abs(zero)}" if zero else "q"
    return f"real = {np.float32(tensor.scale):.6g} * ({sign})" if zero else f"real = {np.float32(tensor.scale):.6g} * q"


def by(shape: tuple[int, ...]) -> str:
    """25 x 5 x 64."""
    return " x ".join(str(n) for n in shape) or "1"


def scaled(value: str, multiplier: Multiplier, largest: int) -> str:
    """The C that scales the integer `value`, at most `largest` in magnitude, by one (multiplier, shift)."""
    factor, right = _number(int(multiplier.value[0])), -int(multiplier.shift[0])
    if largest >= 2**30 or right < 0 or right > 30:
        return f"driftc_scale({value}, {factor}, {right})"
    high = f"driftc_multiply_high_short({value}, {factor})"
    return high if right == 0 else f"driftc_shift_right_short({high}, {right})"


def requantized(value: str, multiplier: Multiplier, largest: int, zero: int, bounds: tuple[int, int]) -> str:
    """The C that turns the integer `value`, at most `largest` in magnitude, into int8."""
    factor, right = _number(int(multiplier.value[0])), -int(multiplier.shift[0])
    suffix = "" if largest < 2**29 and 1 <= right <= 30 else "_any"
    return f"driftc_to_int8{suffix}({value}, {factor}, {right}, {zero}, {bounds[0]}, {bounds[1]})"


def to_int8(op: Operator, total: str, channel: str | int) -> str:
    """The C that turns the finished sum `total` of output channel `channel` into int8."""
    assert isinstance(op, Weighted)
    multiplier, shift = _scale(op, channel)
    low, high = op.range
    return f"{op.scaler}({total}, {multiplier}, {shift}, {op.zero_out}, {low}, {high})"


def to_values(op: Operator, total: str, channel: str | int) -> str:
    """The C that turns it into what ADAPT_AFFINE reads: int8, int16, or the sum itself."""
    assert isinstance(op, Weighted)
    kind = op.outputs[0].dtype.name
    if kind == "int8":
        return to_int8(op, total, channel)
    if kind == "int32":
        return total
    multiplier, shift = _scale(op, channel)
    low, high = op.range
    scaled = f"driftc_scale({total}, {multiplier}, {shift})"
    if op.scaler == "driftc_to_int8":
        scaled = f"driftc_shift_right_short(driftc_multiply_high_short({total}, {multiplier}), {shift})"
    return f"(int16_t)driftc_clamp({scaled}, {low}, {high})"


def _scale(op: Weighted, channel: str | int) -> tuple[str, str]:
    """Multiplier and shift: literals, or elements of the layer's constants."""
    stored = PORTABLE.constants(op)
    scale = {
        key: f"{op.name}_{key}[{channel}]" if key in stored else _number(int(data[0]))
        for key, data in op.scale_constants().items()
    }
    return scale["multiplier"], scale["shift"]


def c_string(value: str) -> str:
    """`value` as a C string literal: UTF-8, what is not plain ASCII as octal escapes, which cannot run on."""
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}" for byte in value.encode()
    )
    return f'"{escaped}"'
