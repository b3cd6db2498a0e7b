"""GATHER: out[b, o, i, n] = table[b, o, indices[b, i], n]."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Self

import numpy as np

from driftc.codegen.operators.base import Box, Operator, Stored, Tiling
from driftc.codegen.operators.quantised import require_same
from driftc.codegen.operators.reduction.axes import normalised
from driftc.codegen.tensor import Array, Shape, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Gather(Operator):
    """Slices of the table (inputs[0], often constant) by int32 indices (inputs[1]) along `axis`."""

    codes = ("GATHER",)
    template = "gather"
    tiling = Tiling.CHANNELS
    arithmetic = (
        "Bytes are copied; the table and the output are quantised alike. An index below 0 counts as 0, one beyond the "
        "table as its last; TFLite Micro stops with an error there."
    )

    axis: int = 0
    batch_dims: int = 0  # leading axes that table and indices share

    @classmethod
    def from_tflite(cls, node: Node) -> Self:
        node.output()
        table, indices, options = node.input(0), node.input(1), node.options("GatherOptions")
        axis = normalised(node, [int(options.Axis())], len(table.shape))[0]
        batch_dims = int(options.BatchDims())
        if batch_dims < 0:
            batch_dims += len(indices.shape)
        node.require(
            0 <= batch_dims <= min(axis, len(indices.shape)) and table.shape[:batch_dims] == indices.shape[:batch_dims],
            f"BatchDims {int(options.BatchDims())} does not fit shapes {list(table.shape)} and {list(indices.shape)}",
        )
        return cls(**node.common(table, indices), axis=axis, batch_dims=batch_dims)

    def stored(self) -> Stored:
        return Stored(self.inputs, "GatherOptions", {"Axis": self.axis, "BatchDims": self.batch_dims})

    @property
    def table(self) -> Tensor:
        return self.inputs[0]

    @property
    def indices(self) -> Tensor:
        return self.inputs[1]

    @property
    def extents(self) -> tuple[int, int, int, int, int]:
        """How many batches, outer slices, table entries, indices (of a batch) and elements of an entry."""
        shape, where = self.table.shape, self.indices.shape
        return (
            prod(shape[: self.batch_dims]),
            prod(shape[self.batch_dims : self.axis]),
            shape[self.axis],
            prod(where[self.batch_dims :]),
            prod(shape[self.axis + 1 :]),
        )

    @property
    def entries(self) -> int:
        """Below which every index is in the table."""
        return self.table.shape[self.axis]

    @property
    def by_channel(self) -> bool:
        """An entry is a row of channels, so that any of them can be copied alone."""
        return self.axis == len(self.table.shape) - 2 and self.batch_dims == 0

    def infer(self) -> tuple[Shape, ...]:
        shape = self.table.shape
        return ((*shape[: self.axis], *self.indices.shape[self.batch_dims :], *shape[self.axis + 1 :]),)

    def check(self) -> None:
        (shape,) = self.infer()
        out = self.outputs[0]
        if out.shape != shape:
            self.refuse(f"gives shape {list(shape)}, but the file says {list(out.shape)}")
        for tensor in (self.table, out):
            if tensor.dtype != np.int8:
                self.refuse(f"tensor '{tensor.label}' is {tensor.dtype.name}; driftc compiles int8 here")
        if self.indices.dtype != np.int32:
            self.refuse(f"indices '{self.indices.label}' must be int32, not {self.indices.dtype.name}")
        require_same(self, self.table, out)

    def check_float(self) -> None:
        if self.indices.dtype != np.int32 or self.table.data is None or self.axis or self.batch_dims:
            self.refuse("looks up other than rows of a constant table by int32 indices")

    def float_spec(self, *inputs: Array) -> tuple[Array, ...]:
        """Of a constant table; the indices hold n samples."""
        return (np.asarray(inputs[0][np.clip(inputs[1], 0, len(inputs[0]) - 1)], np.float32),)

    def summary(self) -> str:
        return f"look-up in a table of {self.extents[2]}"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        batches, outer, entries, count, inner = self.extents
        table = np.asarray(inputs[0]).reshape(batches, outer, entries, inner)
        where = np.clip(np.asarray(inputs[1], np.int64).reshape(batches, count), 0, entries - 1)
        found = np.stack([part.take(at, axis=1) for part, at in zip(table, where, strict=True)])
        return (found.reshape(self.outputs[0].shape),)

    def needs(self, box: Box, reduce: range | None = None) -> tuple[Box, ...]:
        table, indices = (Box(0, tensor.hwc[0], 0, tensor.hwc[2]) for tensor in self.inputs)
        return (replace(table, channel0=box.channel0, channel1=box.channel1) if self.by_channel else table, indices)

    def part(self, box: Box, reduce: range | None = None) -> Self:
        height, _, channels = self.outputs[0].hwc
        if reduce is None and box == Box(0, height, 0, channels):
            return self
        if reduce is not None or not self.by_channel or (box.row0, box.row1) != (0, height):
            raise ValueError(f"{self.name}: only channels of whole entries are copied in parts")
        shape = (*self.outputs[0].shape[:-1], box.channel1 - box.channel0)
        table = replace(self.table, shape=(*self.table.shape[:-1], box.channel1 - box.channel0))
        return replace(self, inputs=(table, self.indices), outputs=(replace(self.outputs[0], shape=shape),))
