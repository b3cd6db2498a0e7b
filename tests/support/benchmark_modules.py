"""Modules of benchmarks, whose names tests and examples have too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

import pytest
from commands import ROOT


@contextmanager
def benchmark_module(monkeypatch: pytest.MonkeyPatch, name: str, *folders: str) -> Iterator[ModuleType]:
    """`name` and what it imports from these folders of benchmarks; afterwards who had the names has them again."""
    found = [ROOT / "benchmarks" / folder for folder in folders]
    for folder in found[::-1]:
        monkeypatch.syspath_prepend(str(folder))
    names = {path.stem for folder in found for path in folder.glob("*.py")}
    before = {each: sys.modules.pop(each) for each in names & sys.modules.keys() - {"__main__"}}
    yield import_module(name)
    for each in names - {"__main__"}:
        sys.modules.pop(each, None)
    sys.modules.update(before)
