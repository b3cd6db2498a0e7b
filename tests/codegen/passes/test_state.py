"""States are written in their own place where that changes no byte, and copied where it would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from models import ModelBuilder, Tensor
from streams import compiled, counter, streaming, verified

from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import ModelError
from driftc.codegen.passes.state import state
from driftc.codegen.plan.buffer import STATE
from driftc.codegen.plan.call import static_calls
from driftc.codegen.plan.check import check
from driftc.codegen.plan.choose import Goal, choose
from driftc.codegen.report.dump import dump
from driftc.simulator.reference import GraphRun, PlanRun


def kinds(found: Compiled) -> list[str]:
    return [call.operator.kind for call in static_calls(found.lowered.plan.program)]


def model() -> tuple[ModelBuilder, Tensor]:
    m = ModelBuilder()
    return m, m.input("x", (1, 2, 3), scale=0.1, zero_point=-5)


def test_a_window_is_cut_into_its_place(tmp_path: Path) -> None:
    found = compiled(streaming(), tmp_path)
    assert kinds(found) == ["CONCATENATION", "STRIDED_SLICE", "FULLY_CONNECTED"]
    cut = list(static_calls(found.lowered.plan.program))[1]
    assert (cut.outputs[0].region, cut.outputs[0].offset) == (STATE, 0)
    verified(found)


def test_a_window_moves_on_in_its_place(tmp_path: Path) -> None:
    found = compiled(streaming(roll=True), tmp_path, core="cortex-m0plus")  # whose kernels need no scratch
    assert kinds(found) == ["SHIFT_STATE", "FULLY_CONNECTED"]
    assert found.lowered.plan.arena_bytes == 8  # the new row, then the output
    assert found.lowered.graph.fused["rest"] == "window_now"
    verified(found)


def test_a_sum_is_added_in_place(tmp_path: Path) -> None:
    m, x = model()
    m.output(counter(m, x))
    found = compiled(m, tmp_path)
    assert kinds(found) == ["ADD"]
    assert "state+0" in dump(found.lowered.plan)
    verified(found)


def test_what_reads_the_old_value_runs_first(tmp_path: Path) -> None:
    m, x = model()
    handle = m.variable("kept")
    before = m.read_variable(handle, x.shape, x, name="before")
    m.assign_variable(handle, m.relu(x, name="after"))
    m.output(m.add(before, x, out_scale=0.2, name="late"))
    found = compiled(m, tmp_path)
    assert kinds(found) == ["ADD", "RELU"]
    verified(found)


def test_an_old_value_that_is_needed_later_is_copied(tmp_path: Path) -> None:
    m, x = model()
    handle = m.variable("kept")
    before = m.read_variable(handle, x.shape, x, name="before")
    after = m.add(before, x, out_scale=0.1, name="after")
    m.assign_variable(handle, after)
    m.output(m.sub(before, after, out_scale=0.2, name="late"))
    found = compiled(m, tmp_path)
    assert sorted(kinds(found)) == ["ADD", "ASSIGN_VARIABLE", "SUB"]
    verified(found)


def test_a_value_that_is_read_back(tmp_path: Path) -> None:
    m, x = model()
    handle = m.variable("kept")
    before = m.read_variable(handle, x.shape, x, name="before")
    m.assign_variable(handle, m.relu(x, name="after"))
    again = m.read_variable(handle, x.shape, x, name="again")
    m.output(m.add(before, again, out_scale=0.2, name="both"))
    found = compiled(m, tmp_path)
    assert sorted(kinds(found)) == ["ADD", "ASSIGN_VARIABLE", "RELU"] or "COPY" in kinds(found)
    verified(found)


def test_the_input_the_old_value_and_a_constant_are_copied(tmp_path: Path) -> None:
    m, x = model()
    last, fixed, seen = m.variable("last"), m.variable("fixed"), m.variable("seen")
    before = m.read_variable(last, x.shape, x, name="before")
    m.assign_variable(last, x)
    m.assign_variable(seen, before)
    held = m.constant(np.arange(6, dtype=np.int8).reshape(1, 2, 3), scale=0.1, zero_point=-5, name="held")
    old = m.read_variable(fixed, x.shape, x, name="old")
    m.assign_variable(fixed, held)
    m.output(before, m.add(old, m.read_variable(seen, x.shape, x, name="seen"), out_scale=0.2, name="both"))
    found = compiled(m, tmp_path)
    assert found.lowered.plan.state_bytes == 24
    verified(found)


def test_assigned_twice_and_two_variables_of_one_value(tmp_path: Path) -> None:
    m, x = model()
    one, two = m.variable("one"), m.variable("two")
    value = m.relu(m.add(m.read_variable(one, x.shape, x), m.read_variable(two, x.shape, x), out_scale=0.1))
    m.assign_variable(one, value)
    m.assign_variable(two, value)
    m.assign_variable(one, m.tanh(m.read_variable(one, x.shape, x), name="squashed"))
    m.output(m.add(value, x, out_scale=0.2, name="out"))
    verified(compiled(m, tmp_path))


def test_variables_that_exchange_their_values(tmp_path: Path) -> None:
    m, x = model()
    one, two = m.variable("one"), m.variable("two")
    a, b = m.read_variable(one, x.shape, x, name="a"), m.read_variable(two, x.shape, x, name="b")
    m.assign_variable(one, m.add(b, x, out_scale=0.1, name="to_one"))
    m.assign_variable(two, m.relu(a, name="to_two"))
    m.output(m.relu(x, name="out"))
    found = compiled(m, tmp_path)
    assert [name for name in kinds(found) if name in ("ASSIGN_VARIABLE", "COPY")] != []
    verified(found)


def test_a_variable_that_is_only_read(tmp_path: Path) -> None:
    m, x = model()
    m.call_once({"fixed": np.arange(6, dtype=np.int8).reshape(1, 2, 3)})
    m.output(m.add(x, m.read_variable(m.variable("fixed"), x.shape, x), out_scale=0.2))
    found = compiled(m, tmp_path)
    assert found.lowered.plan.state_bytes == 8
    verified(found)


@pytest.mark.parametrize("minimize", ["instructions", "ram"])
def test_tiled_layers_beside_states(tmp_path: Path, minimize: str) -> None:
    """A window of images: convolutions that are streamed where RAM is short read and write states."""
    m = ModelBuilder()
    x = m.input("x", (1, 8, 8, 4), scale=0.1, zero_point=3)
    weights = np.random.default_rng(5)

    def conv(x: Tensor, channels: int, name: str) -> Tensor:
        kernel = weights.integers(-127, 128, (channels, 3, 3, x.shape[3]), dtype=np.int8)
        return m.conv_2d(x, kernel, weight_scale=0.003, padding="SAME", out_scale=0.1, out_zero_point=3, name=name)

    handle = m.variable("image")
    before = m.read_variable(handle, (1, 8, 8, 4), x, name="before")
    y = m.add(conv(before, 4, "old"), conv(x, 4, "new"), out_scale=0.1, out_zero_point=3, name="mixed")
    y = conv(conv(y, 8, "wide"), 4, "narrow")
    m.assign_variable(handle, y)
    m.output(m.mean(y, [1, 2], out_scale=0.1, name="mean"))
    found = compiled(m, tmp_path, minimize=minimize, overhead=1000.0, planner="greedy")
    if minimize == "ram":
        assert any(piece.kind for piece in found.lowered.plan.pieces)
    verified(found, 6)


@pytest.mark.parametrize("kind", ["conv", "input", "view", "exchanged"])
def test_next_values_that_cannot_lie_in_place(tmp_path: Path, kind: str) -> None:
    """A pass may name any tensor as what a state becomes: the Plan gives what the Graph says all the same."""
    m = ModelBuilder()
    x = m.input("x", (1, 4, 4, 3), scale=0.1, zero_point=3)
    m.call_once({name: np.full(x.shape, 3, np.int8) for name in ("one", "two")})
    one, two = (m.read_variable(m.variable(name), x.shape, x, name=f"{name}_before") for name in ("one", "two"))
    kernel = np.random.default_rng(5).integers(-127, 128, (3, 3, 3, 3), dtype=np.int8)
    y = m.conv_2d(
        one, kernel, weight_scale=0.003, padding="SAME", out_scale=0.1, out_zero_point=3, name="conv"
    )  # fmt: skip
    flat = m.reshape(m.add(y, x, out_scale=0.1, out_zero_point=3, name="sum"), (1, 48), name="flat")
    m.output(m.add(flat, m.reshape(two, (1, 48), name="two_flat"), out_scale=0.2, name="out"))
    found = compiled(m, tmp_path)
    names = {"conv": ("conv", "two"), "input": ("x", "x"), "view": ("flat", "flat"), "exchanged": ("two", "one")}[kind]
    states = zip(found.lowered.model.states, names, strict=True)
    graph = replace(found.lowered.model, states=tuple(replace(each, next=name) for each, name in states))
    graph.check()
    settled = state(graph)
    settled.check()
    plan = choose(settled, "greedy", Goal()).point.plan
    check(plan)
    one_by_one, whole = PlanRun(plan, poison=0xA5), GraphRun(graph)
    for sample in found.samples(random=3).quantized:
        outputs, _ = one_by_one.run(sample)
        assert np.array_equal(outputs[0], whole.run(sample)["out"])


def test_the_first_value_that_is_assigned_says_what_a_reset_gives(tmp_path: Path) -> None:
    """TFLite Micro makes room for a variable where one is assigned, and fills it with that tensor's zero point."""
    m, x = model()
    handle = m.variable("kept")
    before = m.read_variable(handle, x.shape, m.tensor("like", x.shape, scale=0.1, zero_point=127), name="before")
    m.assign_variable(handle, m.relu(x, name="after"))
    m.output(m.add(before, x, out_scale=0.2, name="late"))
    found = compiled(m, tmp_path)
    assert set(found.lowered.source.states[0].initial.reshape(-1).tolist()) == {x.zero_point[0]}
    verified(found)


def test_a_variable_without_any_value(tmp_path: Path) -> None:
    m, x = model()
    m.output(m.add(x, m.read_variable(m.variable("none"), x.shape, x, name="before"), out_scale=0.2))
    with pytest.raises(ModelError, match="the model reads variable 'none', to which nothing is ever assigned"):
        compiled(m, tmp_path)
