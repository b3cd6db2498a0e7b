"""Files that appear whole or not at all, and JSON from files that anyone may have changed."""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from driftc.codegen.errors import UsageError

LARGEST_JSON = 1 << 26  # bytes


def write_file(path: Path, content: bytes | Callable[[IO[bytes]], object]) -> None:
    """Write `content`, or what it writes, in the place of `path`, which stays as it is until all is on the disk.

    Raises UsageError where that fails.
    """
    fresh: Path | None = None
    try:
        path = path.resolve()  # a link stays, and what it points to is replaced
        for left in left_behind(path):
            if left.is_file():
                left.unlink(missing_ok=True)
        number, name = tempfile.mkstemp(prefix=aside(path), dir=path.parent)
        fresh = Path(name)
        with os.fdopen(number, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(number)
        fresh.chmod(0o666 & ~_umask())
        fresh.replace(path)
        fresh = None
    except (OSError, RuntimeError) as problem:  # RuntimeError: a loop of links
        reason = getattr(problem, "strerror", None) or problem
        raise UsageError(f"{path}: cannot be written: {reason}") from None
    finally:
        if fresh is not None:
            fresh.unlink(missing_ok=True)


def aside(path: Path) -> str:
    """How what is written beside `path` begins: with its name and this process."""
    return f".{path.name[:40]}-{os.getpid()}-"


def left_behind(path: Path) -> list[Path]:
    """What processes that are no more had written beside `path`."""
    named = re.compile(rf"\.{re.escape(path.name[:40])}-(\d{{1,9}})-\w{{8}}")
    found = [(entry, named.fullmatch(entry.name)) for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    return [e for e, match in found if match is not None and not e.is_symlink() and not _alive(int(match[1]))]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def read_json(path: Path) -> Any:
    """The value in the file. Raises OSError, and ValueError in words for what is no JSON, or too much of it."""
    if path.stat().st_size > LARGEST_JSON:
        raise ValueError(f"{path.stat().st_size} bytes; driftc reads up to {LARGEST_JSON >> 20} MiB")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("objects within objects, too deep to be read") from None


def exchange(a: Path, b: Path) -> bool:
    """Swap two entries of one file system at one moment; False where the system has no call for it."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            code = libc.renamex_np(bytes(a), bytes(b), 2)  # RENAME_SWAP
        else:
            code = libc.renameat2(-100, bytes(a), -100, bytes(b), 2)  # AT_FDCWD, RENAME_EXCHANGE
    except (OSError, AttributeError, TypeError):
        return False
    return bool(code == 0)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
