"""One operation of a frozen function, with what its inputs are by now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from driftc.codegen.frontends.builder import FloatBuilder, Padding, Pair
from driftc.codegen.tensor import Array, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.saved_model.walk import Walk

# Parts of an operation's path that functions calling functions put before the layer's own.
CALLS = ("StatefulPartitionedCall", "PartitionedCall")


@dataclass(frozen=True, eq=False)
class Operation:
    """What translators are given. `to` is where they build."""

    walk: Walk
    node: Any
    label: str

    @property
    def to(self) -> FloatBuilder:
        return self.walk.builder

    @property
    def kind(self) -> str:
        return str(self.node.type)

    @property
    def inputs(self) -> list[str]:
        return [tensor.name for tensor in self.node.inputs]

    def refuse(self, problem: str) -> NoReturn:
        self.to.refuse(f"'{self.label}': {problem}")

    def computed(self) -> Tensor | None:
        """The first input that is not constant."""
        return next((self.walk.values[name] for name in self.inputs if name in self.walk.values), None)

    def value(self, place: int) -> Tensor:
        name = self.inputs[place]
        if name not in self.walk.values:
            self._refuse_input(f"input {place} '{name}' is not computed from an input")
        return self.walk.values[name]

    def constant(self, place: int) -> Array:
        found = self.walk.fetch(self.inputs[place])
        if found is None:
            self._refuse_input(f"input {place} must be constant")
        return found

    def operand(self, place: int) -> Tensor:
        """Computed, with truth values as 1 and 0, or constant."""
        if self.inputs[place] in self.walk.values:
            return self.to.as_real(f"{self.label}/{place}", self.value(place))
        return self.to.constant(f"{self.label}/constant", np.atleast_1d(self.constant(place)))

    def pair(self, name: str) -> Pair:
        values = self.node.get_attr(name)
        return int(values[1]), int(values[2])

    def padding(self) -> Padding:
        layout = self.node.get_attr("data_format")
        if layout not in (b"NHWC", "NHWC"):
            self._refuse_input(f"data format {layout!r}; driftc reads NHWC")
        scheme = self.node.get_attr("padding")
        scheme = scheme.decode() if isinstance(scheme, bytes) else scheme
        if scheme == "EXPLICIT":
            pads = [int(n) for n in self.node.get_attr("explicit_paddings")]
            return pads[2], pads[3], pads[4], pads[5]
        return "same" if scheme == "SAME" else "valid"

    def _refuse_input(self, problem: str) -> NoReturn:
        self.to.refuse(f"'{self.node.name}': {problem}")


def label_of(node: Any) -> str:
    """'StatefulPartitionedCall/net/conv2d/Conv2D' gives 'net/conv2d'."""
    parts = [part for part in node.name.split("/") if not part.startswith(CALLS)]
    for _ in range(2 if parts[-2:-1] == ["batchnorm"] else 1):
        if len(parts) > 1:
            parts.pop()
    return "/".join(parts) or str(node.name)
