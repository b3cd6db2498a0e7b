"""Where compiled things are kept between runs, so that the same sources are compiled once."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path

from driftc.codegen.errors import ToolError

KEEP_DAYS = 30


@cache
def cache_folder() -> Path:
    """The platform's folder for caches, or DRIFTC_CACHE; entries unused for a month are dropped."""
    if override := os.environ.get("DRIFTC_CACHE"):
        folder = Path(override)
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Caches" / "driftc"
    elif sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "driftc"
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "driftc"
    try:
        (folder / "built").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolError(f"{folder}: {error.strerror}; set DRIFTC_CACHE to a folder that can be written") from error
    _drop_old(folder / "built")
    return folder.resolve()


def digest(parts: Iterable[str | bytes]) -> str:
    """A name for what is made from `parts`; their borders count."""
    total = sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()[:32]


def cached(key: str, build: Callable[[Path], None]) -> Path:
    """The folder kept under `key`; when there is none, `build` fills it.

    Others see it complete or not at all: it is built aside and renamed.
    """
    kept = cache_folder() / "built" / key
    if kept.is_dir():
        os.utime(kept)
        return kept
    aside = Path(tempfile.mkdtemp(prefix="new-", dir=kept.parent))
    try:
        build(aside)
        try:
            aside.rename(kept)
        except OSError:
            if not kept.is_dir():  # else another process was faster, with the same content
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return kept


def _drop_old(built: Path) -> None:
    oldest = time.time() - KEEP_DAYS * 86_400
    for entry in built.iterdir():
        try:
            if entry.stat().st_mtime < oldest:
                shutil.rmtree(entry, ignore_errors=True)
        except OSError:  # another process dropped it
            continue
