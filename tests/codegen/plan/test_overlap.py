"""Outputs over dying inputs: at the least distance the C computes the same bytes; closer, the Plan is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import ModelBuilder, Tensor

from driftc.codegen.compiled import Compiled
from driftc.codegen.kernels.portable.default import PORTABLE
from driftc.codegen.kernels.portable.loops import loops_of
from driftc.codegen.lower import Lowered, lower
from driftc.codegen.operators import registry
from driftc.codegen.operators.base import Operator
from driftc.codegen.options import Options
from driftc.codegen.plan.buffer import Buffer
from driftc.codegen.plan.call import Call
from driftc.codegen.plan.check import PlanError, check
from driftc.codegen.plan.overlap import distance
from driftc.codegen.plan.place import aligned
from driftc.codegen.plan.plan import Plan, Region
from driftc.simulator.engines import engine
from driftc.simulator.reference import run_graph

SCALE: dict[str, Any] = {"out_scale": 0.06, "out_zero_point": 5}


def layer(kind: str) -> ModelBuilder:
    """One operator on a 6 x 5 x 12 input."""
    random = np.random.default_rng(7)
    builder = ModelBuilder()
    x = builder.input("x", (1, 6, 5, 12), scale=0.05, zero_point=-3)

    def weights(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return random.integers(-127, 128, shape)

    def conv(shape: tuple[int, ...], **options: Any) -> Tensor:
        return builder.conv_2d(x, weights(*shape), weight_scale=0.01, **SCALE, **options)

    def depthwise(kernel: int, many: int = 1, **options: Any) -> Tensor:
        filters = weights(1, kernel, kernel, 12 * many)
        return builder.depthwise_conv_2d(x, filters, weight_scale=0.01, **SCALE, **options)

    y = {
        "point": lambda: conv((12, 1, 1, 12)),
        "point_wider": lambda: conv((19, 1, 1, 12)),
        "point_strided": lambda: conv((12, 1, 1, 12), stride=2),
        "conv": lambda: conv((12, 3, 3, 12)),
        "conv_copied": lambda: conv((12, 2, 2, 12)),
        "conv_valid": lambda: conv((13, 3, 2, 12), padding="VALID"),
        "conv_strided": lambda: conv((30, 3, 3, 12), stride=2),
        "conv_dilated": lambda: conv((6, 3, 3, 12), dilation=2),
        "conv_grouped": lambda: conv((18, 3, 3, 4)),
        "depthwise": lambda: depthwise(3),
        "depthwise_twice": lambda: depthwise(3, 2, stride=2),
        "depthwise_wide": lambda: depthwise(5),
        "max_pool": lambda: builder.max_pool_2d(x, 3, stride=1, padding="SAME"),
        "average_pool": lambda: builder.average_pool_2d(x, 2, stride=1),
        "dense": lambda: builder.fully_connected(x, weights(9, 12), weight_scale=0.01, **SCALE),
        "mean": lambda: builder.mean(x, [2], **SCALE),
        "relu": lambda: builder.relu(x, **SCALE),
        "softmax": lambda: builder.softmax(x),
        "square": lambda: builder.mul(x, x, **SCALE),
        "transpose": lambda: builder.transpose(x, [0, 2, 1, 3]),
        "slice": lambda: builder.strided_slice(x, [0, 1, 0, 2], [1, 6, 5, 12], [1, 2, 1, 3]),
        "concatenation": lambda: builder.concatenation([x, x], axis=2),
    }[kind]()
    builder.output(y)
    return builder


KINDS = (
    "point", "point_wider", "point_strided", "conv", "conv_copied", "conv_valid", "conv_strided",
    "conv_dilated", "conv_grouped", "depthwise", "depthwise_twice", "depthwise_wide", "max_pool",
    "average_pool", "dense", "mean", "relu", "softmax", "square", "transpose", "slice", "concatenation",
)  # fmt: skip


def lowered(kind: str, folder: Path) -> tuple[Lowered, bytes]:
    data = layer(kind).build()
    (folder / "layer.tflite").write_bytes(data)
    return lower(folder / "layer.tflite", Options(planner="greedy")), data


def plan_at(found: Lowered, source: int, target: int, backward: bool) -> Plan:
    """The model's one layer with its input and output at these offsets."""
    (operator,) = found.graph.operators
    x, y = Buffer.whole(found.graph.inputs[0], "ram0", source), Buffer.whole(operator.outputs[0], "ram0", target)
    inputs = tuple(x for _ in operator.inputs)
    size = aligned(max(x.offset + x.bytes, y.offset + y.bytes))
    return replace(
        found.plan,
        regions=(Region("ram0", size),),
        inputs=(x,),
        outputs=(y,),
        program=(Call.whole(operator, inputs, (y,), 0, backward),),
    )


