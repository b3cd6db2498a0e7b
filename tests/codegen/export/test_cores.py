"""C that was compiled for one core, on others: the same bytes by plain C, and exporting says so."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from commands import ROOT, driftc
from exported import export, shell
from models import keyword_model

from driftc.codegen.compiled import Compiled
from driftc.codegen.export import export as write
from driftc.codegen.export import targets
from driftc.codegen.export.package import Settings, read_package
from driftc.simulator.engines import engine

FREESTANDING = ROOT / "firmware" / "ports" / "freestanding"
COMPILERS = (
    "arm-none-eabi-gcc -mcpu=cortex-m0plus -mthumb",
    "arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb",
    "arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb",
    "riscv64-unknown-elf-gcc -march=rv32imc -mabi=ilp32",
    "xtensa-lx106-elf-gcc -mlongcalls",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with kws, compiled for each of dsp/, mve/ and plain/."""
    folder = tmp_path_factory.mktemp("cores")
    (folder / "kws.tflite").write_bytes(keyword_model(channels=8))
    for place, core in (("dsp", "cortex-m4"), ("mve", "cortex-m55"), ("plain", "cortex-m0plus")):
        driftc("compile", "kws.tflite", "--core", core, "--no-measure", "-o", f"{place}/kws", cwd=folder)
    assert (folder / "dsp" / "kws" / "driftc_dsp.h").is_file()
    assert (folder / "mve" / "kws" / "driftc_mve.h").is_file()
    assert not (folder / "plain" / "kws" / "driftc_dsp.h").exists()
    return folder


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "rv32imc", "cortex-m4"])
@pytest.mark.parametrize("place", ["dsp", "mve"])
def test_every_tensor_is_right_on_other_cores(place: str, core: str, made: Path) -> None:
    compiled = Compiled.load(made / place / "kws")
    compiled.options = replace(compiled.options, core=core)
    absent = engine("qemu").missing_for(core)
    if absent is not None:
        pytest.skip(absent)
    assert compiled.verify(random=1, engines=["qemu"]).bit_exact


@pytest.mark.parametrize("place", ["dsp", "mve"])
def test_compiles_for_other_cores_and_says_so(place: str, made: Path, tmp_path: Path) -> None:
    package = export(made / place, "kws", "cmake", tmp_path)
    flags = f"-std=c11 -O2 -Wall -Wextra -Wconversion -Wshadow -Wpedantic -Werror -ffreestanding -I{FREESTANDING}"
    for compiler in COMPILERS:
        if shutil.which(compiler.split()[0]) is None:
            pytest.skip(f"{compiler.split()[0]} is absent; .ci/tools installs it")
        said = shell(f"{compiler} {flags} -Iinclude -c src/kws.c -o ../kws.o 2>&1", package)
        slow = place == "mve" or "cortex-m4" not in compiler
        assert ("slow plain C is used; driftc compile --core has faster C" in said) == slow, f"{compiler}: {said}"


@pytest.mark.parametrize("target", targets())
def test_export_says_where_it_is_slow(target: str, made: Path, tmp_path: Path) -> None:
    notes = {
        place: write(made / place / "kws", target, tmp_path / place, Settings(), archive=False).note
        for place in ("plain", "dsp", "mve")
    }
    where = {"esp-idf": "all ESP32s", "mpy": "armv6m, armv7m, rv32imc, xtensawin"}.get(target, "other cores")
    assert notes["plain"] is None
    assert notes["dsp"] == (
        f"the C of kws is for cores with DSP instructions (Cortex-M4, M7, M33, M55, M85); on {where} plain C is used "
        "instead, with the same bytes, but several times slower than what 'driftc compile --core NAME' gives for them"
    )
    assert "is for cores with MVE (Cortex-M55, M85); on " in str(notes["mve"])
    for place, note in notes.items():
        assert ("| made for | cores with" in (tmp_path / place / "README.md").read_text()) == (note is not None)


def test_command_line_says_it(made: Path, tmp_path: Path) -> None:
    done = driftc("export", made / "dsp" / "kws", "--to", "zephyr", cwd=tmp_path)
    assert done.stderr.startswith("driftc: note: the C of kws is for cores with DSP instructions (")
    assert done.stdout == "wrote zephyr/kws; next: zephyr/kws/README.md\n"


@pytest.mark.parametrize(
    ("place", "core", "slow"),
    [
        ("dsp", "Cortex-M33", False),
        ("dsp", "Cortex-M3", True),
        ("dsp", "Cortex-M0+", True),
        ("mve", "Cortex-M4", True),
        ("mve", "Cortex-M85", False),
        ("plain", "Cortex-M0", False),
    ],
)
def test_core_of_a_solution(place: str, core: str, slow: bool, made: Path, tmp_path: Path) -> None:
    mlops = tmp_path / "app.cbuild-mlops.yml"
    mlops.write_text(f"cbuild-mlops:\n  processor: {{type: {core}}}\n  model: {{clayer: a/b.clayer.yml}}\n")
    note = targets()["cmsis"].note(read_package(made / place / "kws", Settings(mlops=mlops)))
    assert note is None if not slow else f"; on the solution's {core} plain C" in str(note)


def test_native_modules_that_are_fast(made: Path) -> None:
    note = targets()["mpy"].note
    assert note(read_package(made / "dsp" / "kws", Settings(arch=("x64", "armv7emsp")))) is None
    assert "; on armv7emsp plain C" in str(
        note(read_package(made / "mve" / "kws", Settings(arch=("x64", "armv7emsp"))))
    )
