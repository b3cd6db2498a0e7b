"""Zip archives that models come in: what they unpack to is bounded before anything is unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path

from driftc.codegen.errors import ModelError

LARGEST = 1 << 30  # bytes that all members unpack to
MOST = 10_000  # members


def opened(path: Path, title: str) -> zipfile.ZipFile:
    """The archive. Raises ModelError for what is none, and for one that unpacks to too much."""
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as problem:
        raise ModelError(f"{title}: is no archive of a model, or is damaged: {problem}") from None
    members = archive.infolist()
    if len({info.filename for info in members}) < len(members):
        archive.close()
        raise ModelError(f"{title}: holds two members of one name, of which readers take one or the other")
    size = sum(member.file_size for member in members)
    if size > LARGEST or len(members) > MOST:
        archive.close()
        raise ModelError(
            f"{title}: {len(members)} members unpack to {size} bytes; driftc reads up to {LARGEST >> 20} MiB"
        )
    return archive


def member(archive: zipfile.ZipFile, name: str, title: str) -> bytes:
    """The content of one member. Raises ModelError where it is damaged."""
    try:
        return archive.read(name)
    except Exception as problem:  # zipfile, zlib, lzma and bz2 each have their own
        raise ModelError(f"{title}: its member '{name}' is damaged: {problem or type(problem).__name__}") from None
