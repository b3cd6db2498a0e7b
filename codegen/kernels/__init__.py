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


@cache
def kernels(core: str | None = None) -> tuple[Kernel, ...]:
    """Those that suit `core`, a file name in boards/cores/; None: those that suit every core."""
    known = load_core(core) if core is not None else None
    features = known.features if known is not None else frozenset()
    return tuple(kind(known) for kind in registry() if kind.needs | kind.prefers <= features)
