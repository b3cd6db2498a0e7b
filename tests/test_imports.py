"""The modules import each other in one direction, what they name only for types included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from commands import ROOT

# Types that name each other by their nature: a kernel is asked about calls, a call says which kernel computes it; a
# frontend's walk gives its readers a node, which asks the walk for values; functions of several operators are given the
# builder that calls them.
MUTUAL = (
    ("driftc.codegen.kernels", "driftc.codegen.plan.call"),
    ("driftc.codegen.frontends.blocks.activation", "driftc.codegen.frontends.blocks.functions"),
    ("driftc.codegen.frontends.onnx",),
    ("driftc.codegen.frontends.saved_model",),
    ("driftc.codegen.frontends.torch",),
)


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in (path for top in ("boards", "codegen", "simulator") for path in (ROOT / top).rglob("*.py")):
        parts = ("driftc", *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def statements(body: list[ast.stmt], for_types: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that run when the module is loaded; `for_types`: and those that only a type checker sees."""
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            yield statement
        elif isinstance(statement, ast.If) and (for_types or "TYPE_CHECKING" not in ast.unparse(statement.test)):
            yield from statements([*statement.body, *statement.orelse], for_types)
        elif isinstance(statement, ast.Try):
            yield from statements(statement.body, for_types)


def imports(for_types: bool) -> dict[str, set[str]]:
    """Module -> the modules that it imports at its top level."""
    found: dict[str, set[str]] = {}
    for name, path in modules().items():
        wanted: set[str] = set()
        for statement in statements(ast.parse(path.read_text()).body, for_types):
            for alias in statement.names:
                whole = f"{statement.module}.{alias.name}" if isinstance(statement, ast.ImportFrom) else alias.name
                wanted.add(whole if whole in modules() else whole.rpartition(".")[0])
        found[name] = (wanted & modules().keys()) - {name}
    return found


def mutual(one: str, other: str) -> bool:
    return any(one.startswith(names) and other.startswith(names) for names in MUTUAL)


@pytest.mark.parametrize("for_types", [False, True])
def test_no_circles(for_types: bool) -> None:
    graph = imports(for_types)
    assert len(graph) > 200
    assert graph["driftc.codegen.graph"] >= {"driftc.codegen.operators.base", "driftc.codegen.tensor"}
    running = imports(False)
    kept = {
        one: {other for other in read if other in running[one] or not mutual(one, other)} for one, read in graph.items()
    }
    try:
        TopologicalSorter(kept).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))
