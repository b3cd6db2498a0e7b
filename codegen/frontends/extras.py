"""Frameworks that are imported only when a model needs them."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from driftc.codegen.errors import ToolError


def load_extra(module: str, extra: str, title: str) -> Any:
    """The module, or ToolError naming the extra that brings it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow writes about the machine on standard error
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    try:
        return import_module(module)
    except ImportError:
        raise ToolError(f'{title}: needs {module}: pip install "driftc[{extra}]"') from None
