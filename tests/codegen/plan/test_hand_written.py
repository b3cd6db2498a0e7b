"""Plans that no planner proposes yet: the proof that kernels, epilogues and buffers admit tiling as they are.

Each equals the untiled Graph on every byte, in NumPy, on the host (sanitised where the compiler can) and on the M4.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from models import ModelBuilder

from driftc.codegen.adaptation import fixed
from driftc.codegen.adaptation.calibration import measure
from driftc.codegen.adaptation.constants import Adaptation
from driftc.codegen.compiled import Compiled
from driftc.codegen.lower import Lowered, lower
from driftc.codegen.operators.base import Box, Operator, Tiling
from driftc.codegen.options import Options
from driftc.codegen.plan.buffer import Affine, Buffer, Span
from driftc.codegen.plan.call import Call, Loop, Statement
from driftc.codegen.plan.check import PlanError, check
from driftc.codegen.plan.plan import Plan, Region
from driftc.simulator.engines import engine

HEIGHT, WIDTH, CHANNELS = 9, 7, 12


def chain(tmp_path: Path, *layers: str) -> tuple[Lowered, bytes]:
    """A model of named layers on a 9 x 7 x 12 input: `conv` 3x3, `point` 1x1, `depth` 3x3 depthwise, all SAME."""
    rng = np.random.default_rng(7)
    builder = ModelBuilder()
    x = builder.input("x", (1, HEIGHT, WIDTH, CHANNELS), scale=0.05, zero_point=-3)
    for layer in layers:
        shape = {"conv": (16, 3, 3, CHANNELS), "point": (12, 1, 1, CHANNELS), "depth": (1, 3, 3, CHANNELS)}[layer]
        weights = rng.integers(-127, 128, shape)
        channels = shape[3] if layer == "depth" else shape[0]
        add = builder.depthwise_conv_2d if layer == "depth" else builder.conv_2d
        x = add(
            x,
            weights,
            rng.integers(-500, 500, channels),
            weight_scale=rng.uniform(0.002, 0.02, channels),
            out_scale=0.06,
            out_zero_point=5,
            name=layer,
        )
    builder.output(x)
    data = builder.build()
    path = tmp_path / "chain.tflite"
    path.write_bytes(data)
    return lower(path, Options()), data


def assert_equals_untiled(lowered: Lowered, data: bytes, plan: Plan) -> None:
    """The Plan reads only what is live, and gives the Graph's bytes wherever it runs."""
    check(plan)
    compiled = Compiled(data, Options(), replace(lowered, plan=plan))
    engines = ["numpy"]
    for name in ("host", "unicorn"):
        absent = engine(name).missing_for("cortex-m4")
        if absent is not None:
            pytest.skip(f"{name}: {absent}")
        engines.append(name)
    found = compiled.verify(engines=engines, random=2, sanitize=True)
    assert found.first_difference is None, str(found.first_difference)
    assert found.engines == engines
    assert found.samples == 5


def plan_of(lowered: Lowered, size: int, program: tuple[Statement, ...], source: Buffer, target: Buffer) -> Plan:
    return replace(lowered.plan, regions=(Region("ram0", size),), program=program, inputs=(source,), outputs=(target,))


def whole(operator: Operator) -> tuple[Buffer, Buffer, int]:
    """Input and output of an operator one behind the other, and their bytes."""
    source, target = operator.inputs[0], operator.outputs[0]
    return Buffer.whole(source, "ram0", 0), Buffer.whole(target, "ram0", source.bytes), source.bytes + target.bytes


def test_convolution_in_two_channel_slices(tmp_path: Path) -> None:
    lowered, data = chain(tmp_path, "conv")
    (conv,) = lowered.graph.operators
    source, target, size = whole(conv)
    rows = Span.of(0, HEIGHT)
    slices = [Call(conv, (source,), (target,), rows, Span.of(a, b), layer=0) for a, b in ((0, 6), (6, 16))]
    assert_equals_untiled(lowered, data, plan_of(lowered, size, tuple(slices), source, target))


def test_convolution_in_a_loop_over_channel_slices(tmp_path: Path) -> None:
    lowered, data = chain(tmp_path, "conv")
    (conv,) = lowered.graph.operators
    source, target, size = whole(conv)
    part = Call(conv, (source,), (target,), Span.of(0, HEIGHT), Span.of("c", 8, count=True), layer=0)
    loop = Loop("c", 0, 16, 8, (part,))
    assert_equals_untiled(lowered, data, plan_of(lowered, size, (loop,), source, target))


