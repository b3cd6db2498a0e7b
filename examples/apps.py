"""Builds the programs of examples/*/: for this machine, or for a core, with the start-up code of the compiled folder.

Both read and write through port.h: stdin and stdout here, semihosting on a core (in.bin, out.bin), where a board has
its microphone, camera or accelerometer.
"""

from __future__ import annotations

import subprocess
from importlib.resources import files
from pathlib import Path

from driftc.boards.cores import load_core, memory_script
from driftc.simulator.program import BARE, SECTIONS
from driftc.simulator.toolchain import firmware_compiler, host_compiler

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")


def host_program(app: Path, model: Path, folder: Path) -> Path:
    """`app`/main.c with the compiled folder `model`; `folder` has other headers, and gets the program."""
    app, model, folder = app.resolve(), model.resolve(), folder.resolve()
    compiler = host_compiler()
    sources = [app / "main.c", model / f"{model.name}.c", model / "simulator" / "port_host.c"]
    flags = ["-std=c11", "-O2", *WARNINGS, *_include(model, folder)]
    program = folder / f"{app.name}-host"
    compiler.run([*flags, *map(str, sources), "-o", str(program)], folder)
    return program


def board_program(app: Path, model: Path, folder: Path, core_name: str) -> Path:
    """The same as an ELF for a core; on a board memory.ld has the board's memories."""
    app, model, folder = app.resolve(), model.resolve(), folder.resolve()
    core = load_core(core_name)
    compiler = firmware_compiler(core)
    simulator = model / "simulator"
    (folder / "memory.ld").write_text(memory_script(core), encoding="utf-8")
    sources = [app / "main.c", model / f"{model.name}.c", simulator / f"port_{core.port}.c", simulator / "memory.c"]
    flags = ["-std=c11", "-O2", *core.flags[compiler.kind], *BARE[compiler.kind], *SECTIONS, *WARNINGS]
    flags += ["-isystem", str(simulator / "freestanding"), *_include(model, folder)]
    link = ["-nostdlib", "-Wl,--gc-sections", "-Wl,--entry=port_reset", "-T", str(simulator / f"{core.port}.ld")]
    libraries = ["-lgcc"] if compiler.kind == "gcc" else []
    elf = folder / f"{app.name}-{core_name}.elf"
    compiler.run([*flags, *link, *map(str, sources), *libraries, "-o", str(elf)], folder)
    return elf


def _include(model: Path, folder: Path) -> list[str]:
    firmware = Path(str(files("driftc"))) / "firmware"
    return [f"-I{place}" for place in (folder, model, model / "simulator", firmware)]


def output(program: Path, recorded: bytes) -> str:
    """What the program says of what was recorded."""
    done = subprocess.run([program], input=recorded, capture_output=True, check=True, timeout=120)
    return done.stdout.decode()
