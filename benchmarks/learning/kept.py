"""What takes long is made once: files and folders whose names have a digest of all that they depend on."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from inspect import getsource
from pathlib import Path
from typing import Any

import numpy as np

from driftc.simulator.cache import content_digest, digest


def kept(path: Path, parts: tuple[Any, ...], make: Callable[[Path], object]) -> Path:
    """Beside `path`, whose name goes on with a digest of `parts` (what `part` takes), what `make` wrote there.

    It is there whole or not at all; where two make it at once, one of both stays.
    """
    found = path.with_name(f"{path.stem}-{digest(map(part, parts))[:12]}{path.suffix}")
    if found.exists():
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.stem}-", dir=path.parent))
    try:
        make(aside / found.name)
        try:
            (aside / found.name).rename(found)
        except OSError:  # another's folder is there
            if not found.exists():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return found


def part(value: Any) -> bytes:
    """What a value says: an array its elements, a path what is there, a function or module its source."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str} {value.shape} ".encode() + np.ascontiguousarray(value).tobytes()
    if isinstance(value, Path):
        return content_digest(value).encode()
    if isinstance(value, bytes):
        return value
    return (getsource(value) if callable(value) or hasattr(value, "__file__") else repr(value)).encode()
