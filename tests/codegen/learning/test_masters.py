"""`--learn-masters 16`: masters of half the RAM, and what is below their unit is rounded at random but not lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_models import adapts, convolving, learning, learning_last
from learnt import accuracy, compared, events

from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import DataError, UsageError
from driftc.codegen.learning.layers import part
from driftc.codegen.learning.lesson import read_lesson
from driftc.codegen.learning.narrow import NOISE
from driftc.codegen.operators.learn.conv_update import ConvUpdate
from driftc.codegen.operators.learn.dense_update import DenseUpdate
from driftc.codegen.operators.learn.narrow import NextNoise, lost
from driftc.simulator.learning import Event, Kind, Specification

CORES = ("cortex-m0plus", "cortex-m4", "cortex-m55", "rv32imc")
TAILS = ("strided", "residual", "depthwise", "pointwise")


def narrow(folder: Path, **options: Any) -> Compiled:
    return learning(folder, learn_masters=16, **{"learn_passes": 2, "learn_store": 12 * 13, **options})


def narrow_last(folder: Path, tail: str = "strided", **options: Any) -> Compiled:
    chosen = {"learn_layers": 2, "learn_passes": 1, "learn_store": 8 * 61, "learn_keep": 1, **options}
    return learning_last(folder, convolving(tail), learn_masters=16, **chosen)


def engine_of(core: str) -> str:
    return "unicorn" if core in ("cortex-m0plus", "cortex-m4") else "qemu"


@pytest.mark.parametrize("guard", [True, False])
def test_on_this_machine(tmp_path: Path, guard: bool) -> None:
    found = narrow(tmp_path, learn_guard=guard)
    assert compared(found, "host", sanitize=found.program().target.cc != "zig") > 200


@pytest.mark.parametrize("tail", TAILS)
def test_convolutions_on_this_machine(tmp_path: Path, tail: str) -> None:
    found = narrow_last(tmp_path, tail)
    assert compared(found, "host", sanitize=found.program().target.cc != "zig") > 200


@pytest.mark.parametrize("core", CORES)
def test_on_emulated_cores(tmp_path: Path, core: str) -> None:
    assert compared(narrow(tmp_path, core=core), engine_of(core)) > 200
    assert compared(narrow_last(tmp_path, TAILS[CORES.index(core)], core=core), engine_of(core)) > 200


def test_what_is_computed_again_reads_the_same_masters(tmp_path: Path) -> None:
    plain = narrow_last(tmp_path, "pointwise")
    limit = plain.report["learning"]["step_arena_bytes"] - 4
    found = narrow_last(tmp_path, "pointwise", learn_ram=limit)
    assert found.report["learning"]["step"]["again"]
    assert compared(found, "host") > 200


@settings(max_examples=50, deadline=None)
@given(shift=st.integers(1, 62), seed=st.integers(0, 2**16), noise=st.integers(-(2**31), 2**31 - 1))
def test_rounding_is_fair(shift: int, seed: int, noise: int) -> None:
    """Each loses its whole part, or one more; over all thresholds as often as its fraction says."""
    random = np.random.default_rng(seed)
    products = random.integers(-(2**46), 2**46, (5, 7)) << max(shift - 48, 0)
    found = lost(products, shift, np.array([noise], np.int32))
    above = found - (products >> shift)
    assert set(np.unique(above)) <= {0, 1}
    assert not lost(np.zeros((5, 7), np.int64), shift, np.array([noise], np.int32)).any()


def test_small_steps_add_up() -> None:
    """A hundredth of a unit, lost a thousand times: each of many masters is near ten, and their mean nearer."""
    noise, sum_ = np.array([1], np.int32), np.zeros(400, np.int64)
    draw = NextNoise(name="n", inputs=(), outputs=())
    for _ in range(1000):
        sum_ += lost(np.full(400, 10, np.int64), 10, noise)
        (noise,) = draw.spec(noise)
    expected = 1000 * 10 / 2**10
    assert abs(sum_.mean() - expected) < 0.05
    assert np.abs(sum_ - expected).max() < 5 * np.sqrt(expected)


def test_noise_never_ends() -> None:
    """xorshift32 goes through all values but 0."""
    x, seen = np.array([0x9E3779B9], np.uint32).view(np.int32), set()
    for _ in range(5000):
        (x,) = NextNoise(name="n", inputs=(), outputs=()).spec(x)
        assert x.dtype == np.int32 and int(x[0]) != 0
        seen.add(int(x[0]))
    assert len(seen) == 5000


def test_it_learns_as_well(tmp_path: Path) -> None:
    scores = []
    for bits in (32, 16):
        found = learning(tmp_path, learn_masters=bits, learn_guard=False)
        specification = Specification(found.lowered)
        for event in events(24, 2, first=4):
            specification(event)
        specification(Event(Kind.STEP, 1 << 20))
        scores.append((accuracy(specification, 4, 0), accuracy(specification, 2, 4)))
    assert min(scores[1]) >= min(scores[0]) - 0.05
    assert scores[1][1] > 0.8


def test_they_take_half(tmp_path: Path) -> None:
    sizes = []
    for bits in (32, 16):
        found = learning_last(tmp_path, learn_masters=bits)
        told = {part(state.tensor): state.tensor for state in found.lowered.graph.states}
        masters = [t for name, t in told.items() if name.endswith("masters") and not name.endswith("bias masters")]
        assert all(t.dtype.itemsize * 8 == bits for t in masters) and len(masters) == 2
        assert (NOISE in told) == (bits == 16)
        sizes.append(found.report["learning"]["weight_bytes"])
        assert sum(t.size for t in masters) * (bits // 8) <= sizes[-1]
    assert sizes[0] - sizes[1] == 2 * sum(t.size for t in masters)


def test_saturated_masters_are_counted(tmp_path: Path) -> None:
    found = narrow(tmp_path, learn_rate=1.0, learn_guard=False, learn_keep=15)  # all samples: none to find room with
    specification = Specification(found.lowered)
    for event in events(8, 2, first=4):
        specification(event)
    specification(Event(Kind.STEP, 1 << 20))
    assert specification.learner.report.saturated > 0
    assert np.abs(specification.learner.values["masters"].astype(int)).max() == 127 << 8


def test_updates_read_the_noise_before_it_changes(tmp_path: Path) -> None:
    learned = narrow_last(tmp_path).lowered.learned
    assert learned is not None
    updates = [op for op in learned.graph.operators if isinstance(op, DenseUpdate | ConvUpdate)]
    assert len(updates) == 3 and {op.inputs[-1].name.rsplit("/", 1)[-1] for op in updates} == {NOISE}
    order = [name for piece in learned.plan.pieces for name in piece.operators]
    assert max(order.index(op.name) for op in updates) < order.index("next_noise")


def test_a_folder_remembers_it(tmp_path: Path) -> None:
    found = narrow(tmp_path)
    found.write(tmp_path / "net")
    loaded = Compiled.load(tmp_path / "net")
    assert loaded.sources == found.sources and loaded.lowered.learned is not None
    assert loaded.lowered.learned.classifier.masters == 16
    path = tmp_path / "net" / "learning.json"
    path.write_text(path.read_text().replace('"masters": 16', '"masters": 8'))
    with pytest.raises(DataError, match="'masters' must be 32, or 16"):
        read_lesson(path)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--learn-masters 8: masters are of 32 bits, or of 16"):
        learning(tmp_path, learn_masters=8)
    with pytest.raises(UsageError, match="--learn-masters belongs to --learn classifier, last and lightcl"):
        learning(tmp_path, learn="mean", learn_masters=16)
    with pytest.raises(UsageError, match="--learn ecotta learns from no labels"):
        adapts(tmp_path, learn_masters=16)
