"""The operators, by family. A module that defines an Operator with `codes` is registered by existing in a folder."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from driftc.codegen.operators.base import Operator


def registry() -> dict[str, type[Operator]]:
    """BuiltinOperator name -> the class that implements it."""
    return {code: operator for code, operator in known().items() if operator.in_files}


@cache
def known() -> dict[str, type[Operator]]:
    """The same, and the operators that only passes make."""
    found: dict[str, type[Operator]] = {}
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        for value in vars(import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Operator) and "codes" in vars(value):
                found.update(dict.fromkeys(value.codes, value))
    return dict(sorted(found.items()))
