"""The estimate that the search goes by: near what the emulated core counts, and dearer for more work."""

from __future__ import annotations

from pathlib import Path

import pytest
from models import keyword_model, residual_model

from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.plan.cost import instructions
from driftc.simulator.engines import engine

NEAR = 0.35  # of the counts, which depend on the compiler


def counted(model: bytes, folder: Path, **options: str) -> Compiled:
    absent = engine("unicorn").missing_for("cortex-m4")
    if absent is not None:
        pytest.skip(f"unicorn: {absent}")
    (folder / "net.tflite").write_bytes(model)
    return compile(folder / "net.tflite", planner="greedy", measure=True, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("minimize", ["instructions", "ram"])
@pytest.mark.parametrize("model", [keyword_model, residual_model])
def test_near_what_is_counted(model: object, minimize: str, tmp_path: Path) -> None:
    found = counted(model(), tmp_path, minimize=minimize)  # type: ignore[operator]
    assert instructions(found.lowered.plan.program) == pytest.approx(found.report["instructions"], rel=NEAR)


def test_each_turn_of_a_loop_counts(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(residual_model())
    plain = compile(tmp_path / "net.tflite", planner="greedy", measure=False).lowered.plan
    tiled = compile(tmp_path / "net.tflite", planner="greedy", minimize="ram", measure=False).lowered.plan
    assert len(list(tiled.calls())) > len(list(plain.calls()))
    assert instructions(tiled.program) == pytest.approx(instructions(plain.program), rel=0.25)
