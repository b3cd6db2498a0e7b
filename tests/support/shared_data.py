"""The shared models and samples: a folder outside the repository, named by DRIFTC_DATA or ../shared/data beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parents[2]


def data_folder() -> Path:
    return Path(os.environ.get("DRIFTC_DATA", _REPOSITORY.parent / "shared" / "data"))


def shared_file(path: str) -> Path:
    """A file of the shared data; the test is skipped, saying so, where it is absent."""
    file = data_folder() / path
    if not file.is_file():
        pytest.skip(f"shared data absent: {path}; DRIFTC_DATA names the folder it is in")
    return file
