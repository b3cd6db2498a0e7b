"""The models that the programs here run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commands import driftc
from models import keyword_model, residual_model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kws/ with float i/o, and ic/: two models side by side."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "kws.tflite").write_bytes(keyword_model(channels=8))
    (folder / "ic.tflite").write_bytes(residual_model())
    driftc("compile", "kws.tflite", "--no-measure", "--float-io", cwd=folder)
    driftc("compile", "ic.tflite", "--no-measure", cwd=folder)
    return folder


@pytest.fixture
def own(models: Path, tmp_path: Path) -> Path:
    shutil.copytree(models, tmp_path, dirs_exist_ok=True)
    return tmp_path
