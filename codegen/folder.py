"""The output folder: written whole or not at all, and read back by verify and simulate."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from driftc.codegen.errors import UsageError

RECORD = "driftc.json"


def write_folder(path: Path, files: Mapping[str, str | bytes]) -> None:
    """Write `files` (relative name -> content) as the folder `path`, replacing one that driftc wrote before.

    Everything is written beside `path` first and then renamed. A folder that driftc did not write, or that holds
    files it did not write, is left alone. Raises UsageError.
    """
    try:
        path = path.resolve()  # what a link points to is replaced, not the link
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path.name}: is a file; name a folder for -o")
        strange = _strangers(path)
        if strange:
            raise UsageError(f"{path.name}: holds {strange}, which driftc did not write; name another folder for -o")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name[:40]}-", dir=path.parent) as aside:
            fresh = Path(aside, "new")
            _write(fresh, files)
            _exchange(fresh, path, Path(aside, "old"))
    except (OSError, RuntimeError) as problem:  # RuntimeError: a loop of links
        reason = getattr(problem, "strerror", None) or problem
        raise UsageError(f"{path}: cannot be written: {reason}") from None


def _write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    folder.mkdir()
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            target.write_text(content, encoding="utf-8", newline="\n")


def _exchange(fresh: Path, path: Path, old: Path) -> None:
    """Rename `fresh` to `path`; what was there goes to `old`, and comes back where that fails or is interrupted."""
    if not path.exists():
        fresh.rename(path)
        return
    path.rename(old)
    try:
        fresh.rename(path)
    except BaseException:
        old.rename(path)
        raise


def read_record(path: Path) -> dict[str, object]:
    """driftc.json of a compiled folder. Raises UsageError where there is none."""
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError(f"{path}: not a folder that driftc compile wrote ({RECORD} is missing or damaged)") from None
    if not isinstance(record, dict):
        raise UsageError(f"{path}: {RECORD} is damaged; compile the model again")
    return record


def _strangers(path: Path) -> str | None:
    """The first file in the folder that driftc did not write, if any."""
    present = sorted(str(file.relative_to(path).as_posix()) for file in path.rglob("*") if not file.is_dir())
    if not present:
        return None
    try:
        known = read_record(path).get("files", [])
    except UsageError:
        return present[0]
    return next((name for name in present if not isinstance(known, list) or name not in known), None)
