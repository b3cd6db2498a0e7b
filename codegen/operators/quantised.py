"""Shared by operators on int8 values: what their quantisation must be, and the clamp of a fused activation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from driftc.codegen.arithmetic import INT32_MAX, Multiplier
from driftc.codegen.operators.attributes import Activation, activation_range
from driftc.codegen.operators.base import Operator
from driftc.codegen.tensor import Tensor

LARGEST_REAL = float(np.finfo(np.float32).max)


def require_quantised(operator: Operator, *tensors: Tensor) -> None:
    """Refuse a tensor without exactly one positive scale and one zero point that its type holds."""
    for tensor in tensors:
        found = tensor.quantization
        if found is None:
            operator.refuse(f"tensor '{tensor.label}' has no quantisation")
        if tensor.dtype.kind not in "iu":
            operator.refuse(f"tensor '{tensor.label}' is {tensor.dtype.name}, but quantised")
        if found.scale.size != 1 or found.zero_point.size != 1:
            operator.refuse(f"tensor '{tensor.label}' must have one scale for all channels, not {found.scale.size}")
        if not tensor.scale > 0:
            operator.refuse(f"tensor '{tensor.label}': scale {tensor.scale:g} is not positive")
        if not tensor.limits[0] <= tensor.zero_point <= tensor.limits[1]:
            operator.refuse(f"tensor '{tensor.label}': zero point {tensor.zero_point} is outside {tensor.dtype.name}")


def require_finite(operator: Operator, tensor: Tensor) -> None:
    """Refuse a scale by which int8 values leave float32: the border could give infinities, and take none back."""
    if tensor.scale * 512 > LARGEST_REAL:
        operator.refuse(f"scale {tensor.scale:g} of '{tensor.label}' takes int8 values beyond float32")


def require_same(operator: Operator, a: Tensor, b: Tensor) -> None:
    """Refuse tensors in which the same byte means different real values."""
    require_quantised(operator, a, b)
    if (a.scale, a.zero_point) != (b.scale, b.zero_point):
        operator.refuse(
            f"'{a.label}' (scale {a.scale:g}, zero point {a.zero_point}) and '{b.label}' (scale {b.scale:g}, "
            f"zero point {b.zero_point}) must be quantised alike; put a QUANTIZE between them"
        )


def require_bool(operator: Operator, *tensors: Tensor) -> None:
    """Refuse a tensor that does not hold truth values."""
    for tensor in tensors:
        if tensor.dtype != np.bool_:
            operator.refuse(f"tensor '{tensor.label}' is {tensor.dtype.name}; driftc computes it of bool")


def requantiser(operator: Operator, real: float, largest: int) -> Multiplier:
    """`real` as Q0.31 and shift, for integers up to `largest`. Refuses what would overflow int32 on the way."""
    try:
        multiplier = Multiplier.of(real)
    except ValueError as problem:
        operator.refuse(f"requantisation: {problem}")
    require_room(operator, multiplier, largest)
    return multiplier


def require_room(operator: Operator, multiplier: Multiplier, largest: int) -> None:
    """Refuse when an integer up to `largest`, shifted left and with a zero point added, can leave int32."""
    left = max(int(multiplier.shift.max()), 0)
    if largest << left > INT32_MAX - 256:
        operator.refuse("requantisation can overflow int32; the scales are out of any sensible range")


def float32(compute: Callable[[], np.float32]) -> float:
    """What float32 arithmetic gives, infinities and zeros included, without NumPy's warnings."""
    with np.errstate(over="ignore", under="ignore"):
        return float(compute())


@dataclass(frozen=True, eq=False, kw_only=True)
class Clamped(Operator):
    """An operator whose result is clamped to the range that a fused activation leaves."""

    activation: Activation = Activation.NONE
    bounds: tuple[int, int] | None = None  # int8 clamp, where a pass fused a clamp; else from `activation`

    @cached_property
    def range(self) -> tuple[int, int]:
        """The smallest and largest output value."""
        if self.bounds is not None:
            return self.bounds
        return activation_range(self.activation, self.outputs[0])

    def check(self) -> None:
        super().check()
        require_quantised(self, *self.inputs, *self.outputs)
        _ = self.range
