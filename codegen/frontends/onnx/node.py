"""One ONNX node, with what its operands are by now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.axes.window import same_around
from driftc.codegen.frontends.builder import Pair
from driftc.codegen.frontends.channels_first import ChannelsFirst
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.frontends.onnx.walk import Walk


@dataclass(frozen=True, eq=False)
class Node:
    """What translators are given. `to` is where they build."""

    walk: Walk
    proto: Any
    label: str

    @property
    def kind(self) -> str:
        """With its domain where that is not ONNX's own."""
        domain = str(self.proto.domain)
        return f"{domain}.{self.proto.op_type}" if domain not in ("", "ai.onnx") else str(self.proto.op_type)

    @property
    def to(self) -> ChannelsFirst:
        return self.walk.to

    @cached_property
    def inputs(self) -> list[str]:
        return list(self.proto.input)

    @property
    def output(self) -> str:
        return str(self.proto.output[0])

    def refuse(self, problem: str) -> NoReturn:
        self.walk.builder.refuse(f"'{self.label}': {problem}")

    def attribute(self, name: str, default: Any) -> Any:
        return attribute(self.proto, name, default)

    def spread(self, name: str, count: int) -> list[int]:
        """Strides or dilations of a window of `count` axes: 1 where the node has none."""
        return [int(n) for n in self.attribute(name, [1] * count)]

    # --- operands ---

    def value(self, place: int) -> Value:
        name = self.inputs[place]
        if name not in self.walk.values:
            self._refuse_input(f"input {place} '{name}' is not computed from an input")
        return self.walk.values[name]

    def operand(self, place: int) -> Value | Array:
        """Computed or constant."""
        name = self.inputs[place]
        return self.walk.constants[name] if name in self.walk.constants else self.value(place)

    def optional(self, place: int) -> Array | None:
        if place >= len(self.inputs) or not self.inputs[place]:
            return None
        if self.inputs[place] not in self.walk.constants:
            self._refuse_input(f"input {place} must be constant")
        return self.walk.constants[self.inputs[place]]

    def constant(self, place: int) -> Array:
        found = self.optional(place)
        if found is None:
            self._refuse_input(f"input {place} is missing")
        return found

    def integers(self, place: int, name: str) -> list[int] | None:
        """A list that old files store as an attribute, new ones as an input."""
        stored = self.attribute(name, None)
        if stored is not None:
            return [int(n) for n in stored]
        found = self.optional(place)
        return None if found is None else [int(n) for n in found.reshape(-1)]

    def around(self, x: Value, *window: Sequence[int]) -> list[Pair]:
        """What is padded before and after each axis of a window; `window` is kernel, stride and dilation."""
        scheme = self.attribute("auto_pad", b"NOTSET").decode()
        if scheme in ("SAME_UPPER", "SAME_LOWER"):
            return same_around(scheme, x.shape[2:], *window)
        pads = [int(n) for n in self.attribute("pads", [0] * (2 * len(window[0])))]
        half = len(pads) // 2
        return list(zip(pads[:half], pads[half:], strict=True))

    def _refuse_input(self, problem: str) -> NoReturn:
        self.walk.builder.refuse(f"'{self.proto.name}' ({self.kind}): {problem}")


def attribute(proto: Any, name: str, default: Any) -> Any:
    from onnx.helper import get_attribute_value

    return next((get_attribute_value(a) for a in proto.attribute if a.name == name), default)


def label_of(proto: Any) -> str:
    """The path that exporters make of modules, without the operator at its end: '/conv1/Conv' gives 'conv1'."""
    path = str(proto.name or proto.output[0]).strip("/")
    parent, _, last = path.rpartition("/")
    return parent if parent and last == proto.op_type else path
