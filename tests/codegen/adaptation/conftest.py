"""Models to adapt."""

from __future__ import annotations

from pathlib import Path

import pytest
from live_models import MODELS


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / f"{request.param}.tflite"
    path.write_bytes(MODELS[request.param]())
    return path
