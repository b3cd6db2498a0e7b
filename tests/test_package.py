"""One distribution: the wheel holds every file that the package reads, and works from where pip puts it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from commands import ROOT, driftc_json
from models import keyword_model

import driftc

FOLDERS = ("codegen", "templates", "firmware", "simulator", "boards")
WITH_DATA = {".py", ".j2", ".c", ".h", ".ld", ".toml", ".typed"}


def package_files() -> set[str]:
    """What belongs into the package, as paths in the wheel."""
    own = ROOT / ".package" / "driftc"
    found = {f"driftc/{name}" for name in ("__init__.py", "py.typed") if (own / name).is_file()}
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in WITH_DATA and path.is_file():
                found.add(f"driftc/{path.relative_to(ROOT).as_posix()}")
    return found


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason='hatchling is not installed; pip install -e ".[dev]"')
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    (found,) = folder.glob("driftc-*.whl")
    return found


def test_wheel_holds_exactly_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == package_files()
    assert {"driftc/templates/model.c.j2", "driftc/firmware/driftc.h", "driftc/firmware/ports/cortex_m.ld"} <= names
    assert {"driftc/boards/nucleo-f446re.toml", "driftc/boards/cores/cortex-m4.toml", "driftc/py.typed"} <= names


def test_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
        (scripts,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "driftc = driftc.codegen.cli:main" in archive.read(scripts).decode()
        assert any(name.endswith("/licenses/LICENSE") for name in archive.namelist())
    assert f"Version: {driftc.__version__}" in text
    assert "License-Expression: Apache-2.0" in text
    assert "Provides-Extra: sim" in text


def test_installed_wheel_compiles_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    """In a folder of its own, before the editable install on the path."""
    site = tmp_path / "site"
    pip("install", "--no-deps", "--target", site, wheel)
    (tmp_path / "kws.tflite").write_bytes(keyword_model(channels=8))
    code = (
        "import driftc, sys\n"
        f"assert driftc.__file__.startswith({str(site)!r}), driftc.__file__\n"
        "from driftc.codegen.cli import main\n"
        "main()\n"
    )
    arguments = ["compile", "kws.tflite", "--no-measure", "--board", "rp2040", "-o", "from_wheel"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    driftc_json("compile", "kws.tflite", "--no-measure", "--board", "rp2040", "-o", "from_tree", cwd=tmp_path)
    for path in sorted((tmp_path / "from_tree").rglob("*")):
        if path.is_file():
            other = tmp_path / "from_wheel" / path.relative_to(tmp_path / "from_tree")
            assert other.read_bytes() == path.read_bytes(), path.name


def test_public_names() -> None:
    assert set(driftc.__all__) == {"Compiled", "DriftcError", "__version__", "compile", "quantize"}
    for name in driftc.__all__:
        assert getattr(driftc, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'decompile'"):
        _ = driftc.decompile
