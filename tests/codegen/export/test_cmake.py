"""CMake packages: the README's commands, find_package from another project, two models in one program."""

from __future__ import annotations

from pathlib import Path

import pytest
from exported import MODELS, both_selftests, export, readme_commands, shell

PROJECT = """
cmake_minimum_required(VERSION 3.13)
project(app C)
find_package(kws 1.2 REQUIRED)
find_package(vww 1.2.3 EXACT REQUIRED)
add_executable(app main.c)
target_link_libraries(app PRIVATE kws::kws vww::vww)
"""


@pytest.mark.parametrize("name", MODELS)
def test_readme_commands_print_ok(name: str, models: Path, tmp_path: Path) -> None:
    package = export(models, name, "cmake", tmp_path)
    try_it, install = readme_commands(package)
    assert shell(try_it, package).endswith(f"{name}: OK\n")
    assert "/where/packages/are" in install


def test_two_installed_models_in_one_program(models: Path, tmp_path: Path) -> None:
    for name in ("kws", "vww"):
        package = export(models, name, "cmake", tmp_path, "--version", "1.2.3-rc.1")
        commands = readme_commands(package)[1].replace("/where/packages/are", str(tmp_path / "installed"))
        shell(commands, package)
    (tmp_path / "main.c").write_text(both_selftests("kws", "vww"))
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    shell("cmake -S . -B app -DCMAKE_PREFIX_PATH=$PWD/installed && cmake --build app", tmp_path)
    assert shell("app/app", tmp_path) == "kws: OK\nvww: OK\n"


def test_another_major_version_is_refused(models: Path, tmp_path: Path) -> None:
    package = export(models, "kws", "cmake", tmp_path, "--version", "2.0.0")
    shell("cmake -S . -B ../b && cmake --build ../b && cmake --install ../b --prefix ../installed", package)
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    with pytest.raises(AssertionError, match=r'requested version\s+"1.2"'):
        shell("cmake -S . -B app -DCMAKE_PREFIX_PATH=$PWD/installed", tmp_path)
