"""Packages of the extras, imported where they are used: driftc works without them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from driftc.codegen.errors import ToolError


def package(module: str, distribution: str, extra: str = "sim") -> Any:
    """The module, or a ToolError that says how to install its distribution."""
    try:
        return import_module(module)
    except ImportError:
        raise ToolError(f'{distribution} is not installed; pip install "driftc[{extra}]" brings it') from None
