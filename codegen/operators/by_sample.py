"""BY_SAMPLE: an operator that takes one image, on each sample of a batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from driftc.codegen.operators.base import Operator, single
from driftc.codegen.tensor import Array, Shape, Tensor

if TYPE_CHECKING:
    from driftc.codegen.frontends.tflite.node import Node

LARGEST = 256  # samples of a batch: each is a call in the generated C


@dataclass(frozen=True, eq=False, kw_only=True)
class BySample(Operator):
    """The Plan calls `sample` once for each; the first axis of inputs and outputs counts them."""

    codes = ("BY_SAMPLE",)
    in_files = False

    one: Operator  # as the file has it, but for the batch

    @classmethod
    def of(cls, node: Node, kind: type[Operator]) -> BySample:
        """`kind`, which reads the node's first input as an image, for every sample of it."""
        x = node.input(0)
        if x.dtype == np.float32:
            node.refuse(
                f"has a batch of {x.shape[0]}; a float model is quantised with a batch of 1: export it with that"
            )
        node.require(x.shape[0] <= LARGEST, f"has a batch of {x.shape[0]}; driftc compiles up to {LARGEST}")
        alike = all(tensor.shape[:1] == x.shape[:1] or node.open for tensor in node.outputs)
        node.require(alike, f"has {x.shape[0]} samples, but the file says {list(node.outputs[0].shape)}")
        outputs = tuple(single(tensor) for tensor in node.outputs)
        one = kind.from_tflite(replace(node, inputs=(single(x), *node.inputs[1:]), outputs=outputs))
        return cls(**node.common(x), one=one)

    @cached_property
    def sample(self) -> Operator:
        """What computes one sample from one sample."""
        inputs, outputs = (tuple(map(single, tensors)) for tensors in (self.inputs, self.outputs))
        return replace(self.one, inputs=inputs, outputs=outputs, litert=self.litert)

    @property
    def samples(self) -> int:
        return self.inputs[0].shape[0]

    @property
    def kind(self) -> str:
        return self.one.kind

    @property
    def departures(self) -> str:  # type: ignore[override]
        return self.one.departures

    @property
    def litert_undefined(self) -> str:
        return self.one.litert_undefined

    @property
    def int8_tensors(self) -> tuple[Tensor, ...]:
        return ()  # which the operator of one sample checks

    @property
    def macs(self) -> int:
        return self.samples * self.sample.macs

    def infer(self) -> tuple[Shape, ...]:
        return tuple((self.samples, *shape[1:]) for shape in self.one.infer())

    def check(self) -> None:
        super().check()
        self.sample.check()

    def summary(self) -> str:
        return f"{self.one.summary()}, {self.samples} samples"

    def spec(self, *inputs: Array) -> tuple[Array, ...]:
        found = [self.sample.spec(*(x[n : n + 1] for x in inputs)) for n in range(self.samples)]
        return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))
