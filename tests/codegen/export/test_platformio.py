"""PlatformIO libraries: `pio run` with the README's commands, offline.

PlatformIO fetches SCons and its platforms from its own registry. Here SCons is the one of the Python package index, and
the platform `native` is ours, of as many lines as it takes.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from exported import MODELS, both_selftests, export, readme_commands, shell, tools

NATIVE = Path(__file__).resolve().parents[2] / "support" / "platforms" / "platformio" / "native"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a PlatformIO that has SCons and the platform `native`."""
    core = tmp_path_factory.mktemp("platformio")
    scons = core / "packages" / "tool-scons"
    scons.mkdir(parents=True)
    spec = {"owner": "platformio", "id": None, "name": "tool-scons", "requirements": None, "uri": None}
    package = {"type": "tool", "name": "tool-scons", "version": "4.41101.0"}
    (scons / "package.json").write_text(json.dumps(package))
    (scons / ".piopm").write_text(json.dumps({**package, "spec": spec}))
    (scons / "scons.py").write_text("import SCons.Script\n\nSCons.Script.main()\n")
    (core / "platforms").mkdir()
    (core / "platforms" / "native").symlink_to(NATIVE)
    return {
        "PLATFORMIO_CORE_DIR": str(core),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_SETTING_CHECK_PLATFORMIO_INTERVAL": "3650",
        "PLATFORMIO_NO_ANSI": "1",
    }


@pytest.mark.parametrize("name", MODELS)
def test_readme_commands_print_ok(name: str, models: Path, home: dict[str, str], tmp_path: Path) -> None:
    package = export(models, name, "platformio", tmp_path)
    (try_it,) = readme_commands(package)
    assert shell(try_it, package, home, path=tools() / "venv" / "bin").endswith(f"{name}: OK\n")


def test_two_libraries_in_one_program(models: Path, home: dict[str, str], tmp_path: Path) -> None:
    for name in ("ic", "vww"):
        export(models, name, "platformio", tmp_path / "lib")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.c").write_text(both_selftests("ic", "vww"))
    flags = "-DIC_SELFTEST -DIC_HOOK -DVWW_SELFTEST -DVWW_HOOK"
    (tmp_path / "platformio.ini").write_text(f"[env:native]\nplatform = native\nbuild_flags = {flags}\n")
    printed = shell("pio run && .pio/build/native/program", tmp_path, home, path=tools() / "venv" / "bin")
    assert printed.endswith("ic: OK\nvww: OK\n")
    assert "|-- ic @ 1.0.0" in printed
    assert "|-- vww @ 1.0.0" in printed


def test_manifest_is_what_the_registry_takes(models: Path, tmp_path: Path) -> None:
    """PlatformIO's own schema, the list of licences given as `pio pkg pack` fetches it."""
    package = export(
        models,
        "kws",
        "platformio",
        tmp_path,
        "--license",
        "MIT",
        "--author",
        "Ada <ada@x.org>",
        "--url",
        "https://x.org",
    )
    check = (
        "import json, sys\n"
        "from platformio.package.manifest.schema import ManifestSchema\n"
        "ManifestSchema.load_spdx_licenses = staticmethod(lambda: {'licenses': [{'licenseId': 'MIT'}]})\n"
        "from platformio.package.manifest.parser import ManifestParserFactory\n"
        "found = ManifestParserFactory.new_from_file('library.json').as_dict()\n"
        "print(json.dumps(ManifestSchema().load_manifest(found), sort_keys=True))\n"
    )
    (tmp_path / "check.py").write_text(check)
    found = json.loads(shell("python ../check.py", package, path=tools() / "venv" / "bin"))
    assert (found["name"], found["version"], found["license"]) == ("kws", "1.0.0", "MIT")
    assert found["authors"] == [{"name": "Ada", "email": "ada@x.org"}]
