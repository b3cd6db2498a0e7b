"""Exported packages, and the build systems that take them: what the tests of `driftc export` share."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from commands import driftc

# Commands that stand in for those that the tests cannot have: idf.py, west, arduino-cli, cpackget.
STAND_INS = Path(__file__).with_name("platforms") / "bin"
MODELS = ("kws", "ic", "vww", "wake")  # ic adapts, vww is fed by rows, wake has a state


def export(models: Path, name: str, target: str, place: Path, *options: str | Path) -> Path:
    """The package of a compiled model, as the command line writes it below `place`."""
    driftc("export", models / name, "--to", target, "-o", place / name, *options, cwd=models)
    return place / name


def tools() -> Path:
    """The folder that .ci/tools filled; the test skips where there is none."""
    folder = Path(os.environ.get("DRIFTC_TOOLS", "/nonexistent"))
    if not folder.is_dir():
        pytest.skip("no build systems: .ci/tools FOLDER installs them, DRIFTC_TOOLS names the folder")
    return folder


def shell(
    commands: str, folder: Path, extra: Mapping[str, str] | None = None, *, path: Path | Sequence[Path] = ()
) -> str:
    """Run shell commands as a user types them, with `path` searched first; what they print. Fails where one fails."""
    environment = {**os.environ, **(extra or {})}
    first = [path] if isinstance(path, Path) else path
    environment["PATH"] = os.pathsep.join([*map(str, first), environment["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout[-8000:]}\n{done.stderr[-8000:]}"
    return done.stdout


def readme_commands(package: Path) -> list[str]:
    """All that the package's README has one type into a shell, a block an entry: none may be left untested."""
    return re.findall(r"^```sh\n(.*?)^```$", (package / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def both_selftests(first: str, second: str) -> str:
    """A C program that runs two models' self-tests and prints OK for each."""
    parts = [
        f'#include "{name}.h"\n{name.upper()}_STATIC_MEMORY({name}_memory);\nstatic {name}_t {name};\n'
        for name in (first, second)
    ]
    runs = [
        f"    if ({name}_init(&{name}, &{name}_memory) != 0 || {name}_selftest(&{name}) != 0)\n        return 1;\n"
        f'    printf("{name}: OK\\n");\n'
        for name in (first, second)
    ]
    return "#include <stdio.h>\n" + "".join(parts) + "int main(void)\n{\n" + "".join(runs) + "    return 0;\n}\n"


def picotool() -> list[str]:
    """The command; its own release's libraries come with it."""
    root = tools() / "trixie" / "usr"
    if not (root / "bin" / "picotool").is_file():
        pytest.skip("picotool is absent; .ci/tools installs it")
    libraries = root / "lib" / "x86_64-linux-gnu"
    return [*map(str, (libraries / "ld-linux-x86-64.so.2", "--library-path", libraries, root / "bin" / "picotool"))]
