"""ASSIGN_VARIABLE: the value of a variable from here on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from driftc.codegen.operators.state.copy import Copy

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class AssignVariable(Copy):
    """Its output is what the state's tensor becomes."""

    codes = ("ASSIGN_VARIABLE",)
    in_files = True
    compared = "TFLite Micro"
    arithmetic = "Bytes are copied; nothing is where the value can be computed in the variable's own place."

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        return cls(**node.common(node.input(0)))
