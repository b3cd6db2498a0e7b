"""The output folder: written whole or not at all, and read back by verify and simulate."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from driftc.codegen.errors import UsageError
from driftc.codegen.files import aside, exchange, left_behind, read_json

RECORD = "driftc.json"


def write_folder(path: Path, files: Mapping[str, str | bytes]) -> None:
    """Write `files` (relative name -> content) as the folder `path`, replacing one that driftc wrote before.

    Everything is written beside `path` first and then takes its place. A folder that driftc did not write, or that
    holds what it did not write, is left alone. What a run that was killed left is cleared away. Raises UsageError.
    """
    try:
        path = path.resolve()  # what a link points to is replaced, not the link
        _recover(path)
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path.name}: is a file; name a folder for -o")
        strange = _strangers(path)
        if strange:
            raise UsageError(
                f"{path.name}: holds {strange}, which driftc did not write; remove it, or name another folder for -o"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=aside(path), dir=path.parent) as place:
            fresh = Path(place, "new")
            _write(fresh, files)
            _exchange(fresh, path, Path(place, "old"))
    except (OSError, RuntimeError) as problem:  # RuntimeError: a loop of links
        reason = getattr(problem, "strerror", None) or problem
        raise UsageError(f"{path}: cannot be written: {reason}") from None


def _recover(path: Path) -> None:
    """Put back the folder that a killed run had set aside, and remove what else it left."""
    for left in left_behind(path):
        if left.is_dir() and {entry.name for entry in left.iterdir()} <= {"new", "old"}:
            if (left / "old").is_dir() and not path.exists():
                (left / "old").rename(path)
            shutil.rmtree(left, ignore_errors=True)


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
    """`fresh` takes the place of `path`, at one moment where the system can; what was there goes with the rest.

    Else what was there goes to `old`, and comes back where the second step fails or is interrupted.
    """
    if not path.exists():
        fresh.rename(path)
        return
    if exchange(fresh, path):
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
        record = read_json(path / RECORD)
    except (OSError, ValueError):
        raise UsageError(f"{path}: not a folder that driftc compile wrote ({RECORD} is missing or damaged)") from None
    if not isinstance(record, dict):
        raise UsageError(f"{path}: {RECORD} is damaged; compile the model again")
    return record


def _strangers(path: Path) -> str | None:
    """The first file, link or folder in the folder that driftc did not write, if any."""
    present = sorted(_entries(path), key=lambda name: (name.endswith("/"), name))
    if not present:
        return None
    try:
        found = read_record(path).get("files", [])
    except UsageError:
        return present[0].rstrip("/")
    known = {name for name in found if isinstance(name, str)} if isinstance(found, list) else set()
    folders = {f"{parent.as_posix()}/" for name in known for parent in Path(name).parents}
    strange = (name for name in present if name not in known | folders and _fresh(name) not in known)
    return next((name.rstrip("/") for name in strange), None)


def _fresh(name: str) -> str:
    """The file that `name` was to take the place of, where a process was killed that wrote it."""
    return re.sub(r"\.([^/]+)-\d+-\w{8}$", r"\1", name)


def _entries(path: Path) -> Iterator[str]:
    """Relative names of all that is below; a folder's ends in a slash, a link is none."""
    for base, folders, files in os.walk(path):
        here = Path(base).relative_to(path)
        for name in files + [name for name in folders if Path(base, name).is_symlink()]:
            entry = (here / name).as_posix()
            yield f"{entry} (a link)" if Path(base, name).is_symlink() else entry
        yield from (f"{(here / name).as_posix()}/" for name in folders if not Path(base, name).is_symlink())


def refuse_compiler_in(folder: Path, cc: str | None) -> None:
    """A folder may come from anyone: what it names is run only where it was there before. Raises UsageError."""
    found = None if cc is None else shutil.which(cc) or cc
    if found is None:
        return
    for place in (Path(found).absolute(), Path(found).resolve()):
        if place.is_relative_to(folder.absolute()) or place.is_relative_to(folder.resolve()):
            raise UsageError(f"{folder}: its {RECORD} names a compiler inside the folder, '{cc}', which is not run")
