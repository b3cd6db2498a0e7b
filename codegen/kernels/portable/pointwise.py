"""1x1 convolution without padding: it reads one pixel, which needs no window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driftc.codegen.kernels.portable.default import Default
from driftc.codegen.operators.convolution.conv_2d import Conv2D

if TYPE_CHECKING:
    from driftc.codegen.plan.call import Call


class Pointwise(Default):
    """As the default one, but for the template."""

    name = "portable/pointwise"

    def serves(self, call: Call) -> bool:
        op = call.computed
        return isinstance(op, Conv2D) and op.kernel == (1, 1) and op.groups == 1 and not any(op.padding)

    def template(self, call: Call) -> str:
        return "conv_2d/pointwise.c.j2"