def ways(operator: Operator) -> list[tuple[int, int, bool]]:
    """(offset of the input, offset of the output, backward) as close as they may be, both ways round; not aligned."""
    found = []
    for backward in (False, True)[: 1 + PORTABLE.reverses(operator)]:
        least = [distance(operator, n, 0, backward) for n in range(len(operator.inputs))]
        below = max(d.below for d in least if d is not None)
        above = max(d.above for d in least if d is not None)
        found.append((max(below, 0), max(-below, 0), backward))
        found.append((max(-above, 0), max(above, 0), backward))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_closest_plans_hold_and_closer_ones_are_refused(kind: str, tmp_path: Path) -> None:
    found, _ = lowered(kind, tmp_path)
    (operator,) = found.graph.operators
    for number, (source, target, backward) in enumerate(ways(operator)):
        check(plan_at(found, source, target, backward))
        closer = (source, target + 1) if number % 2 == 0 else (source + 1, target)
        apart = abs(target - source) > (operator.outputs[0].bytes if target < source else operator.inputs[0].bytes)
        if not apart and min(closer) >= 0:
            with pytest.raises(PlanError, match="before it is read"):
                check(plan_at(found, *closer, backward))


@pytest.mark.parametrize("kind", KINDS)
def test_c_computes_the_same_at_the_closest(kind: str, tmp_path: Path) -> None:
    if (absent := engine("host").missing()) is not None:
        pytest.skip(absent)
    found, data = lowered(kind, tmp_path)
    (operator,) = found.graph.operators
    for source, target, backward in dict.fromkeys(ways(operator)):
        plan = plan_at(found, source, target, backward)
        compiled = Compiled(data, Options(planner="greedy"), replace(found, plan=plan))
        result = compiled.verify(engines=["numpy", "host"], random=2, sanitize=True)
        assert result.first_difference is None, (source, target, backward, str(result.first_difference))


@pytest.mark.parametrize("kind", ["point", "conv_strided", "conv_grouped", "depthwise", "max_pool", "dense", "softmax"])
def test_c_differs_one_byte_closer(kind: str, tmp_path: Path) -> None:
    """The distance is the least there is, not merely a safe one."""
    if (absent := engine("host").missing()) is not None:
        pytest.skip(absent)
    found, data = lowered(kind, tmp_path)
    (operator,) = found.graph.operators
    source, target, _ = ways(operator)[0]
    plan = plan_at(found, source, target + 1, False)
    compiled = Compiled(data, Options(planner="greedy"), replace(found, plan=plan))
    samples = compiled.samples(random=3).quantized
    runs = list(engine("host").run(compiled.program(), samples, trace=False))
    expected = [run_graph(found.graph, sample)[found.graph.outputs[0].name] for sample in samples]
    assert any(not np.array_equal(run.outputs[0], want) for run, want in zip(runs, expected, strict=True))


def test_operators_without_an_order_keep_apart() -> None:
    """GATHER copies with memcpy and PAD writes its frame first: both have no `walk`."""
    silent = {code for code, operator in registry().items() if not operator.view and not loops_of(operator).ordered}
    assert {"PAD", "GATHER"} <= silent
    assert not silent & {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "RELU", "MAX_POOL_2D"}
