"""Axes as a model file gives them: possibly negative, possibly absurd."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


def normalised(node: Node, axes: Iterable[int], rank: int) -> tuple[int, ...]:
    """Axes counted from the front. Refuses those that a tensor of `rank` axes does not have."""
    found: list[int] = []
    for axis in axes:
        node.require(-rank <= axis < rank, f"axis {axis} does not exist in a tensor of {rank} axes")
        found.append(axis % rank)
    return tuple(found)


def int32s(node: Node, position: int, what: str) -> tuple[int, ...]:
    """A constant int32 input, flattened; TFLite Micro reads no other type here."""
    values = node.integers(position)
    node.require(node.constant(position).dtype == np.int32, f"{what} must be int32")
    return values
