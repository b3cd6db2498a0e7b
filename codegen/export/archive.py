"""A package as one .zip, the same bytes each time."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from driftc.codegen.errors import UsageError
from driftc.codegen.export.package import Files
from driftc.codegen.files import write_file

_MARK = b"driftc export"  # the archive's comment, by which a later export knows its own
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first time that a .zip can say


def archived(root: str, files: Files) -> bytes:
    """The .zip of these files, below the folder `root`."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.comment = _MARK
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(root + name, _EARLIEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, content)
    return found.getvalue()


def write_archive(path: Path, root: str, files: Files) -> None:
    """Write it whole or not at all. Raises UsageError."""
    write_file(path, archived(root, files))


def check_archive(path: Path) -> None:
    """Raise UsageError where `path` is a file that no export wrote."""
    if not path.exists():
        return
    if path.is_file() and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if archive.comment == _MARK:
                return
    raise UsageError(f"{path}: exists and is no archive that driftc wrote; move it away, or give another -o")
