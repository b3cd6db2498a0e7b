"""Shared by ARG_MAX and ARG_MIN: where along an axis the largest or smallest raw int8 value is, as int32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from driftc.codegen.operators.base import Operator, Stored
from driftc.codegen.operators.reduction.axes import int32s, normalised
from driftc.codegen.tensor import Array, Shape, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

INT32 = 2  # in the schema
LARGEST_RANK = 6


@dataclass(frozen=True, eq=False, kw_only=True)
class ArgExtreme(Operator):
    """TFLite `reference/arg_min_max.h`: the first of equal values."""

    template = "arg_extreme"
    ufunc: ClassVar[str]  # argmax or argmin
    sign: ClassVar[str]  # between a new value and the kept one, in C

    axis: int  # not negative
    keep_dims: ClassVar[bool] = False

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        x = node.input(0)
        node.require(1 <= len(x.shape) <= LARGEST_RANK, f"needs 1 to {LARGEST_RANK} axes, not shape {list(x.shape)}")
        axes = normalised(node, int32s(node, 1, "the axis"), len(x.shape))
        node.require(len(axes) == 1, f"needs one axis, not {list(axes)}")
        return cls(**node.common(x), axis=axes[0])

    def stored(self) -> Stored:
        name = f"{self.kind.title().replace('_', '')}Options"
        return Stored((*self.inputs, np.array(self.axis, np.int32)), name, {"OutputType": INT32})

    @property
    def axes(self) -> tuple[int, ...]:
        return (self.axis,)

    @property
    def is_float(self) -> bool:
        return self.inputs[0].dtype == np.float32

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return self.inputs

    def infer(self) -> tuple[Shape, ...]:
        shape = self.inputs[0].shape
        return ((*shape[: self.axis], *shape[self.axis + 1 :]),)

    def check(self) -> None:
        super().check()
        if self.outputs[0].dtype != np.int32:
            self.refuse(f"gives {self.outputs[0].dtype.name}; TFLite Micro gives int32 (output_type=tf.int32)")

    def check_float(self) -> None:
        if self.axis == 0:
            self.refuse("compares along the batch axis, of which driftc has one sample")

    def summary(self) -> str:
        return f"{self.ufunc} of {self.inputs[0].shape[self.axis]} values"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        return (np.asarray(getattr(np, self.ufunc)(inputs[0], axis=self.axis), np.int32),)

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        return self.spec(*inputs)
