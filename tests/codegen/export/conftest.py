"""The models that every target's package is made of and built with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import driftc
from exported import MODELS
from shared_data import shared_file


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kws/, ic/ with live layers, vww/ fed by rows, wake/ with a state, for every core. Read only."""
    folder = tmp_path_factory.mktemp("exports")
    path = "mlperf_tiny/models"
    np.savez(folder / "images.npz", x=np.random.default_rng(5).integers(-128, 128, (16, 32, 32, 3), np.int8))
    files = {
        "kws": (shared_file(f"{path}/kws/kws_ref_model_int8.tflite"),),
        "ic": (
            shared_file(f"{path}/ic/pretrainedResnet_quant.tflite"),
            *("--adapt", "fixed", "--calibrate", folder / "images.npz"),
        ),
        "vww": (shared_file(f"{path}/vww/vww_96_int8.tflite"), "--feed", "rows"),
        "wake": (shared_file("extra_models/micro_wake_word/v2_vad.tflite"),),
    }
    assert tuple(files) == MODELS
    for name, options in files.items():
        driftc(
            "compile", *options, "--name", name, *("--core", "cortex-m0plus", "--no-measure"), "-o", name, cwd=folder
        )
    return folder
