"""What a .tflite file says of many operators alike: the activation that they fuse, and how a window is padded."""

from __future__ import annotations

from enum import Enum

import numpy as np

from driftc.codegen.arithmetic import round_half_away
from driftc.codegen.errors import ModelError
from driftc.codegen.tensor import Array, Tensor


class Activation(Enum):
    """Fused activations of a .tflite file, by their schema number."""

    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3


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


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """TFLite SAME: padding before and after along one axis, the odd one after."""
    reach = (kernel - 1) * dilation + 1
    out = -(-size // stride)
    total = max((out - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2
