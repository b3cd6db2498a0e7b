"""`driftc quantize` and `driftc compile --calibrate`, on a float .tflite that needs no framework."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import driftc, driftc_json
from models import keyword_model
from oracle import load_bytes

from driftc.codegen.passes.dequantize import dequantize
from driftc.codegen.tflite_writer import write


@pytest.fixture(scope="module")
def float_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a float net.tflite, samples.npz for it and the int8 model that it was made of."""
    folder = tmp_path_factory.mktemp("float")
    graph = load_bytes(keyword_model())
    (folder / "kws_int8.tflite").write_bytes(keyword_model())
    (folder / "net.tflite").write_bytes(write(dequantize(graph)))
    features = np.random.default_rng(0).normal(size=(40, 49, 10, 1), scale=40 * graph.inputs[0].scale)
    np.savez(folder / "samples.npz", x=features.astype(np.float32))
    return folder


def test_quantize_then_compile_and_verify(float_model: Path) -> None:
    done = driftc("quantize", "net.tflite", "--calibrate", "samples.npz", "-o", "made.tflite", cwd=float_model)
    assert "calibrated: 40 samples of samples.npz" in done.stdout
    assert "warning: 40 calibration samples are few" in done.stdout
    assert "depthwise_2" in done.stdout
    assert "next: driftc compile made.tflite" in done.stdout
    driftc("compile", "made.tflite", "--no-measure", cwd=float_model)
    verified = driftc_json("verify", "made", "--random", "2", "--engine", "host", cwd=float_model)
    assert verified["bit_exact"]


def test_compile_with_calibration_is_the_same_model(float_model: Path) -> None:
    options = ("--calibrate", "samples.npz", "--ranges", "minmax", "--no-correct-bias", "--no-equalize")
    done = driftc(
        "compile", "net.tflite", *options, "--no-measure", "--dump-after", "quantize", "-o", "c", cwd=float_model
    )
    assert "--- after quantize" in done.stdout
    assert "own dB" in done.stdout
    report = driftc_json("quantize", "net.tflite", *options, "-o", "again.tflite", cwd=float_model)
    assert {"notes", "layers"} == report.keys()
    assert (float_model / "again.tflite").read_bytes() == (float_model / "c" / "model.tflite").read_bytes()
    assert json.loads((float_model / "c" / "driftc.json").read_text())["model"] == "net.tflite"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("compile", "net.tflite"), "--calibrate"),
        (("quantize", "kws_int8.tflite", "--calibrate", "samples.npz"), "is quantised already"),
        (("compile", "kws_int8.tflite", "--calibrate", "samples.npz"), "is quantised already"),
        (("quantize", "net.tflite", "--calibrate", "none.npz"), "none.npz: no such file"),
        (("quantize", "net.tflite"), "Missing option '--calibrate'"),
        (("quantize", "net.tflite", "--calibrate", "samples.npz", "--input-divisor", "0"), "must be above 0"),
        (("quantize", "net.tflite", "--calibrate", "samples.npz", "-o", "no/such/folder.tflite"), "cannot be written"),
        (("quantize", "net.pb", "--calibrate", "samples.npz"), "driftc reads .h5, .hdf5, .keras"),
        (("compile", "net.keras", "--no-measure"), "float models with --calibrate"),
    ],
)
def test_bad_use(arguments: tuple[str, ...], said: str, float_model: Path) -> None:
    assert said in driftc(*arguments, cwd=float_model, code=2).stderr
