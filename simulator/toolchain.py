"""C compilers: which are present, for which machine, and how each is called."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version as package_version
from importlib.util import find_spec
from pathlib import Path

from driftc.boards.cores import Core
from driftc.codegen.errors import ToolError
from driftc.simulator.cache import cache_folder

TIMEOUT = 300  # seconds for one call of a compiler; zig's first needs about ten

INSTALL_ZIG = 'pip install "driftc[sim]" (it brings ziglang)'
CROSS_GCC = {
    "cortex_m": "arm-none-eabi-gcc",
    "riscv": "riscv64-unknown-elf-gcc",
    "xtensa": "xtensa-lx106-elf-gcc",
}
CROSS_PACKAGE = {
    "cortex_m": "gcc-arm-none-eabi",
    "riscv": "gcc-riscv64-unknown-elf",
    "xtensa": "gcc-xtensa-lx106",
}


@dataclass(frozen=True)
class Compiler:
    """A compiler that was found. `command` compiles C when sources and flags follow."""

    kind: str  # gcc, clang or zig
    command: tuple[str, ...]
    version: str  # for people and for reports
    linker: Compiler | None = None  # links what this one compiles, where it cannot itself

    @property
    def label(self) -> str:
        return f"{self.kind} ({self.version})"

    def run(self, arguments: Sequence[str], folder: Path) -> None:
        """Call the compiler in `folder`; ToolError shows the first lines of what it complains about."""
        zig_cache = str(cache_folder() / "zig")
        environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": zig_cache, "ZIG_LOCAL_CACHE_DIR": zig_cache, "LC_ALL": "C"}
        try:
            done = subprocess.run(
                [*self.command, *arguments], cwd=folder, env=environment, capture_output=True, text=True,
                errors="replace", timeout=TIMEOUT, stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"{self.label}: not done after {TIMEOUT} s; try another with --cc") from error
        except OSError as error:
            raise ToolError(f"{self.command[0]}: {error.strerror}") from error
        if done.returncode != 0:
            complaint = "\n".join((done.stderr or done.stdout).splitlines()[:12])
            raise ToolError(f"{self.label} failed:\n{complaint}")


def host_compiler(cc: str | None = None) -> Compiler:
    """The compiler for this machine: the one named by `cc`, else the first of cc, gcc, clang and zig."""
    if cc is None:
        for name in ("cc", "gcc", "clang"):
            if found := _system_compiler(name):
                return found
        if zig := zig_compiler():
            return zig
        raise ToolError(f"no C compiler for this machine: install gcc or clang, or {INSTALL_ZIG}")
    if cc == "zig":
        return _required_zig()
    found = _system_compiler(cc)
    if found is None:
        raise ToolError(f"--cc {cc}: not found on this machine; install it, or leave --cc out to take what there is")
    if found.kind != "zig" and {"none", "elf"} & set((machine := _machine(found.command)).split("-")):
        raise ToolError(f"--cc {cc}: compiles for {machine}, not for this machine; the host engine needs one that does")
    return found


def firmware_compiler(core: Core, cc: str | None = None) -> Compiler:
    """The compiler for `core`: the one named by `cc`, else the cross gcc, else zig."""
    cross = CROSS_GCC[core.port]
    if cc is None:
        found = _system_compiler(cross) or zig_compiler()
        if found is None:
            raise ToolError(
                f"no compiler for {core.id}: {INSTALL_ZIG}, or install {cross} (Debian: {CROSS_PACKAGE[core.port]})"
            )
        return found
    if cc == "zig":
        return _required_zig()
    if cc == "gcc":
        found = _system_compiler(cross)
        if found is None:
            raise ToolError(f"--cc gcc: no {cross}; install it (Debian: {CROSS_PACKAGE[core.port]}), or --cc zig")
        return found
    found = _system_compiler(cc)
    if found is None:
        raise ToolError(f"--cc {cc}: not found on this machine; give gcc, clang, zig or the path of a compiler")
    if found.kind == "clang":
        linker = _system_compiler(cross)
        if linker is None:
            raise ToolError(f"--cc {cc}: {cross} must link for it; install it (Debian: {CROSS_PACKAGE[core.port]})")
        return Compiler(found.kind, found.command, found.version, linker)
    family = cross.split("-")[0][:3]  # arm or ris
    if found.kind == "gcc" and not (machine := _machine(found.command)).startswith(family):
        raise ToolError(f"--cc {cc}: compiles for {machine}; {core.id} needs {cross}, clang or zig")
    return found


@cache
def zig_compiler() -> Compiler | None:
    """zig from pip, else from PATH."""
    spec = find_spec("ziglang")
    if spec is not None and spec.origin is not None:
        binary = Path(spec.origin).parent / ("zig.exe" if sys.platform == "win32" else "zig")
        if binary.is_file():
            return Compiler("zig", (str(binary), "cc"), f"zig {package_version('ziglang')}")
    if path := shutil.which("zig"):
        return Compiler("zig", (path, "cc"), f"zig {_output([path, 'version'])}")
    return None


def _required_zig() -> Compiler:
    zig = zig_compiler()
    if zig is None:
        raise ToolError(f"--cc zig: not found; {INSTALL_ZIG}")
    return zig


def _system_compiler(name: str) -> Compiler | None:
    path = shutil.which(name)
    return None if path is None else _identify(path)


@cache
def _identify(path: str) -> Compiler | None:
    """What the program at `path` is, by what it says of itself: macOS calls its clang gcc."""
    if Path(path).stem.startswith("zig"):
        return Compiler("zig", (path, "cc"), f"zig {_output([path, 'version'])}")
    first_line = _output([path, "--version"]).partition("\n")[0]
    if not first_line:
        return None  # macOS without its developer tools has a gcc that only offers to install them
    return Compiler("clang" if "clang" in first_line else "gcc", (path,), first_line)


@cache
def _machine(command: tuple[str, ...]) -> str:
    return _output([*command, "-dumpmachine"])


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL, errors="replace"
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
