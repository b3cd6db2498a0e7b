"""driftc simulate: accuracy from labels, kinds of data, counts, cores."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import driftc, driftc_json
from counting import counting

from driftc.codegen.compiled import Compiled
from driftc.simulator.engines import engine
from driftc.simulator.reference import run_graph


@pytest.fixture
def data(kws: Path, tmp_path: Path) -> Path:
    """Six samples in an .npz: `features` real, labels `y` of which four are what the model says."""
    compiled = Compiled.load(kws / "kws")
    random = np.random.default_rng(5)
    real = random.normal(size=(6, 49, 10, 1)).astype(np.float32)
    np.savez(tmp_path / "x.npz", features=real)
    graph = compiled.lowered.graph
    said = [
        int(np.argmax(run_graph(graph, sample)[graph.outputs[0].name]))
        for sample in compiled.samples(tmp_path / "x.npz").quantized
    ]
    labels = [label if number < 4 else (label + 1) % 12 for number, label in enumerate(said)]
    np.savez(tmp_path / "data.npz", features=real, y=np.array(labels), other=labels[::-1])
    return tmp_path / "data.npz"


def simulated(kws: Path, *options: str | Path, using: str = "host") -> Any:
    absent = engine(using).missing_for("cortex-m4")
    if absent is not None:
        pytest.skip(absent)
    return driftc_json("simulate", "kws", "--engine", using, *options, cwd=kws)


def test_accuracy_from_labels_in_the_data(kws: Path, data: Path) -> None:
    found = simulated(kws, "--data", data)
    assert (found["engine"], found["core"], found["samples"]) == ("host", None, 6)
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["instructions"] is found["stack_peak_bytes"] is None


def test_labels_from_elsewhere_and_one_sample(kws: Path, data: Path) -> None:
    assert simulated(kws, "--data", data, "--labels", f"{data}:y")["accuracy"] == pytest.approx(4 / 6)
    assert simulated(kws, "--data", data, "--sample", "5")["accuracy"] == 0.0
    assert simulated(kws, "--random", "2")["accuracy"] is None


def test_kinds_of_data_that_mean_the_same(kws: Path, tmp_path: Path) -> None:
    """uint8 with a divisor, the same as float32, the same quantised, and an .npy: equal outputs."""
    tensor = Compiled.load(kws / "kws").lowered.graph.inputs[0]
    pixels = np.random.default_rng(3).integers(0, 256, (3, 49, 10, 1)).astype(np.uint8)
    real = (pixels / 64).astype(np.float32)
    steps = np.float64(real / np.float32(tensor.scale))
    rounded = np.trunc(steps + np.copysign(0.5, steps)) + tensor.zero_point
    np.savez(tmp_path / "uint8.npz", x=pixels)
    np.savez(tmp_path / "float.npz", features=real)
    np.save(tmp_path / "raw.npy", np.clip(rounded, -128, 127).astype(np.int8))
    kept = []
    divisor = ["--input-divisor", "64"]
    for name, options in (("uint8.npz", divisor), ("float.npz", []), ("raw.npy", [])):
        files = ("--data", tmp_path / name, "--save-tensors", tmp_path / f"{name}.out.npz")
        driftc("verify", "kws", "--engine", "numpy", *files, *options, cwd=kws)
        with np.load(tmp_path / f"{name}.out.npz") as tensors:
            kept.append({key: tensors[key] for key in tensors})
    assert all(np.array_equal(kept[0][key], other[key]) for other in kept[1:] for key in kept[0])


def test_counts(kws: Path) -> None:
    name = counting()
    found = simulated(kws, "--random", "1", using=name)
    assert (found["engine"], found["core"], found["samples"]) == (name, "cortex-m4", 4)
    per_layer = found["instructions"]["per_layer"]
    assert [step["name"] for step in per_layer][-2:] == ["dense", "probabilities"]
    assert found["instructions"]["total"] == sum(step["instructions"] for step in per_layer)
    assert found["stack_peak_bytes"] > 0
    text = driftc("simulate", "kws", "--engine", name, "--random", "1", "--sample", "0", cwd=kws).stdout
    assert f"1 samples on {name} (cortex-m4)" in text
    assert re.search(r"^output \[.*\]$", text, re.MULTILINE)


def test_core_and_optimisation_override_what_the_folder_remembers(kws: Path) -> None:
    name = counting("cortex-m33")
    found = simulated(kws, "--random", "0", "--core", "cortex-m33", "-O", "s", using=name)
    assert found["core"] == "cortex-m33"
    assert found["instructions"]["total"] > simulated(kws, "--random", "0", using=name)["instructions"]["total"]


def test_a_core_without_the_instructions_of_the_folder_is_refused(kws: Path) -> None:
    said = driftc("simulate", "kws", "--core", "cortex-m0plus", cwd=kws, code=2).stderr
    assert "its C is for cortex-m4 and its DSP instructions, which cortex-m0plus does not have" in said
    assert "compile the model with --core cortex-m0plus" in said


def test_a_core_that_only_has_other_preferences_is_taken(kws: Path) -> None:
    driftc("compile", "kws.tflite", "--core", "cortex-m3", "-o", "m3", "--no-measure", cwd=kws)
    report = json.loads((kws / "m3" / "report.json").read_text())
    assert "portable/blocked" in {layer["kernel"] for layer in report["layers"]}
    name = counting("cortex-m0plus")
    out = driftc("simulate", "m3", "--engine", name, "--core", "cortex-m0plus", "--random", "1", cwd=kws).stdout
    assert f"on {name} (cortex-m0plus)" in out
