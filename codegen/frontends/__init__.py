"""Model files -> Graph, one package a format. A package that has SUFFIXES is registered by being here."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from driftc.codegen.errors import UsageError
from driftc.codegen.frontends.isolated import read
from driftc.codegen.graph import Graph


@cache
def formats() -> dict[str, ModuleType]:
    """Name -> package. SUFFIXES are of its files, FOLDER_HOLDS is in its folders; `load` reads either.

    FRAMEWORK is the module that reads it, in a child process. INSTEAD says, for suffixes of the framework's other
    files, what to make of them.
    """
    packages = [module.name for module in pkgutil.iter_modules(__path__) if module.ispkg]
    found = {name: import_module(f"{__name__}.{name}") for name in packages}
    return {name: package for name, package in found.items() if hasattr(package, "SUFFIXES")}


def suffixes() -> dict[str, str]:
    """Suffix of a file -> its format."""
    return dict(sorted((suffix, name) for name, package in formats().items() for suffix in package.SUFFIXES))


def format_of(path: Path) -> str | None:
    """By what a folder holds, else by the suffix."""
    for name, package in formats().items():
        if hasattr(package, "FOLDER_HOLDS") and (path / package.FOLDER_HOLDS).is_file():
            return name
    return suffixes().get(path.suffix)


def refuse_other_files(path: Path, title: str) -> None:
    """Raise UsageError where a framework's file has the suffix of none that is read, saying what to make of it."""
    for package in formats().values():
        if path.suffix in getattr(package, "INSTEAD", {}):
            raise UsageError(f"{title}: {package.INSTEAD[path.suffix]}")


def load_model(path: Path, name: str | None = None, title: str | None = None) -> Graph:
    """The model as its file has it: int8, or float with batch normalisation as operators of their own."""
    title = title or path.name
    found = format_of(path)
    if found is None:
        refuse_other_files(path, title)
        raise UsageError(f"{title}: driftc reads {', '.join(suffixes())} files and SavedModel folders")
    if hasattr(formats()[found], "FRAMEWORK"):
        return read(f"{__name__}.{found}.load", formats()[found].FRAMEWORK, path, name, title)
    frontend = import_module(f"{__name__}.{found}.load")
    graph: Graph = frontend.load(path, name, title)
    if graph.is_float:
        graph = frontend.compared(graph, path)
    return graph
