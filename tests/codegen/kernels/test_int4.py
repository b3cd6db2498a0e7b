"""Weights of int4, two a byte in flash: runs that begin in the middle of one, in parts, host and cores alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forced_kernels import prove
from hypothesis import given
from hypothesis import strategies as st
from live_models import compiled
from models import Activation, ModelBuilder
from operator_cases import examples

import driftc
from driftc.codegen.compiled import Compiled
from driftc.codegen.kernels import kernels
from driftc.codegen.kernels.portable.int4 import pack
from driftc.codegen.lower import Lowered, lower
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.options import Options
from driftc.codegen.plan.call import Call, static_calls
from driftc.codegen.plan.candidates import candidates
from driftc.codegen.plan.check import check
from driftc.codegen.plan.plan import Plan
from driftc.codegen.plan.propose import arrange, untiled
from driftc.simulator.engines import engine

MOST = 12  # plans that are run


def engines_for(core: str, *wanted: str) -> list[str]:
    for name in wanted:
        if (absent := engine(name).missing_for(core)) is not None:
            pytest.skip(f"{name}: {absent}")
    return ["numpy", *wanted]


@given(st.lists(st.integers(-8, 7), max_size=9))
def test_packed_as_a_file_has_it(values: list[int]) -> None:
    """Flat, the low half first."""
    data = np.array(values, np.int8)
    found = pack(data).view(np.uint8)
    assert len(found) == -(-len(values) // 2)
    halves = np.stack([found & 15, found >> 4], axis=-1).reshape(-1)[: len(values)]
    assert np.array_equal((halves.astype(np.int8) ^ 8) - 8, data)


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize(("core", "emulator"), [("cortex-m4", "unicorn"), ("cortex-m0plus", "unicorn")])
def test_every_layer(seed: int, core: str, emulator: str, tmp_path: Path) -> None:
    used = prove(seed, 0, core, tmp_path, engines_for(core, "host", emulator), kernels(core), int4=True)
    assert "portable/int4" in used


def test_vector_kernels_leave_it(tmp_path: Path) -> None:
    used = prove(
        2, 0, "cortex-m55", tmp_path, engines_for("cortex-m55", "host", "qemu"), kernels("cortex-m55"), True, True
    )
    assert "portable/int4" in used


@pytest.mark.slow
@examples(5, shrink=False)
@given(seed=st.integers(4, 10**6))
def test_any_layers(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("layers")
    prove(seed, 0, "cortex-m4", folder, engines_for("cortex-m4", "host", "unicorn"), kernels("cortex-m4"), int4=True)


def network(wide: int, int4: bool = True) -> bytes:
    """3x3, wide 1x1, depthwise 3x3, 1x1 back, two dense layers: rows, channels, strips and sums of each in parts."""
    random = np.random.default_rng(11)
    builder = ModelBuilder()

    def about(out: int) -> dict[str, Any]:
        return {
            "weight_scale": random.uniform(0.03, 0.15, out),
            "out_scale": 0.05,
            "out_zero_point": -128 if out == wide else 5,
            "activation": Activation.RELU if out == wide else Activation.NONE,
        }

    x = builder.input("x", (1, 11, 9, 3), scale=0.05, zero_point=-3)
    for kind, out, kernel in (("conv", 7, 3), ("conv", wide, 1), ("depth", wide, 3), ("conv", 5, 1)):
        shape = (out, kernel, kernel, x.shape[3]) if kind == "conv" else (1, kernel, kernel, out)
        add = builder.conv_2d if kind == "conv" else builder.depthwise_conv_2d
        x = add(x, random.integers(-127, 128, shape, np.int8), random.integers(-500, 500, out, np.int32), **about(out))
    x = builder.reshape(x, (1, int(np.prod(x.shape))))
    for out in (wide, 3):
        weights = random.integers(-127, 128, (out, x.shape[1]), np.int8)
        x = builder.fully_connected(x, weights, random.integers(-500, 500, out, np.int32), **about(out))
    builder.output(x)
    builder.with_int4()
    builder.tensors = [replace(tensor, int4=int4 and tensor.int4) for tensor in builder.tensors]
    return builder.build()


def kind_of(call: Call) -> tuple[Any, ...]:
    reduced = call.reduce and call.reduce.count
    return call.operator.name, call.rows.count, call.channels.count, call.pixels, call.epilogue, reduced


def plans(lowered: Lowered) -> list[Plan]:
    """Plans that compute something in parts, those that add most kinds of calls first."""
    graph = lowered.graph
    order = untiled(graph)
    every = []
    for candidate in candidates(graph, order):
        if (unit := candidate.make()) is not None:
            plan = arrange(graph, [*order[: candidate.first], unit, *order[candidate.stop :]], "greedy")
            every.append((plan, {kind_of(call) for call in static_calls(plan.program)}))
    found: list[Plan] = []
    seen: set[tuple[Any, ...]] = set()
    for plan, kinds in sorted(every, key=lambda pair: -len(pair[1])):
        if kinds - seen and len(found) < MOST:
            found.append(plan)
            seen |= kinds
    return found


@pytest.mark.parametrize("wide", [16, pytest.param(11, marks=pytest.mark.slow)])
def test_in_parts(wide: int, tmp_path: Path) -> None:
    engines = engines_for("cortex-m4", "host", "unicorn")
    data = network(wide)
    (tmp_path / "net.tflite").write_bytes(data)
    options = Options(planner="greedy")
    lowered = lower(tmp_path / "net.tflite", options)
    made = plans(lowered)
    calls = [call for plan in made for call in static_calls(plan.program) if call.computed.packed]
    assert {call.kernel.name for call in calls} == {"portable/int4"}
    assert any(call.reduce for call in calls)
    assert any(call.channels.count < call.operator.outputs[0].hwc[2] for call in calls)
    assert any(call.rows.count < call.operator.outputs[0].hwc[0] for call in calls)
    for plan in made:
        check(plan)
        found = Compiled(data, options, replace(lowered, plan=plan)).verify(engines=engines, random=1, sanitize=True)
        assert found.first_difference is None, str(found.first_difference)


def test_rows_that_arrive_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(network(11))
    made = driftc.compile(tmp_path / "net.tflite", feed="rows", measure=False)
    found = made.verify(engines=engines_for("cortex-m4", "host"), random=2, sanitize=True)
    assert found.bit_exact, str(found.first_difference)


def test_layers_that_are_normalised_live(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(network(11))
    made = compiled(tmp_path / "net.tflite", "lean")
    live = [call for call in static_calls(made.lowered.plan.program) if call.epilogue == "statistics"]
    assert live
    assert {call.kernel.name for call in live} == {"portable/int4"}
    found = made.verify(engines=engines_for("cortex-m4", "host"), random=2, sanitize=True)
    assert found.first_difference is None, str(found.first_difference)


def test_flash_holds_two_a_byte(tmp_path: Path) -> None:
    """Beside the same values in int8."""
    flash, sizes = [], []
    for int4 in (False, True):
        (tmp_path / "net.tflite").write_bytes(network(11, int4))
        made = driftc.compile(tmp_path / "net.tflite", core="cortex-m0plus", measure=False)
        flash.append(made.report["flash"]["constants"])
        sizes = [op.weights.size for op in made.lowered.graph.operators if isinstance(op, Weighted)]
    assert flash[0] - flash[1] == sum(size // 2 for size in sizes)
