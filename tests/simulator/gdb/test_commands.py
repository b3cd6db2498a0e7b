"""verify and simulate --on gdb://, as a user types them."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from commands import driftc, driftc_json
from gdb_servers import qemu_stub
from shared_data import shared_file

from driftc import compile

MODELS = {
    "kws": "kws/kws_ref_model_int8.tflite",
    "ad": "ad/ad01_int8.tflite",
    "ic": "ic/pretrainedResnet_quant.tflite",
    "vww": "vww/vww_96_int8.tflite",
    "sww": "sww/str_ww_ref_model_int8.tflite",
}


def test_verify_and_simulate(kws: Path) -> None:
    """On a board's folder too: QEMU is told apart, and given the program of the machine that stands in."""
    with qemu_stub("cortex-m4") as port:
        on = f"gdb://127.0.0.1:{port}"
        found = driftc_json("verify", "kws", "--random", "2", "--on", on, cwd=kws)
        assert found["bit_exact"] and found["engines"] == ["numpy", "gdb"]
        assert (
            "gdb showed the outputs and states alone"
            in driftc("verify", "kws", "--random", "1", "--on", on, "--outputs", cwd=kws).stdout
        )
        emulated = driftc_json("simulate", "kws", "--random", "2", "--engine", "unicorn", cwd=kws)
        found = driftc_json("simulate", "kws", "--random", "2", "--on", on, cwd=kws)
        assert found["engine"] == "gdb" and found["samples"] == emulated["samples"]
        assert found["cycles"] is None  # QEMU counts none
        assert found["instructions"]["total"] > 0
        assert found["stack_peak_bytes"] == emulated["stack_peak_bytes"]


@pytest.mark.parametrize("name", MODELS)
def test_reference_models(name: str) -> None:
    """Every tensor; of kws, read over QEMU's stub, in under 1 s a sample."""
    model = shared_file(f"mlperf_tiny/models/{MODELS[name]}")
    compiled = compile(model, planner="greedy")
    with qemu_stub("cortex-m4") as port:
        on = f"gdb://127.0.0.1:{port}"
        assert compiled.verify(random=0, sample=0, on=on).bit_exact  # builds and loads
        started = time.monotonic()
        found = compiled.verify(random=5 if name == "kws" else 0, on=on)
        assert found.bit_exact and found.engines == ["numpy", "gdb"] and len(found.compared) == found.total
        assert name != "kws" or (time.monotonic() - started) / found.samples < 1


def test_adapted_resnet8(tmp_path: Path) -> None:
    """With live normalisation: the statistics and what they move are compared on the chip too."""
    model = shared_file("mlperf_tiny/models/ic/pretrainedResnet_quant.tflite")
    with np.load(shared_file("cifar10/train4000_lossless.npz")) as images:
        np.savez(tmp_path / "few.npz", x=images["x"][:40])
    compiled = compile(model, planner="greedy", adapt="fixed", calibrate=tmp_path / "few.npz", measure=False)
    with qemu_stub("cortex-m4") as port:
        found = compiled.verify(random=0, on=f"gdb://127.0.0.1:{port}")
    assert found.bit_exact and len(found.compared) == found.total


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--on", "gdb://127.0.0.1:1"], "no GDB server answers there"),
        (["--on", "gdb://nowhere.invalid:3333"], "no GDB server answers there"),
        (["--on", "gdb://127.0.0.1"], "expected gdb://HOST:PORT"),
        (["--on", "jtag://x"], "no such kind of address"),
        (["--outputs"], "--outputs belongs to --on"),
        (["--on", "gdb://127.0.0.1:1", "--learn"], "nothing learns here"),
    ],
)
def test_bad_input(kws: Path, arguments: list[str], message: str) -> None:
    done = driftc("verify", "kws", *arguments, cwd=kws, code=2)
    assert message in done.stderr and len(done.stderr.splitlines()) == 1


def test_what_differs_is_named(kws: Path, tmp_path: Path) -> None:
    """A byte of a constant that was changed shows on the chip, exit code 1."""
    subprocess.run(["cp", "-r", os.fspath(kws / "kws"), os.fspath(tmp_path)], check=True)
    source = tmp_path / "kws" / "kws_weights.h"
    text = source.read_text()
    start = text.index("{", re.search(r"_bias\[", text).start()) + 1  # type: ignore[union-attr]
    source.write_text(text[:start] + "100000 + " + text[start:])
    with qemu_stub("cortex-m4") as port:
        done = driftc("verify", "kws", "--random", "1", "--on", f"gdb://127.0.0.1:{port}", cwd=tmp_path, code=1)
    assert "NOT bit-exact" in done.stdout and "gdb" in done.stdout
