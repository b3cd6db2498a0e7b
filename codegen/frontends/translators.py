"""A format's translators: the framework's name of a layer -> the function that brings it into the Graph.

They lie in a folder of the format's package, a module a family of layers, and are registered by being there.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import Any, Generic, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


class Translators(Generic[Function]):
    """Called with names, it is the decorator that registers a function under them."""

    def __init__(self, package: str) -> None:
        """`package` is imported when a name is looked up first, not before: its modules import this object."""
        self._package = package
        self._found: dict[str, Function] = {}

    def __call__(self, *names: str) -> Callable[[Function], Function]:
        def register(function: Function) -> Function:
            for name in names:
                if name in self._found:
                    raise ValueError(f"{self._package}: {name} has two translators")
                self._found[name] = function
            return function

        return register

    @cached_property
    def known(self) -> dict[str, Function]:
        """Every name, sorted."""
        package = import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__, f"{self._package}."):
            import_module(module.name)
        return dict(sorted(self._found.items()))
