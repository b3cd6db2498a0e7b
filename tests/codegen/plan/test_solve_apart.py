"""Where TensorFlow was loaded before OR-Tools, the solver has a process of its own and finds the same."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType

import pytest

from driftc.codegen.errors import ToolError
from driftc.codegen.plan import solve as module
from driftc.codegen.plan.place import Block, Problem
from driftc.codegen.plan.solve import solve

if find_spec("ortools") is None:
    pytest.skip("ortools is missing", allow_module_level=True)
# First fit by size leaves a hole here: the solver is needed.
BLOCKS = ((32, 2, 5), (32, 4, 5), (40, 7, 8), (8, 3, 3), (40, 5, 8), (16, 1, 2), (48, 3, 3))
PROBLEM = Problem(tuple(Block(*block) for block in BLOCKS))


def hide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", ModuleType("tensorflow"))
    for name in [name for name in sys.modules if name.split(".")[0] == "ortools"]:
        monkeypatch.delitem(sys.modules, name)


def test_the_same_placement(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = solve(PROBLEM)
    hide(monkeypatch)
    assert wanted is not None and wanted.proven
    assert solve(PROBLEM) == wanted
    assert "ortools" not in sys.modules


def test_a_failure_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch)
    monkeypatch.setattr(module, "APART", "raise SystemExit('no solver')")
    with pytest.raises(ToolError, match="OR-Tools failed: no solver; --planner greedy"):
        solve(PROBLEM)
