"""MicroPython: a native module, which a firmware loads as it is; built here where there is a source tree."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from driftc.codegen.errors import ToolError, UsageError
from driftc.codegen.export.micropython import MicroPython
from driftc.codegen.export.package import Files, Package

# MicroPython's name -> the compiler that dynruntime.mk calls.
COMPILERS = {
    "x64": "gcc",
    "armv6m": "arm-none-eabi-gcc",
    "armv7m": "arm-none-eabi-gcc",
    "armv7emsp": "arm-none-eabi-gcc",
    "armv7emdp": "arm-none-eabi-gcc",
    "rv32imc": "riscv64-unknown-elf-gcc",
    "xtensawin": "xtensa-esp32-elf-gcc",
}
ABI = "6.3"  # of .mpy files, since MicroPython 1.23


class Mpy(MicroPython):
    name = "mpy"
    takes = ("arch", "micropython")

    def files(self, package: Package) -> Files:
        found = super().files(package)
        built = self._built(package, found)
        for arch, module in built.items():
            manifest = {"urls": [[f"{package.name}.mpy", f"{package.name}.mpy"]], "version": package.settings.version}
            found[f"{arch}_{ABI}/{package.name}.mpy"] = module
            found[f"{arch}_{ABI}/package.json"] = json.dumps(manifest, indent=2) + "\n"
        found["README.md"] = package.render("mpy/_README.md.j2", built=list(built), abi=ABI)
        return found

    def slow(self, package: Package) -> str:
        have = ("x64", *(("armv7emsp", "armv7emdp") if package.extension == "dsp" else ()))
        return ", ".join(arch for arch in package.settings.arch or COMPILERS if arch not in have)

    def _built(self, package: Package, found: Files) -> dict[str, bytes]:
        """Architecture -> the module, for each that was asked for, or that there is a compiler for."""
        asked, tree = package.settings.arch, package.settings.micropython
        for arch in asked:
            if arch not in COMPILERS:
                raise UsageError(f"--arch {arch}: no such architecture; known are {', '.join(COMPILERS)}")
        if tree is None:
            if asked:
                raise UsageError(f"--arch {asked[0]}: needs --micropython TREE, MicroPython's source, to build with")
            return {}
        _check_tree(tree)
        if find_spec("elftools") is None or find_spec("ar") is None:
            raise ToolError("--to mpy: MicroPython's linker needs pyelftools and ar; pip install 'driftc[micropython]'")
        for arch in asked:
            if shutil.which(COMPILERS[arch]) is None:
                raise ToolError(f"--arch {arch}: {COMPILERS[arch]} is not installed")
        known = [arch for arch, compiler in COMPILERS.items() if shutil.which(compiler)]
        if not known:
            raise ToolError(f"--to mpy: none of these compilers is installed: {', '.join({*COMPILERS.values()})}")
        return {arch: _make(package.name, found, arch, tree) for arch in asked or known}


def _check_tree(tree: Path) -> None:
    """Raise UsageError where it is no source of MicroPython, or of one with other .mpy files."""
    header = tree / "py" / "persistentcode.h"
    if not header.is_file() or not (tree / "py" / "dynruntime.mk").is_file():
        raise UsageError(f"--micropython {tree}: is no source tree of MicroPython (py/dynruntime.mk is not there)")
    text = header.read_text(encoding="utf-8", errors="replace")
    numbers = [re.search(rf"#define MPY_{part}\s+\(?(\d+)", text) for part in ("VERSION", "SUB_VERSION")]
    version = ".".join(number[1] if number else "?" for number in numbers)
    if version != ABI:
        raise UsageError(f"--micropython {tree}: makes .mpy files of version {version}; driftc's modules are for {ABI}")


def _make(name: str, files: Files, arch: str, tree: Path) -> bytes:
    """The module as MicroPython's own makefile builds it, in a folder of its own. Raises ToolError."""
    with tempfile.TemporaryDirectory(prefix="driftc-mpy-") as place:
        for path, content in files.items():
            (Path(place) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(place) / path).write_bytes(content if isinstance(content, bytes) else content.encode())
        command = ["make", "-s", f"ARCH={arch}", f"MPY_DIR={tree.resolve()}", f"PYTHON={sys.executable}"]
        for more in ([], ["RUNTIME=1"]):  # reading the compiler's library takes long, and few need it
            done = subprocess.run([*command, *more], cwd=place, capture_output=True, text=True, check=False)
            if "undefined symbol" not in done.stdout + done.stderr:
                break
        module = Path(place) / f"{name}.mpy"
        if done.returncode != 0 or not module.is_file():
            raise ToolError(f"--arch {arch}: make failed\n{(done.stdout + done.stderr)[-2000:].strip()}")
        return module.read_bytes()
