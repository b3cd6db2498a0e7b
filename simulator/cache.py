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


def content_digest(path: Path) -> str:
    """The same for a file, or a folder of files."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return digest(part for file in files for part in (file.relative_to(path).as_posix(), file.read_bytes()))


def cached(key: str, name: str, build: Callable[[Path], None], *, executable: bool = False) -> Path:
    """The file `name` that is kept under `key`; where there is none that can be used, `build` makes it in a folder.

    Others see it complete or not at all: it is built aside and renamed. Raises ToolError where `build` made none.
    """
    kept = cache_folder() / "built" / key
    if _usable(kept / name, executable):
        os.utime(kept)
        return kept / name
    aside = Path(tempfile.mkdtemp(prefix="new-", dir=kept.parent))
    try:
        build(aside)
        if not _usable(aside / name, executable):
            raise ToolError(f"the compiler reported no error, but made no {name}; try another with --cc")
        if kept.is_symlink() or kept.is_file():
            kept.unlink()
        elif not _usable(kept / name, executable):  # damaged: else another process was faster
            shutil.rmtree(kept, ignore_errors=True)
        try:
            aside.rename(kept)
        except OSError:
            if not _usable(kept / name, executable):
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return kept / name


def _usable(file: Path, executable: bool) -> bool:
    try:
        return file.is_file() and file.stat().st_size > 0 and os.access(file, os.X_OK if executable else os.R_OK)
    except OSError:  # a loop of links, or another process dropped it
        return False


def _drop_old(built: Path) -> None:
    oldest = time.time() - KEEP_DAYS * 86_400
    for entry in built.iterdir():
        try:
            if entry.stat().st_mtime < oldest:
                shutil.rmtree(entry, ignore_errors=True)
        except OSError:  # another process dropped it
            continue
