"""A packet and the key that signs it, as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from driftc.codegen.elastic.coding import Codes
from driftc.codegen.elastic.packet import LEAST_KEY, Header, opened
from driftc.codegen.elastic.parameters import Parameters
from driftc.codegen.errors import DataError, UsageError

LONGEST_KEY = 1 << 16  # bytes


def key_of(path: Path) -> bytes:
    """The file's bytes, all of them. Raises UsageError."""
    key = _read(path, LONGEST_KEY + 1, "the key ")
    if not LEAST_KEY <= len(key) <= LONGEST_KEY:
        raise UsageError(
            f"{path}: a key has {LEAST_KEY} to {LONGEST_KEY} bytes; head -c 32 /dev/urandom > FILE makes one"
        )
    return key


def packet_of(path: Path, known: Parameters, key: bytes | None) -> tuple[Header, Sequence[Codes]]:
    """Header and codes; of whatever key where `key` is None. Raises UsageError or DataError."""
    try:
        return opened(_read(path, known.packet_bytes + 1), known, key)
    except DataError as problem:
        raise DataError(f"{path.name}: {problem}") from None


def _read(path: Path, most: int, what: str = "") -> bytes:
    """The first `most` bytes: a device such as /dev/zero has no end."""
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as problem:
        raise UsageError(f"{path}: {what}cannot be read: {problem.strerror}") from None
