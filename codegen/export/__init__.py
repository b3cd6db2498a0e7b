"""A compiled folder as a package for one world: CMake, ESP-IDF, Arduino and so on, a file each.

A module here that derives a class from `Target` is a target, registered by being there; what it writes that is not the
model's own C lies in `templates/export/TARGET/`.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import driftc
from driftc.codegen.errors import UsageError
from driftc.codegen.export.archive import check_archive, write_archive
from driftc.codegen.export.package import Settings, read_package
from driftc.codegen.export.target import Target
from driftc.codegen.folder import RECORD, read_record, write_folder


@dataclass(frozen=True)
class Exported:
    """What was written: a folder, and a file where it was packed; and what whoever exports should know."""

    paths: tuple[Path, ...]
    note: str | None


@cache
def targets() -> Mapping[str, Target]:
    """Name on the command line -> the target."""
    found: dict[str, Target] = {}
    for module in pkgutil.iter_modules(__path__):
        for value in vars(import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Target) and value is not Target:
                found[value.name] = value()
    return dict(sorted(found.items()))


def export(folder: str | Path, to: str, output: str | Path | None, settings: Settings, archive: bool) -> Exported:
    """Write the package of `folder` for the target `to`, with `archive` a packed one too.

    By default the folder is TARGET/NAME, so that a second model lands beside the first; a target may have another.
    Raises UsageError, and ToolError where a target needs a tool that is missing or fails.
    """
    target = targets().get(to)
    if target is None:
        raise UsageError(f"--to {to}: no such target; known are {', '.join(targets())}")
    for option in settings.given():
        if option not in (*Settings.COMMON, *target.takes):
            users = [name for name, other in targets().items() if option in other.takes]
            raise UsageError(f"--{option} belongs to --to {' and '.join(users)}, not to {to}")
    package = read_package(Path(folder), settings)
    place = Path(output) if output is not None else target.folder(package)
    _check(place)
    packed = place.with_name(target.archive_name(package))
    if archive:
        check_archive(packed)
    files = target.files(package)
    listed = sorted([*files, RECORD])
    record = {"driftc": driftc.__version__, "export": to, "model": package.source, "files": listed}
    files[RECORD] = json.dumps(record, indent=2) + "\n"
    write_folder(place, files)
    if archive:
        write_archive(packed, target.archive_root(package), files)
    return Exported((place, packed) if archive else (place,), target.note(package))


def _check(place: Path) -> None:
    """Raise UsageError where a compiled folder would be replaced."""
    if (place / RECORD).is_file() and "export" not in read_record(place):
        raise UsageError(f"{place}: is a folder that driftc compile wrote; name another folder for -o")
