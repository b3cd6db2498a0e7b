"""What the tests of commands share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def own(kws: Path, tmp_path: Path) -> Path:
    """A copy of the folder, to change."""
    shutil.copytree(kws, tmp_path / "own")
    return tmp_path / "own"
