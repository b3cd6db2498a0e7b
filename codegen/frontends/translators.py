"""A format's translators: the framework's name of a layer -> the function that brings it into the Graph.

They lie in a folder of the format's package, a module a family of layers, and are registered by being there. The first
line of a function's docstring says in the manual what of the layer is read, where that is not all of it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import Any, Generic, TypeVar, cast

from driftc.codegen.frontends.missing import missing_text

Function = TypeVar("Function", bound=Callable[..., Any])
One = TypeVar("One", bound=Callable[..., Any])


class Translators(Generic[Function]):
    """Called with names, it is the decorator that registers a function under them."""

    def __init__(self, package: str) -> None:
        """`package` is imported when a name is looked up first, not before: its modules import this object."""
        self._package = package
        self._found: dict[str, Function] = {}
        self._left_out: dict[str, str] = {}

    def __call__(self, *names: str) -> Callable[[One], One]:
        def register(function: One) -> One:
            for name in names:
                if name in self._found:
                    raise ValueError(f"{self._package}: {name} has two translators")
                self._found[name] = cast(Function, function)
            return function

        return register

    def leave_out(self, reason: str, *names: str) -> None:
        """`reason` says why layers of these names are not read, and what to do instead."""
        self._left_out.update(dict.fromkeys(names, reason))

    @property
    def left_out(self) -> dict[str, str]:
        """Name -> reason."""
        _ = self.known
        return dict(sorted(self._left_out.items()))

    @cached_property
    def known(self) -> dict[str, Function]:
        """Every name, sorted."""
        package = import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__, f"{self._package}."):
            import_module(module.name)
        return dict(sorted(self._found.items()))


class Missing:
    """What a model holds that nothing translates. It is told at once, by name and layer, when the walk is over."""

    def __init__(self, translators: Translators[Any]) -> None:
        self._translators = translators
        self._found: list[tuple[str, str]] = []

    def add(self, name: str, label: str) -> None:
        self._found.append((name, label))

    def refuse(self, refuse: Callable[[str], Any]) -> None:
        """Call `refuse` where something was added."""
        if self._found:
            refuse(missing_text(self._found, self._translators.left_out, "docs/models.md"))
