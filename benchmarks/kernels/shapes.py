"""The layers of the sweep: families of shapes, each layer of an input of its own, side by side in one model."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))  # the builder of the tests
from models import Activation, ModelBuilder, Tensor

CHANNELS = (1, 2, 3, 4, 5, 8, 13, 16, 17, 32, 33, 64, 127, 256)
SOME_CHANNELS = (1, 3, 4, 8, 17, 32, 64)
KERNELS = range(1, 8)
STRIDES = (1, 2)
MAPS = ((1, 1), (1, 5), (2, 2), (3, 3), (5, 7), (8, 8), (25, 5))
LENGTHS = (1, 3, 8, 16, 33, 64, 127, 256, 640)
WEIGHTS = 16_000  # bytes of a layer, at most: out channels are left out
INPUT = 4_000  # bytes of a layer's input, about


@dataclass(frozen=True)
class Shape:
    """One layer: `input` is height, width, channels; `out` channels."""

    family: str
    input: tuple[int, int, int]
    out: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    groups: int = 1

    def __str__(self) -> str:
        height, width, depth = self.input
        if self.family == "dense":
            return f"dense {depth} > {self.out}"
        window = f" {self.kernel[0]}x{self.kernel[1]}/{self.stride}" if self.family != "add" else ""
        several = self.family.startswith("conv") or self.out != depth
        channels = f"{depth} > {self.out}" if several else f"{depth}"
        if self.groups > 1:
            channels += f" in {self.groups}"
        return f"{self.family}{window} {height}x{width}, {channels} ch"

    @property
    def bytes(self) -> int:
        return prod(self.input) + prod(self.kernel) * self.input[2] * self.out

    def build(self, builder: ModelBuilder, random: np.random.Generator, name: str) -> Tensor:
        """The layer's output, called `name`; weights are spread as trained ones are."""
        depth = self.input[2]

        def operand(letter: str) -> Tensor:
            return builder.input(f"{name}_{letter}", (1, *self.input), scale=0.05, zero_point=-4)

        def weights(*shape: int) -> np.ndarray:
            return np.clip(np.rint(random.normal(0, 40, shape)), -127, 127).astype(np.int8)

        def scales(terms: int) -> dict[str, object]:
            channels = (0.01 * np.exp2(random.uniform(-2, 1, self.out))).astype(np.float32)
            bias = random.integers(-3000, 3001, self.out, np.int32)
            about = {"out_scale": 0.03 * terms**0.5, "out_zero_point": -128, "activation": Activation.RELU}
            return {"bias": bias, "weight_scale": channels, **about, "name": name}

        match self.family:
            case "dense":
                x = builder.input(f"{name}_a", (1, depth), scale=0.05, zero_point=-4)
                return builder.fully_connected(x, weights(self.out, depth), **scales(depth))
            case "add":
                return builder.add(operand("a"), operand("b"), out_scale=0.08, out_zero_point=3, name=name)
            case "average" | "max":
                pool = builder.average_pool_2d if self.family == "average" else builder.max_pool_2d
                return pool(operand("a"), self.kernel, stride=self.stride, padding="SAME", name=name)
            case "depthwise" | "depthwise-1d" | "depthwise-several":
                filters = weights(1, *self.kernel, self.out)
                return builder.depthwise_conv_2d(
                    operand("a"),
                    filters,
                    stride=(self.stride, min(self.stride, self.input[1])),
                    **scales(filters[..., 0].size),
                )
            case _:
                filters = weights(self.out, *self.kernel, depth // self.groups)
                return builder.conv_2d(
                    operand("a"),
                    filters,
                    stride=(self.stride, min(self.stride, self.input[1])),
                    **scales(filters[0].size),
                )


def model(shapes: Sequence[Shape], names: Sequence[str]) -> bytes:
    """A .tflite of these layers, each with inputs and an output of its own."""
    builder, random = ModelBuilder(), np.random.default_rng(0)
    builder.output(*(shape.build(builder, random, name) for shape, name in zip(shapes, names, strict=True)))
    return builder.build()


def side(channels: int, least: int) -> int:
    """Of a square map of about INPUT bytes."""
    return max(least, min(16, int((INPUT / channels) ** 0.5)))


def outputs(kernel: int, channels: int) -> int:
    return max(1, min(channels, WEIGHTS // (kernel * channels)))


def convolutions() -> Iterator[Shape]:
    for depth, kernel, stride in product(CHANNELS, KERNELS, STRIDES):
        size = side(depth, kernel)
        yield Shape("conv", (size, size, depth), outputs(kernel**2, depth), (kernel, kernel), stride)
    for size, depth, kernel in product(MAPS, SOME_CHANNELS, (1, 3)):
        yield Shape("conv", (*size, depth), outputs(kernel**2, depth), (kernel, kernel))


def depthwise() -> Iterator[Shape]:
    for depth, kernel, stride in product(CHANNELS[1:], KERNELS, STRIDES):  # of one channel it is a convolution
        size = side(depth, kernel)
        yield Shape("depthwise", (size, size, depth), depth, (kernel, kernel), stride)
    for size, depth in product(MAPS, SOME_CHANNELS[1:]):
        yield Shape("depthwise", (*size, depth), depth, (3, 3))


def along_time(family: str) -> Iterator[Shape]:
    for depth, kernel, stride in product(SOME_CHANNELS, (2, 3, 5, 7), STRIDES):
        out = outputs(kernel, depth) if family == "conv-1d" else depth
        if out * depth > 1:
            yield Shape(family, (20, 1, depth), out, (kernel, 1), stride)


def grouped() -> Iterator[Shape]:
    for groups, depth, out, kernel, stride in product((2, 4, 8), (1, 4, 6, 16), (4, 8, 16), (1, 3, 5), STRIDES):
        if groups * depth <= 64 and kernel**2 * depth * out * groups <= WEIGHTS:
            yield Shape("conv-groups", (9, 8, groups * depth), groups * out, (kernel, kernel), stride, groups)


def several() -> Iterator[Shape]:
    """Filters a channel."""
    for depth, count, kernel, stride in product((1, 3, 5, 8, 16), (2, 3, 4, 8), (1, 3, 5), STRIDES):
        yield Shape("depthwise-several", (9, 8, depth), depth * count, (kernel, kernel), stride)


def pools(family: str) -> Iterator[Shape]:
    for depth, kernel, stride in product(SOME_CHANNELS, (2, 3, 5, 7), STRIDES):
        size = side(depth, kernel)
        yield Shape(family, (size, size, depth), depth, (kernel, kernel), stride)


FAMILIES = {
    "conv": tuple(convolutions()),
    "conv-1d": tuple(along_time("conv-1d")),
    "depthwise": tuple(depthwise()),
    "depthwise-1d": tuple(along_time("depthwise-1d")),
    "conv-groups": tuple(grouped()),
    "depthwise-several": tuple(several()),
    "dense": tuple(Shape("dense", (1, 1, depth), out) for depth, out in product(LENGTHS, (1, 3, 4, 10, 16, 64))),
    "add": tuple(Shape("add", (*size, depth), depth) for size, depth in product(MAPS, SOME_CHANNELS)),
    "average": tuple(pools("average")),
    "max": tuple(pools("max")),
}
