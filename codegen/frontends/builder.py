"""What float frontends build a Graph with: one method an operator, NHWC."""

from __future__ import annotations

from driftc.codegen.frontends.blocks.activation import Activation
from driftc.codegen.frontends.blocks.convolution import Convolution
from driftc.codegen.frontends.blocks.core import Around, Padding, Pair
from driftc.codegen.frontends.blocks.pooling import Pooling
from driftc.codegen.operators.base import Operator
from driftc.codegen.tensor import Tensor

__all__ = ["Around", "FloatBuilder", "Padding", "Pair"]


class FloatBuilder(Activation, Convolution, Pooling):
    """All blocks. Axes are NHWC, the batch 1."""

    def binary(self, label: str, kind: type[Operator], a: Tensor, b: Tensor) -> Tensor:
        return self.add(kind, label, a, b)
