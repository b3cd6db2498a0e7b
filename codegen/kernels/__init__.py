"""The kernels: which loop nest computes a call of the Plan. A module that defines one is registered by its being there.

A folder a core extension: `portable` runs everywhere; the others need what their kernels name in `needs`.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from driftc.boards.cores import load_core
from driftc.codegen.kernels.kernel import Kernel


@cache
def registry() -> tuple[type[Kernel], ...]:
    """Every kernel's class, in the order of folders and files."""
    found: dict[type[Kernel], None] = {}
    for module in sorted(pkgutil.walk_packages(__path__, f"{__name__}."), key=lambda module: module.name):
        for value in vars(import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Kernel) and "name" in vars(value):
                found[value] = None
    return tuple(found)


Granted = tuple[tuple[str, str], ...]  # operators and the kernels that they may have, by name


@cache
def kernels(core: str | None = None, granted: Granted | None = ()) -> tuple[Kernel, ...]:
    """Those that suit `core`, a file name in boards/cores/; None: those that suit every core.

    Kernels with larger constants are there for the operators that they are `granted` to; None: to all.
    """
    known = load_core(core) if core is not None else None
    features = known.features if known is not None else frozenset()
    found: list[Kernel] = []
    for kind in registry():
        layers = None
        if kind.granted and granted is not None:
            layers = frozenset(operator for operator, kernel in granted if kernel == kind.name)
        if kind.needs | kind.prefers <= features and (layers is None or layers):
            found.append(kind(known, layers))
    return tuple(found)
