"""One call of an ATen operator in an exported program, with what its arguments are by now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.channels_first import ChannelsFirst
from driftc.codegen.tensor import Array

if TYPE_CHECKING:
    from driftc.codegen.frontends.torch.walk import Walk


@dataclass(frozen=True, eq=False)
class Call:
    """What translators are given. `to` is where they build."""

    walk: Walk
    node: Any
    label: str

    @property
    def to(self) -> ChannelsFirst:
        return self.walk.to

    @property
    def kind(self) -> str:
        """'conv2d' of aten.conv2d.default."""
        return kind_of(self.node)

    @property
    def args(self) -> tuple[Any, ...]:
        return tuple(self.node.args)

    def refuse(self, problem: str) -> NoReturn:
        self.walk.builder.refuse(f"'{self.label}': {problem}")

    def argument(self, place: int, name: str, default: Any) -> Any:
        return self.args[place] if len(self.args) > place else self.node.kwargs.get(name, default)

    def value(self, place: int = 0) -> Value:
        """The computed tensor that is the argument there."""
        return self.walk.value(self.args[place])

    def operand(self, argument: Any) -> Value | Array:
        """Computed or constant."""
        found = self.walk.values.get(getattr(argument, "name", ""))
        return found if isinstance(found, Value) else np.asarray(self.constant(argument))

    def array(self, argument: Any) -> Array | None:
        """A constant argument."""
        if argument is None:
            return None
        found = self.walk.values[argument.name] if hasattr(argument, "name") else np.asarray(argument)
        if not isinstance(found, np.ndarray):
            self.refuse(f"'{argument}' must be constant")
        return found

    def constant(self, argument: Any) -> Array:
        found = self.array(argument)
        if found is None:
            self.refuse("an operand is missing")
        return found


def kind_of(node: Any) -> str:
    return str(node.target).removeprefix("aten.").split(".")[0]


def each(value: Any, count: int) -> list[int]:
    """What is said of every axis of a window, or of all at once."""
    values = [int(n) for n in value] if isinstance(value, list | tuple) else [int(value)]
    return values * count if len(values) == 1 else values
