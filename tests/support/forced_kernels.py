"""Layers of many shapes side by side, each computed by a kernel of choice and compared with the specification.

Every layer has a region of its own, whose first and last bytes it uses, at odd offsets: what reads or writes beyond is
seen by the sanitizer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from models import Activation, ModelBuilder, Tensor
from numpy.typing import NDArray

from driftc.codegen.compiled import Compiled
from driftc.codegen.kernels import kernels
from driftc.codegen.kernels.kernel import Kernel
from driftc.codegen.lower import Lowered, lower
from driftc.codegen.operators.base import Operator
from driftc.codegen.options import Options
from driftc.codegen.plan.buffer import Buffer
from driftc.codegen.plan.call import Call
from driftc.codegen.plan.check import check
from driftc.codegen.plan.place import aligned
from driftc.codegen.plan.plan import Plan, Region
from driftc.codegen.plan.select import scratch_of, served


@dataclass(frozen=True)
class Layers:
    """A model of many layers side by side, each of its own input."""

    random: np.random.Generator
    builder: ModelBuilder
    odd: bool = False  # now and then a layer has a channel that the short form does not fit

    def input(self, *shape: int) -> Tensor:
        zero = int(self.random.choice([-128, 127, 0, int(self.random.integers(-128, 128))]))
        return self.builder.input(f"x{len(self.builder.tensors)}", (1, *shape), scale=0.05, zero_point=zero)

    def weights(self, *shape: int) -> NDArray[np.int8]:
        made = self.random.integers(self.random.choice([-127, -128]), 128, shape, np.int8)
        if self.random.random() < 0.3:
            made.reshape(-1)[:: int(self.random.integers(3, 9))] = self.random.choice([-127, 127])
        return made

    def scales(self, channels: int, terms: int) -> dict[str, object]:
        """Sums that saturate, fit, or leave a few values; some channels with idle weights."""
        spread = np.exp2(self.random.uniform(-3, 1, channels)) if self.random.random() < 0.7 else np.ones(1)
        reach = 0.05 * 0.01 * 70 * 70 * terms**0.5 / 127
        out_scale = reach * float(np.exp2(self.random.uniform(-2, 2)))
        if self.odd and spread.size > 1 and self.random.random() < 0.4:
            odd = self.random.choice([0.7, 3.0, 2.0**-27])  # of the real multiplier: shifts of 0, -2 and 26
            spread[self.random.integers(channels)] = odd * out_scale / (0.05 * 0.01)
        kinds = [Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1]
        return {
            "weight_scale": (0.01 * spread).astype(np.float32),
            "out_scale": out_scale,
            "out_zero_point": int(self.random.choice([-128, 127, int(self.random.integers(-128, 128))])),
            "activation": kinds[int(self.random.integers(4))],
        }

    def bias(self, channels: int) -> NDArray[np.int32] | None:
        size = int(self.random.choice([0, 50, 5000, 2**24]))
        made = self.random.integers(-size, size + 1, channels, np.int32)
        if self.odd and self.random.random() < 0.2:
            made[self.random.integers(channels)] = self.random.choice([-1, 1]) * (2**30 + 5)
        return made if made.any() else None

    def convolution(
        self, shape: tuple[int, int, int], out: int, kernel: tuple[int, int], groups: int = 1, **window: object
    ) -> None:
        x, depth = self.input(*shape), shape[2] // groups
        terms = kernel[0] * kernel[1] * depth
        weights = self.weights(out, *kernel, depth)
        y = self.builder.conv_2d(x, weights, self.bias(out), **self.scales(out, terms), **window)  # type: ignore[arg-type]
        self.builder.output(y)

    def depthwise(self, shape: tuple[int, int, int], kernel: tuple[int, int], m: int = 1, **window: object) -> None:
        x, out = self.input(*shape), shape[2] * m
        weights = self.weights(1, *kernel, out)
        scales = self.scales(out, kernel[0] * kernel[1])
        y = self.builder.depthwise_conv_2d(x, weights, self.bias(out), **scales, **window)  # type: ignore[arg-type]
        self.builder.output(y)

    def dense(self, rows: int, length: int, out: int) -> None:
        x = self.builder.input(f"x{len(self.builder.tensors)}", (rows, length), scale=0.05, zero_point=-7)
        scales = self.scales(out, length)
        y = self.builder.fully_connected(x, self.weights(out, length), self.bias(out), **scales)  # type: ignore[arg-type]
        self.builder.output(y)

    def heavy(self, length: int, out: int) -> None:
        """A dense layer with a channel whose weights are large, each of them."""
        x = self.builder.input(f"x{len(self.builder.tensors)}", (1, length), scale=0.05, zero_point=3)
        weights = self.weights(out, length)
        weights[self.random.integers(out)] = np.int8(127)
        self.builder.output(self.builder.fully_connected(x, weights, self.bias(out), **self.scales(out, length)))  # type: ignore[arg-type]

    def pair(self, code: str, shape: tuple[int, int, int]) -> None:
        scales = np.exp2(self.random.uniform(-7, -2, 2))
        a, b = (
            self.builder.input(f"x{len(self.builder.tensors) + n}", (1, *shape), scale=float(scale), zero_point=zero)
            for n, (scale, zero) in enumerate(zip(scales, (int(self.random.integers(-128, 128)), -128), strict=True))
        )
        about = {"out_zero_point": int(self.random.integers(-128, 128)), "activation": Activation.RELU}
        out = float(scales.max() * np.exp2(self.random.uniform(-1, 2)) if code != "mul" else scales.prod() * 90)
        self.builder.output(getattr(self.builder, code)(a, b, out_scale=out, **about))

    def pool(self, code: str, shape: tuple[int, int, int], kernel: tuple[int, int], stride: int) -> None:
        padding = str(self.random.choice(["SAME", "VALID"]))
        activation = self.random.choice([Activation.NONE, Activation.RELU6])
        about = {"stride": stride, "padding": padding, "activation": activation}
        self.builder.output(getattr(self.builder, code)(self.input(*shape), kernel, **about))

    def every(self) -> None:
        """Shapes for each kernel, odd ones among them."""
        random = self.random

        def some(*choices: int) -> int:
            return int(random.choice(choices))

        for _ in range(2):
            self.convolution((some(1, 3, 4), some(1, 2, 5), some(1, 3, 4, 8, 9, 16)), some(1, 3, 4, 7, 12), (1, 1))
            self.convolution((5, some(4, 5), some(4, 6, 13)), some(4, 5, 8), (1, 1), stride=some(1, 2))
            kernel = (some(1, 2, 3, 4), some(1, 3, 5))
            self.convolution((some(5, 6, 9), some(5, 7, 8), some(1, 2, 3, 4, 5, 8)), some(3, 4, 8), kernel)
            self.convolution((7, 8, some(3, 4)), some(2, 8), (3, 3), stride=some(1, 2), dilation=some(1, 2))
            self.convolution((9, some(1, 2), some(1, 3, 4)), 4, (5, 1), padding=str(random.choice(["SAME", "VALID"])))
            groups = some(2, 3)
            self.convolution((6, some(3, 5), groups * some(1, 2, 4, 5)), groups * 4, (3, some(1, 2)), groups, stride=2)
            self.convolution((5, some(4, 5), groups * some(1, 3, 6)), groups * 8, (some(1, 3), 3), groups)
            self.dense(1, some(1, 7, 12, 33), some(1, 3, 8, 13))
            self.dense(1, some(8, 16, 40), some(4, 6))
            self.heavy(some(530, 608), some(4, 9))
            self.dense(some(2, 3, 5), some(5, 8, 11), some(2, 4, 9))
            self.depthwise((some(3, 4, 9), some(1, 2, 3, 4, 5, 8, 13), some(1, 2, 5)), (3, 3), some(1, 1, 2))
            self.depthwise((24, 19, 2), (3, 3), padding=str(random.choice(["SAME", "VALID"])))
            self.depthwise((6, some(5, 6), some(3, 4, 6)), (some(2, 3, 5), some(1, 3)), stride=some(1, 2))
            self.depthwise((9, some(1, 9), some(4, 5)), (some(3, 7), 1), dilation=some(1, 2), padding="SAME")
            self.depthwise(
                (5, some(4, 6), some(2, 3, 5)), (some(1, 2, 3, 4), some(2, 5)), some(2, 3, 4, 8), stride=some(1, 2)
            )
            self.pool("average_pool_2d", (5, some(5, 6), some(4, 6, 9)), (some(2, 5), some(3, 5)), some(1, 2))
            self.pool("max_pool_2d", (5, some(5, 6), some(4, 6, 9)), (some(2, 3), some(1, 3)), some(1, 2))
            x = self.input(some(1, 5, 40), some(3, 9), some(4, 6, 13))
            out = {"out_scale": 0.05 * float(np.exp2(random.uniform(-3, 1))), "out_zero_point": some(-128, 3)}
            self.builder.output(self.builder.mean(x, (1, 2), **out))  # type: ignore[arg-type]
            for code in ("add", "sub", "mul"):
                self.pair(code, (some(1, 3), some(1, 5), some(1, 3, 4)))

    def wide(self) -> None:
        """Runs of bytes and numbers of channels that fill vectors of 16, or do not; any number of taps."""
        random = self.random

        def some(*choices: int) -> int:
            return int(random.choice(choices))

        for _ in range(2):
            self.convolution((some(1, 3), some(1, 4, 5), some(15, 16, 17, 32)), some(5, 16, 18), (1, 1))
            self.convolution((5, some(4, 7), some(16, 48)), 7, (1, 1), stride=2)
            kernel = (some(1, 2, 3), some(2, 3, 5))
            for depth in (16, some(3, 7, 33)):
                self.convolution((5, some(6, 7), depth), some(4, 9), kernel, stride=some(1, 2))
            self.convolution((6, 5, some(8, 16)), 4, (2, 2), dilation=(2, 1))
            self.dense(1, some(16, 64, 70), some(2, 20))
            self.dense(some(2, 5), some(16, 33), some(4, 18))
            for channels in (some(16, 32), some(15, 17, 30, 50)):
                self.depthwise((some(3, 6), some(1, 4, 7), channels), (3, 3), stride=some(1, 2))
                self.depthwise((5, some(4, 5), channels), (some(1, 2, 4), some(1, 2, 4)), padding="VALID")
                self.depthwise((9, some(1, 5), channels), (5, some(1, 4, 5)), dilation=some(1, 2))
                self.depthwise((some(2, 18), 1, channels), (some(10, 17), 1))
                self.depthwise(
                    (5, some(4, 6), channels // 4), (some(1, 3), some(2, 4)), some(2, 3, 4, 6), stride=some(1, 2)
                )
            self.pool("average_pool_2d", (5, some(5, 6), some(16, 20, 33)), (some(2, 5), some(3, 5)), some(1, 2))
            self.pool("max_pool_2d", (5, some(5, 6), some(16, 20, 33)), (some(2, 3), some(1, 3)), some(1, 2))
            for code in ("add", "sub", "mul"):
                self.pair(code, (some(1, 3), some(1, 5), some(5, 16)))


def layers(seed: int, wide: bool = False, int4: bool = False) -> bytes:
    made = Layers(np.random.default_rng(seed), ModelBuilder(), odd=True)
    made.wide() if wide else made.every()
    if int4:
        made.builder.with_int4()
    return made.builder.build()


Edge = Literal["", "start", "end"]


def forced(lowered: Lowered, turn: int, among: Sequence[Kernel], edge: Edge = "") -> tuple[Plan, set[str]]:
    """Each operator by one of the kernels that serve it, in a region without a byte to spare.

    With `edge`, each buffer has a region of its own, and lies at its start or at its end.
    """
    calls: list[Call] = []
    regions: list[Region] = []
    inputs: dict[str, Buffer] = {}
    outputs: dict[str, Buffer] = {}
    used: set[str] = set()
    layer = 0
    for number, operator in enumerate(lowered.graph.operators):
        call, kernel = _alone(operator, f"ram{number}", layer, turn, among)
        call, own = _apart(call, edge) if edge else (call, [_region_of(call)])
        layer += len(operator.outputs)
        calls.append(call)
        regions += own
        used.add(kernel.name)
        inputs |= {buffer.name: buffer for buffer in call.inputs}
        outputs |= {buffer.name: buffer for buffer in call.outputs}
    return replace(
        lowered.plan,
        regions=tuple(regions),
        program=tuple(calls),
        inputs=tuple(inputs[tensor.name] for tensor in lowered.graph.inputs),
        outputs=tuple(outputs[tensor.name] for tensor in lowered.graph.outputs),
        layers=tuple(tensor for operator in lowered.graph.operators for tensor in operator.outputs),
        views={},
        pieces=(),
    ), used


def _alone(operator: Operator, region: str, layer: int, turn: int, among: Sequence[Kernel]) -> tuple[Call, Kernel]:
    def buffers(at: int) -> Iterator[Buffer]:
        for tensor in (*operator.outputs, *operator.inputs):
            yield Buffer.whole(tensor, region, at)
            at += tensor.bytes

    def call(at: int, backward: bool = False) -> Call:
        out, *ins = buffers(at)
        return Call.whole(operator, tuple(ins), (out,), layer, backward)

    draft = call(0)
    serving = [kernel for kernel in among if kernel.computes(draft)]
    serving = serving or [kernel for kernel in kernels() if kernel.computes(draft)][:1]
    kernel = serving[turn % len(serving)]
    chosen = {operator: kernel}
    scratch = [replace(buffer, region=region) for buffer in scratch_of([draft], chosen, "scratch")]
    first = sum(buffer.bytes for buffer in scratch)
    size = first + sum(tensor.bytes for tensor in (*operator.outputs, *operator.inputs))
    backward = layer % 3 == 2 and kernel.reverses(operator)
    return served(call(aligned(size) - size + first, backward), chosen, scratch[0] if scratch else None), kernel


def _region_of(call: Call) -> Region:
    return Region(call.outputs[0].region, max(buffer.offset + buffer.bytes for buffer in call.buffers))


def _apart(call: Call, edge: Edge) -> tuple[Call, list[Region]]:
    regions: list[Region] = []

    def moved(buffer: Buffer) -> Buffer:
        size = aligned(buffer.bytes)
        regions.append(Region(f"{buffer.region}_{len(regions)}", size))
        return replace(buffer, region=regions[-1].name, offset=size - buffer.bytes if edge == "end" else 0)

    made = replace(
        call,
        inputs=tuple(map(moved, call.inputs)),
        outputs=tuple(map(moved, call.outputs)),
        scratch=None if call.scratch is None else moved(call.scratch),
    )
    return made, regions


def prove(
    seed: int,
    turn: int,
    core: str,
    folder: Path,
    engines: Sequence[str],
    among: Sequence[Kernel],
    wide: bool = False,
    int4: bool = False,
) -> set[str]:
    """The kernels that computed `layers(seed, wide, int4)` to the specification's bytes."""
    data = layers(seed, wide, int4)
    path = folder / "layers.tflite"
    path.write_bytes(data)
    options = Options(core=core, planner="greedy")
    lowered = lower(path, options)
    plan, used = forced(lowered, turn, among)
    check(plan)
    found = Compiled(data, options, replace(lowered, plan=plan)).verify(engines=list(engines), random=2, sanitize=True)
    assert found.first_difference is None, str(found.first_difference)
    return used
