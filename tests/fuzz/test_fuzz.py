"""The fuzzer's part for CI: some 3,000 mutants, each refused in one clear line or compiled to C that computes the same.

All are seeded: a fault is repeated by `python -m fuzz --only MODEL --first SEED --count 1`.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from shared_data import data_folder

from driftc.simulator.references import TflmReference
from fuzz.campaign import Outcome, Task, run_task
from fuzz.judge import Checks, judge, unclear
from fuzz.seeds import BUILT, ZOO, real_models, seeds

REAL = [path.stem for path in real_models()]
QUICK, LONG = 30, 80  # mutants of a model in the quick suite, and of a real one in the slow
SLOWEST = 150.0  # seconds without an answer, for a mutant that is run under sanitizers on a busy machine

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs process limits")


def do(task: Task) -> Outcome:
    outcome = run_task(task, SLOWEST)
    assert not outcome.faults, f"{len(outcome.faults)} faults:\n" + "\n".join(outcome.faults[:5])
    assert outcome.refused + outcome.compiled > 0
    return outcome


def every(number: int) -> int:
    """Every how many compiled mutants gcc is called; none without gcc."""
    return number if shutil.which("gcc") else 0


def by_tflm(number: int) -> int:
    """Every how many compiled mutants are compared with TFLite Micro; none where it is absent."""
    return number if TflmReference().missing() is None else 0


@pytest.mark.parametrize("model", [*BUILT, *ZOO])
def test_damaged_built_models(model: str) -> None:
    do(Task(model, 1, QUICK, build=every(10)))


@pytest.mark.parametrize("model", BUILT)
def test_rearranged_models(model: str) -> None:
    found = do(Task(model, 1, 2 * QUICK, rebuilt=True, build=every(8), reference=by_tflm(2), options=3))
    assert found.compiled > 3
    assert found.refused > 3


@pytest.mark.slow
@pytest.mark.parametrize("model", BUILT)
def test_rearranged_models_under_sanitizers(model: str) -> None:
    do(Task(model, 1001, 2 * QUICK, rebuilt=True, build=every(8), sanitize=every(4), reference=by_tflm(1), options=2))


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize("model", REAL)
def test_damaged_real_models(model: str) -> None:
    """At least 2,000 over all of them."""
    do(Task(model, 1, LONG, build=every(16), run=8, sanitize=every(32)))


@pytest.mark.shared_data
def test_there_are_2000_mutants_of_real_models() -> None:
    if not data_folder().is_dir():
        pytest.skip("shared data absent; DRIFTC_DATA names the folder it is in")
    assert len(REAL) == len(set(REAL))
    assert LONG * len(REAL) >= 2000


@pytest.mark.parametrize("model", [*BUILT, *ZOO])
def test_undamaged_models_compile(model: str, tmp_path: Path) -> None:
    """Else all mutants of them would be refused, and nothing tested."""
    verdict = judge(tmp_path, seeds()[model](), Checks(run=True))
    assert verdict.compiled, verdict.message
    assert not verdict.fault


def test_the_judge_sees_faults() -> None:
    """A fuzzer that cannot fail would be none."""
    assert unclear("tensor 3: no file named")
    assert unclear("mutant.tflite: something is wrong")
    assert unclear("mutant.tflite: tensor 3: two\nlines")
    assert not unclear("mutant.tflite: tensor 3 'x': shape [-1] is not possible")
