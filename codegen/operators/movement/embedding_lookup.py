"""EMBEDDING_LOOKUP: out[i] = table[indices[i]]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.movement.gather import Gather

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class EmbeddingLookup(Gather):
    """GATHER along the first axis, with one axis of indices."""

    codes = ("EMBEDDING_LOOKUP",)
    compared = "TFLite Micro"
    arithmetic = Gather.arithmetic

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.require(len(node.inputs) == 2, f"has {len(node.inputs)} inputs, not 2")
        indices, table, y = node.input(0), node.input(1), node.output()
        node.require(len(indices.shape) == 1, f"indices '{indices.label}' must have one axis")
        node.require(len(table.shape) >= 2, f"table '{table.label}' must have two axes or more")
        node.require(
            y.dtype == np.int8,
            f"gives {y.dtype.name}; driftc compiles int8 tables to int8 outputs (int8 to float32 would dequantise)",
        )
        return cls(**node.common(table, indices))