def test_depthwise_fed_through_three_circular_rows(tmp_path: Path) -> None:
    lowered, data = chain(tmp_path, "point", "depth")
    point, depth = lowered.graph.operators
    row = WIDTH * CHANNELS
    source = Buffer.whole(point.inputs[0], "ram0", 0)
    lines = Buffer.part(point.outputs[0], "ram0", source.bytes, rows=3)
    target = Buffer.whole(depth.outputs[0], "ram0", source.bytes + 3 * row)
    every = Span.of(0, CHANNELS)

    def make(start: int | str | Affine) -> Call:
        return Call(point, (source,), (lines,), Span.of(start, 1, count=True), every, layer=0)

    def use(start: int | str | Affine) -> Call:
        return Call(depth, (lines,), (target,), Span.of(start, 1, count=True), every, layer=1)

    program: tuple[Statement, ...] = (
        make(0),
        Loop("y", 0, HEIGHT - 1, 1, (make(Affine(1, (("y", 1),))), use("y"))),
        use(HEIGHT - 1),
    )
    size = source.bytes + 3 * row + depth.outputs[0].bytes
    assert_equals_untiled(lowered, data, plan_of(lowered, -(-size // 4) * 4, program, source, target))


def test_convolution_accumulated_over_two_input_slices(tmp_path: Path) -> None:
    lowered, data = chain(tmp_path, "conv")
    (conv,) = lowered.graph.operators
    source, target, size = whole(conv)
    at = -(-size // 4) * 4
    sums = Buffer.part(conv.outputs[0], "ram0", at, dtype=np.int32, name="conv_sums")
    rows, channels = Span.of(0, HEIGHT), Span.of(0, 16)
    program = (
        Call(conv, (source,), (target,), rows, channels, "accumulate", Span.of(0, 5), sums),
        Call(conv, (source,), (target,), rows, channels, "finish", Span.of(5, CHANNELS), sums, layer=0),
    )
    assert_equals_untiled(lowered, data, plan_of(lowered, at + sums.bytes, program, source, target))


def test_fan_out_and_fan_in_through_one_channel_tile(tmp_path: Path) -> None:
    """A pointwise layer makes four channels at a time, which a convolution sums at once: fused depthwise tiling."""
    lowered, data = chain(tmp_path, "point", "depth", "conv")
    point, depth, conv = lowered.graph.operators
    tile = 4
    source = Buffer.whole(point.inputs[0], "ram0", 0)
    first = Buffer.part(point.outputs[0], "ram0", source.bytes, kept=tile)
    second = Buffer.part(depth.outputs[0], "ram0", first.offset + first.bytes, kept=tile)
    target = Buffer.whole(conv.outputs[0], "ram0", second.offset + second.bytes)
    at = -(-(target.offset + target.bytes) // 4) * 4
    sums = Buffer.part(conv.outputs[0], "ram0", at, dtype=np.int32, name="conv_sums")
    rows, every = Span.of(0, HEIGHT), Span.of(0, 16)

    def step(start: int | str, epilogue: str, layer: int | None) -> tuple[Call, ...]:
        part = Span.of(start, tile, count=True)
        return (
            Call(point, (source,), (first,), rows, part, layer=0),
            Call(depth, (first,), (second,), rows, part, layer=1),
            Call(conv, (second,), (target,), rows, every, epilogue, part, sums, layer=layer),
        )

    program: tuple[Statement, ...] = (
        Loop("c", 0, CHANNELS - tile, tile, step("c", "accumulate", None)),
        *step(8, "finish", 2),
    )
    assert_equals_untiled(lowered, data, plan_of(lowered, at + sums.bytes, program, source, target))


def live_chain(tmp_path: Path) -> tuple[Lowered, bytes]:
    """`point` and `depth`, both live, then `conv`."""
    plain, data = chain(tmp_path, "point", "depth", "conv")
    rng = np.random.default_rng(3)
    samples = [(rng.integers(-128, 128, (1, HEIGHT, WIDTH, CHANNELS)).astype(np.int8),) for _ in range(4)]
    sources = measure(plain.model, ["point", "depth"], samples)
    layers = {name: fixed.constants(source, 0.5) for name, source in sources.items()}
    adaptation = Adaptation("fixed", plain.model.sha256, layers)
    return lower(tmp_path / "chain.tflite", Options(), adaptation=adaptation), data


@pytest.mark.parametrize("kept", [4, 12])
def test_live_layers_tile_by_tile_of_channels(tmp_path: Path, kept: int) -> None:
    """Fused depthwise tiling through two live layers: every channel's statistics see every pixel of it."""
    lowered, data = live_chain(tmp_path)
    *parts, conv = lowered.graph.operators
    tile, end = 4, 0
    buffers: dict[str, Buffer] = {}
    for tensor in (parts[0].inputs[0], *(output for part in parts for output in part.outputs), conv.outputs[0]):
        end = -(-end // 4) * 4
        tiled = tensor not in (parts[0].inputs[0], conv.outputs[0])
        buffers[tensor.name] = Buffer.part(tensor, "ram0", end, kept=kept if tiled else None)
        end += buffers[tensor.name].bytes
    at = -(-end // 4) * 4
    sums = Buffer.part(conv.outputs[0], "ram0", at, dtype=np.int32, name="conv_sums")
    rows, every = Span.of(0, HEIGHT), Span.of(0, 16)
    numbers = {tensor.name: number for number, tensor in enumerate(lowered.plan.layers)}

    def step(start: int | str, epilogue: str, layer: int | None) -> tuple[Call, ...]:
        part = Span.of(start, tile, count=True)
        calls = []
        for operator in parts:
            inputs, outputs = (tuple(buffers[t.name] for t in side) for side in (operator.inputs, operator.outputs))
            own = rows if operator.tiling & Tiling.ROWS or len(outputs) == 3 else Span.of(0, 1)
            number = numbers[operator.outputs[0].name]
            calls.append(Call(operator, inputs, outputs, own, part, operator.epilogue, layer=number))
        given, target = buffers[conv.inputs[0].name], buffers[conv.outputs[0].name]
        return (*calls, Call(conv, (given,), (target,), rows, every, epilogue, part, sums, layer=layer))

    program: tuple[Statement, ...] = (
        Loop("c", 0, CHANNELS - tile, tile, step("c", "accumulate", None)),
        *step(8, "finish", numbers[conv.outputs[0].name]),
    )
    source, target = buffers[parts[0].inputs[0].name], buffers[conv.outputs[0].name]
    plan = plan_of(lowered, at + sums.bytes, program, source, target)
    assert_equals_untiled(lowered, data, plan)


def test_live_layers_refuse_tiles_of_rows(tmp_path: Path) -> None:
    lowered, _ = live_chain(tmp_path)
    with pytest.raises(ValueError, match="statistics are of every pixel"):
        lowered.graph.operators[0].part(Box(0, 4, 0, CHANNELS))


def test_check_refuses_a_read_of_an_overwritten_row(tmp_path: Path) -> None:
    lowered, _ = chain(tmp_path, "point", "depth")
    point, depth = lowered.graph.operators
    source = Buffer.whole(point.inputs[0], "ram0", 0)
    lines = Buffer.part(point.outputs[0], "ram0", source.bytes, rows=2)  # the window needs three
    target = Buffer.whole(depth.outputs[0], "ram0", source.bytes + lines.bytes)
    every = Span.of(0, CHANNELS)
    made = [Call(point, (source,), (lines,), Span.of(y, y + 1), every, layer=0) for y in range(3)]
    program = (*made, Call(depth, (lines,), (target,), Span.of(1, 2), every, layer=1))
    with pytest.raises(PlanError, match="depth reads point"):
        check(plan_of(lowered, 4000, program, source, target))


def test_check_refuses_overlap(tmp_path: Path) -> None:
    lowered, _ = chain(tmp_path, "conv")
    (conv,) = lowered.graph.operators
    source = Buffer.whole(conv.inputs[0], "ram0", 0)
    target = Buffer.whole(conv.outputs[0], "ram0", 4)
    program = (Call.whole(conv, (source,), (target,), 0),)
    with pytest.raises(PlanError, match="overlap"):
        check(plan_of(lowered, 4000, program, source, target))
