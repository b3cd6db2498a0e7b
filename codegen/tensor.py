"""A value in a Graph: its shape, its type, and which reals its integers stand for."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.errors import ModelError

Shape = tuple[int, ...]
Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Quantization:
    """real = scale * (q - zero_point); one pair for the tensor, or one per index along `axis`.

    `scale` is float32 [n] and `zero_point` int64 [n], as a .tflite stores them; n is 1 when `axis` is None.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int | None = None

    @classmethod
    def per_tensor(cls, scale: float, zero_point: int) -> Quantization:
        return cls(np.array([scale], np.float32), np.array([zero_point], np.int64))

    def same_as(self, other: Quantization | None) -> bool:
        """True where the same byte means the same real value in both."""
        return (
            other is not None
            and self.axis == other.axis
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value in the Graph. `name` is unique in its Graph; shapes keep the model's axes, batch first."""

    name: str
    shape: Shape
    dtype: np.dtype[Any]
    quantization: Quantization | None = None
    data: Array | None = None  # a constant's value
    label: str = ""  # the name in the model file: for people only, never for C
    index: int | None = None  # the tensor's index in the model file, where it has one
    int4: bool = False  # a constant of -8..7 that flash holds two a byte, the low half first
    start: int | None = None  # of a view of a part of another tensor's bytes: which of them is its first

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest and largest integer that an element can be."""
        found = np.iinfo(self.dtype)
        return int(found.min), int(found.max)

    @property
    def stands_for_reals(self) -> bool:
        """A byte an element, int8 or uint8, with a scale and zero point."""
        return self.dtype in (np.int8, np.uint8) and self.quantization is not None

    @property
    def scale(self) -> float:
        """The per-tensor scale (a float32 value)."""
        return float(self._per_tensor().scale[0])

    @property
    def zero_point(self) -> int:
        return int(self._per_tensor().zero_point[0])

    def _per_tensor(self) -> Quantization:
        if self.quantization is None or self.quantization.scale.size != 1:
            raise ModelError(f"tensor '{self.label or self.name}': needs one scale and zero point for the whole tensor")
        return self.quantization

    @property
    def hwc(self) -> tuple[int, int, int]:
        """The shape as rows, pixels and channels: leading axes make rows, missing ones are 1."""
        if len(self.shape) <= 1:
            return (1, 1, self.size)
        return (prod(self.shape[:-2]), self.shape[-2], self.shape[-1])
