"""The output folder: written whole or not at all, and read back by verify and simulate."""

from __future__ import annotations

import json
import shutil
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
    path = path.absolute()
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path.name}: is a file; name a folder for -o")
    if path.is_dir():
        strange = _strangers(path)
        if strange:
            raise UsageError(f"{path.name}: holds {strange}, which driftc did not write; name another folder for -o")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as problem:
        raise UsageError(f"{path}: cannot be written: {problem.strerror}") from None
    try:
        fresh.chmod(0o755)
        for name, content in files.items():
            target = fresh / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                target.write_bytes(content)
            else:
                target.write_text(content, encoding="utf-8", newline="\n")
        old = fresh.with_name(f"{fresh.name}-old")
        if path.exists():
            path.rename(old)
        fresh.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as problem:
        raise UsageError(f"{path}: cannot be written: {problem.strerror}") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


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
