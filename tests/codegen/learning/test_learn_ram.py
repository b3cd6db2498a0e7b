"""`--learn-ram`: values that a step of learning does not keep but computes again, and the same that is learnt."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from learning_models import adapts, chained, convolving, images, learning, learning_last
from learnt import compared

from driftc.codegen.cli import cli
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import FitError, UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.learning.learner import run
from driftc.codegen.learning.recompute import Ways
from driftc.codegen.learning.tape import Keep, Tape
from driftc.codegen.operators.learn.gradient_errors import GradientErrors

TAILS = ("strided", "residual", "depthwise", "pointwise")
CORES = ("cortex-m0plus", "cortex-m4", "cortex-m55", "rv32imc")
SIZE = (12, 10)


def layers(folder: Path, tail: str, **options: Any) -> Compiled:
    """Two convolutions learn, of inputs that are small beside their maps."""
    (folder / "net.tflite").write_bytes(convolving(tail, size=SIZE))
    np.savez(folder / "known.npz", **images(24, 4, size=SIZE))
    chosen = {"learn_layers": 2, "learn_passes": 1, "learn_store": 6 * 241, "learn_keep": 1, **options}
    return learning_last_of(folder, **chosen)


def learning_last_of(folder: Path, **options: Any) -> Compiled:
    import driftc

    return driftc.compile(
        folder / "net.tflite", calibrate=folder / "known.npz", learn="last", learn_classes=6, measure=False, **options
    )


def parts(folder: Path, **options: Any) -> Compiled:
    return adapts(folder, chained(), learn_parts=3, **options)


def step(found: Compiled) -> Graph:
    assert found.lowered.learned is not None
    return found.lowered.learned.graph


def told(found: Compiled) -> Any:
    return found.report["learning"]


def tightest(make: Any, folder: Path, *arguments: Any, **options: Any) -> Compiled:
    """Within the fewest bytes that were found, which the refusal of fewer names."""
    with pytest.raises(FitError, match="--learn-ram 1 cannot be met: the least that was found") as problem:
        make(folder, *arguments, learn_ram=1, **options)
    least = int(str(problem.value).split("--learn-ram ")[-1].split()[0])
    found: Compiled = make(folder, *arguments, learn_ram=least, **options)
    assert told(found)["step_arena_bytes"] == least
    return found


@pytest.mark.parametrize("tail", TAILS)
def test_on_this_machine(tmp_path: Path, tail: str) -> None:
    """With ASan and UBSan where the compiler has them."""
    plain = layers(tmp_path, tail)
    found = tightest(layers, tmp_path, tail)
    assert told(found)["step_arena_bytes"] < told(plain)["step_arena_bytes"] == told(found)["step"]["plain_bytes"]
    assert told(found)["step"]["again"] and told(found)["step"]["extra_instructions"] > 0
    assert told(plain)["step"]["again"] == [] and told(plain)["step"]["limit_bytes"] is None
    assert compared(found, "host", sanitize=found.program().target.cc != "zig") > 200


@pytest.mark.parametrize("core", CORES)
def test_on_emulated_cores(tmp_path: Path, core: str) -> None:
    found = tightest(layers, tmp_path, TAILS[CORES.index(core)], core=core)
    assert told(found)["step"]["again"]
    assert compared(found, "unicorn" if core in ("cortex-m0plus", "cortex-m4") else "qemu") > 200


@pytest.mark.parametrize("name", ["host", "unicorn"])
def test_meta_networks_at_the_ends_of_parts(tmp_path: Path, name: str) -> None:
    found = tightest(parts, tmp_path)
    assert told(found)["step"]["again"]
    assert told(found)["step_arena_bytes"] < told(found)["step"]["plain_bytes"]
    sanitize = {"sanitize": found.program().target.cc != "zig"} if name == "host" else {}
    assert compared(found, name, **sanitize) > 100


@pytest.mark.parametrize("make", [lambda folder: layers(folder, "residual"), parts])
def test_every_way_computes_the_same(tmp_path: Path, make: Any) -> None:
    """All states and the decision, in NumPy, of each Graph that the search may choose."""
    graph = step(make(tmp_path))
    tape = Tape(graph, "cortex-m4")
    random = np.random.default_rng(0)
    values = {s.tensor.name: s.initial for s in graph.states}
    for state in graph.states:
        if "masters" in state.tensor.name:
            values[state.tensor.name] = random.integers(-(2**20), 2**20, state.tensor.shape).astype(np.int32)
    values |= {t.name: random.integers(-128, 128, t.shape).astype(t.dtype) for t in graph.inputs}
    values |= {t.name: np.full(t.shape, 2, t.dtype) for t in graph.inputs if t.label == "label"}
    expected = dict(values)
    run(graph.operators, expected)
    wanted = [t.name for t in graph.outputs] + [state.next for state in graph.states]
    ways = Ways(tape).front()
    assert len(ways) > 1
    again = 0
    for way in ways:
        entries = tape.entries(way.keeping)
        assert entries is not None
        changed = tape.graph_of(entries)
        again = max(again, len(changed.operators) - len(graph.operators))
        found = dict(values)
        run(changed.operators, found)
        for name in wanted:
            assert np.array_equal(found[name], expected[name]), name
    assert again > 1


def test_sums_that_are_computed_twice(tmp_path: Path) -> None:
    """Errors through a convolution need no int32 map; the operator that makes them is what the two before gave."""
    plain, found = layers(tmp_path, "depthwise"), tightest(layers, tmp_path, "depthwise")
    assert found.lowered.learned is not None
    made = {name for piece in found.lowered.learned.plan.pieces for name in piece.operators}
    twice = next(op for op in Tape(step(plain), "cortex-m4").operators if isinstance(op, GradientErrors))
    assert twice.name in made and twice.gradient.name not in made
    assert "CONV_GRADIENT" in {each["operator"] for each in told(found)["step"]["again"]}


def test_what_is_followed_is_near_what_all_ways_give(tmp_path: Path) -> None:
    """Of few operators all ways are weighed; the path that is followed for more ends as low, and never beats them."""
    tape = Tape(step(layers(tmp_path, "strided")), "cortex-m4")
    assert len(tape.plain) <= 7
    all_ways = Ways(tape)
    assert all_ways.few
    path = Ways(tape)
    path.few = False
    found = path.front()
    assert found[-1].cost.peak == all_ways.front()[-1].cost.peak
    for way in found:
        best = min(other.cost.cycles for other in all_ways.front() if other.cost.peak <= way.cost.peak)
        assert best <= way.cost.cycles <= 1.5 * best + 1


def test_a_state_is_never_read_behind_its_change(tmp_path: Path) -> None:
    """Weights that would be made again of masters that have moved already are no way."""
    tape = Tape(step(layers(tmp_path, "strided")), "cortex-m4")
    replaced = {s.tensor.name: s.next for s in tape.graph.states if s.tensor.name != s.next}
    for keeping in product(Keep, repeat=len(tape.plain)):
        entries = tape.entries(keeping)
        if entries is None:
            continue
        written: set[str] = set()
        for operator in tape.graph_of(entries).operators:
            assert written.isdisjoint(t.name for t in operator.inputs)
            written |= {old for old, new in replaced.items() if new in {t.name for t in operator.outputs}}


def test_what_runs_again_is_one_function(tmp_path: Path) -> None:
    found = tightest(layers, tmp_path, "strided")
    text = found.sources["net_backward.c"]
    names = {each["layer"].split("/")[0] for each in told(found)["step"]["again"]}
    assert isinstance(text, str) and names
    for piece in {p.operators for p in found.lowered.learned.plan.pieces if len(p.operators) == 1}:  # type: ignore[union-attr]
        assert text.count(f"void {piece[0]}(") <= 1


def test_more_than_is_needed_changes_nothing(tmp_path: Path) -> None:
    plain, found = layers(tmp_path, "pointwise"), layers(tmp_path, "pointwise", learn_ram=1 << 20)
    assert found.sources["net_backward.c"] == plain.sources["net_backward.c"]


def test_between(tmp_path: Path) -> None:
    """Fewer bytes never take fewer instructions; each limit is met."""
    plain, least = layers(tmp_path, "residual"), tightest(layers, tmp_path, "residual")
    high, low = told(plain)["step_arena_bytes"], told(least)["step_arena_bytes"]
    extra = []
    for limit in np.linspace(high - 4, low, 4).astype(int):
        found = layers(tmp_path, "residual", learn_ram=int(limit))
        assert told(found)["step_arena_bytes"] <= limit == told(found)["step"]["limit_bytes"]
        extra.append(told(found)["step"]["extra_instructions"])
    assert extra == sorted(extra)


def test_a_folder_remembers_it(tmp_path: Path) -> None:
    found = tightest(layers, tmp_path, "pointwise")
    found.write(tmp_path / "net")
    loaded = Compiled.load(tmp_path / "net")
    assert loaded.options.learn_ram == told(found)["step_arena_bytes"]
    assert loaded.sources == found.sources


def test_one_layer_has_nothing_to_compute_again(tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"--learn-ram 8 cannot be met: the least .*, as it is"):
        learning(tmp_path, learn_ram=8)


def test_it_belongs_to_learning(tmp_path: Path) -> None:
    import driftc

    (tmp_path / "net.tflite").write_bytes(convolving())
    with pytest.raises(UsageError, match="--learn-ram belongs to --learn"):
        driftc.compile(tmp_path / "net.tflite", learn_ram=1000, measure=False)
    with pytest.raises(UsageError, match="learn_ram 0: needs to be 1 byte or more"):
        learning_last(tmp_path, learn_ram=0)


def test_on_the_command_line(tmp_path: Path) -> None:
    least = told(tightest(layers, tmp_path, "pointwise"))["step_arena_bytes"]
    arguments = [
        "compile", str(tmp_path / "net.tflite"), "--calibrate", str(tmp_path / "known.npz"), "--learn", "last",
        "--learn-classes", "6", "--learn-layers", "2", "--learn-passes", "1", "--learn-store", str(6 * 241),
        "--learn-keep", "1", "--no-measure", "-o", str(tmp_path / "net"),
    ]  # fmt: skip
    shown = CliRunner().invoke(cli, [*arguments, "--learn-ram", str(least)])
    assert shown.exit_code == 0, shown.output
    text = " ".join(shown.output.split())
    assert f"a step needs {least:,} B of the arena" in text and "computes again" in text
    refused = CliRunner().invoke(cli, [*arguments, "--learn-ram", "100"])
    assert refused.exit_code == 1 and "--learn-ram 100 cannot be met" in str(refused.exception)
    report = json.loads((tmp_path / "net" / "report.json").read_text())
    assert report["learning"]["step"]["limit_bytes"] == least
