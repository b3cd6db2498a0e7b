"""ESP-IDF components: the files fit together.

No ESP-IDF is in reach of the tests. Espressif's component manager and Kconfig tools are, and judge their files; the
rest is built by an `idf.py` of ours, with this machine's compiler, and by that for a RISC-V ESP32.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest
from commands import ROOT
from exported import MODELS, STAND_INS, both_selftests, export, readme_commands, shell, tools

FREESTANDING = ROOT / "firmware" / "ports" / "freestanding"  # a string.h, where the compiler has no library
SAID = ("--author", "Ada <ada@x.org>", "--url", "https://x.org", "--license", "MIT", "--version", "1.2.3")


def run(commands: str, folder: Path) -> str:
    return shell(commands, folder, path=(STAND_INS, tools() / "venv" / "bin"))


@pytest.mark.parametrize("name", MODELS)
def test_files_fit_together(name: str, models: Path, tmp_path: Path) -> None:
    package = export(models, name, "esp-idf", tmp_path)
    (try_it,) = readme_commands(package)
    assert run(try_it, package).endswith(f"\n{name}: OK\n")


def test_two_components_in_one_program(models: Path, tmp_path: Path) -> None:
    for name in ("ic", "kws"):
        export(models, name, "esp-idf", tmp_path)
    example = shutil.copytree(tmp_path / "ic" / "examples" / "selftest", tmp_path / "both")
    manifest = [f'  {name}:\n    version: "*"\n    override_path: "../../{name}"\n' for name in ("ic", "kws")]
    (example / "main" / "idf_component.yml").write_text("dependencies:\n" + "".join(manifest))
    (example / "sdkconfig.defaults").write_text("CONFIG_IC_SELFTEST=y\nCONFIG_KWS_SELFTEST=y\n")
    program = both_selftests("ic", "kws").replace("int main(void)", "void app_main(void)")
    (example / "main" / "main.c").write_text(program.replace("return 1", "return").replace("    return 0;\n", ""))
    assert run("idf.py build flash monitor", example).endswith("\nic: OK\nkws: OK\n")


def test_component_manager_packs_it(models: Path, tmp_path: Path) -> None:
    package = export(models, "kws", "esp-idf", tmp_path, *SAID)
    environment = {"IDF_COMPONENT_CACHE_PATH": str(tmp_path / "cache"), "IDF_COMPONENT_CHECK_NEW_VERSION": "0"}
    shell(
        f"compote component pack --name kws --dest-dir {tmp_path}/dist", package, environment, path=tools() / "venv/bin"
    )
    (archive,) = (tmp_path / "dist").glob("*.tgz")
    assert archive.name == "kws_1.2.3.tgz"
    with tarfile.open(archive) as packed:
        names = {Path(name).as_posix() for name in packed.getnames()}
    assert {"CMakeLists.txt", "Kconfig", "idf_component.yml", "linker.lf", "include/kws.h", "src/kws.c"} <= names
    assert {"LICENSE", "README.md", "examples/selftest/main/main.c"} <= names


def test_kconfig_is_in_espressifs_style(models: Path, tmp_path: Path) -> None:
    package = export(models, "kws", "esp-idf", tmp_path)
    shell("python -m kconfcheck Kconfig", package, path=tools() / "venv" / "bin")


@pytest.mark.parametrize(
    "compiler", ["riscv64-unknown-elf-gcc -march=rv32imc -mabi=ilp32", "xtensa-lx106-elf-gcc -mlongcalls"]
)
def test_c_compiles_for_the_cores(compiler: str, models: Path, tmp_path: Path) -> None:
    """The ESP8266's compiler stands in for those of the Xtensa LX6 and LX7, which are not to be had."""
    if shutil.which(compiler.split()[0]) is None:
        pytest.skip(f"{compiler.split()[0]} is absent; .ci/tools installs it")
    for name in MODELS:
        package = export(models, name, "esp-idf", tmp_path)
        flags = f"-std=c11 -O2 -Wall -Wextra -Wconversion -Wshadow -Werror -ffreestanding -I{FREESTANDING}"
        define = f"-D{name.upper()}_SELFTEST -D{name.upper()}_HOOK"
        shell(f"for file in src/*.c; do {compiler} {flags} {define} -Iinclude -c $file -o ../{name}.o; done", package)


def test_author_needs_a_mail(models: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"--author Ada: idf_component.yml needs a mail address"):
        export(models, "kws", "esp-idf", tmp_path, "--author", "Ada")
