"""A CMake package in a program of the Pico SDK, which an emulated RP2040 runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from exported import export, shell, tools

RP2040 = Path(__file__).resolve().parents[2] / "support" / "platforms" / "rp2040"


def test_self_test_on_the_emulated_chip(models: Path, tmp_path: Path) -> None:
    for command in ("cmake", "arm-none-eabi-gcc", "node"):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is absent; .ci/tools installs it")
    package = export(models, "kws", "cmake", tmp_path)
    environment = {"PICO_SDK_PATH": str(tools() / "trixie" / "usr" / "src" / "pico-sdk")}
    options = f"-DMODEL={package} -DPICO_BOARD=pico -DCMAKE_BUILD_TYPE=Release"
    shell(f"cmake -S {RP2040} -B build {options} && cmake --build build -j2 --target app", tmp_path, environment)
    shell("arm-none-eabi-objcopy -O binary build/app.elf app.bin", tmp_path)
    assert shell(f"node {RP2040}/run.cjs {tools()}/node/node_modules app.bin", tmp_path).strip() == "kws: OK"
