"""What `driftc doctor` prints: what is there, what each is good for, and how to get one that is absent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from driftc.boards.cores import core_names, load_core
from driftc.codegen.errors import ToolError

if TYPE_CHECKING:
    from driftc.simulator.toolchain import Compiler

COLUMNS = ("tool", "present", "gives", "detail")
SIM = 'pip install "driftc[sim]"'
FAMILIES = {"cortex_m": "Cortex-M", "riscv": "RISC-V"}  # port -> what people call it

# Engines in the order in which verify names them: what each adds to a proof.
GIVES = {
    "numpy": "the specification: every tensor, on the Graph and on the Plan",
    "tflm": "TFLite Micro's own kernels, the first reference",
    "litert": "LiteRT's reference kernels, the second reference",
    "host": "the generated C on this machine, every tensor; fast on data sets",
    "unicorn": "the core's program, exact instructions and stack: {}",
    "qemu": "the same on an emulated board, start-up code included: {}",
}
DISTRIBUTIONS = {"numpy": "numpy", "tflm": "tflite-micro", "litert": "ai-edge-litert", "unicorn": "unicorn"}
# Packages that measuring reads programs with.
PACKAGES = {
    "ortools": ("ortools", "arenas proven the smallest; without it, --planner greedy"),
    "pyelftools": ("elftools", "code size and stack of compiled programs"),
    "capstone": ("capstone", "classes of instructions, stack of library functions"),
}
# Frameworks that float models come from, and what reaches boards.
EXTRAS = {
    "tensorflow": ("keras", "Keras .keras and .h5 files, SavedModel folders; fits the constants of --adapt"),
    "onnx": ("onnx", ".onnx files"),
    "torch": ("torch", ".pt2 files of torch.export"),
    "serial": ("serial", "boards on a serial port: --on serial://, mlperf --run"),
}


def examine() -> list[tuple[str, ...]]:
    """One row for each engine, compiler, package and tool that programs boards, under COLUMNS."""
    return [*_engines(), *_compilers(), *_packages(), *_extras(), *_flash_tools()]


def _engines() -> list[tuple[str, ...]]:
    from driftc.simulator.engines import ENGINES, REFERENCES, engine, reference

    rows = []
    for name, gives in GIVES.items():
        absent: str | None = None
        cores: list[str] = []
        if name in REFERENCES:
            absent = reference(name).missing()
        elif name in ENGINES:
            candidate = engine(name)
            absent = candidate.missing()
            cores = [core for core in core_names() if absent is None and candidate.missing_for(core) is None]
        what = gives.format(", ".join(cores) or "no core yet")
        rows.append(_row(f"engine {name}", what, absent, _version(DISTRIBUTIONS.get(name)) or "ready"))
    return rows


def _compilers() -> list[tuple[str, ...]]:
    from driftc.simulator.toolchain import firmware_compiler, host_compiler, zig_compiler

    rows = [_compiler("compiler for this machine", "engine host", host_compiler)]
    for port, family in FAMILIES.items():
        cores = [core for core in map(load_core, core_names()) if core.port == port]
        listed = ", ".join(core.id for core in cores)
        any_, gcc = partial(firmware_compiler, cores[0]), partial(firmware_compiler, cores[0], "gcc")
        rows.append(_compiler(f"compiler for {family}", f"programs for {listed}", any_))
        rows.append(_compiler(f"gcc for {family}", "sizes and counts as a vendor's SDK has them", gcc))
    zig = zig_compiler()
    rows.append(_row("zig", "every target from one wheel: --cc zig", None if zig else SIM, zig.version if zig else ""))
    return rows


def _compiler(tool: str, gives: str, find: Callable[[], Compiler]) -> tuple[str, ...]:
    try:
        return _row(tool, gives, None, find().label)
    except ToolError as error:
        return _row(tool, gives, str(error), "")


def _packages() -> list[tuple[str, ...]]:
    rows = []
    for distribution, (module, gives) in PACKAGES.items():
        absent = None if find_spec(module) else SIM
        rows.append(_row(distribution, gives, absent, _version(distribution) or "present"))
    return rows


def _extras() -> list[tuple[str, ...]]:
    rows = []
    for module, (extra, gives) in EXTRAS.items():
        absent = None if find_spec(module) else f'pip install "driftc[{extra}]"'
        found = next(filter(None, map(_version, (module, f"{module}-cpu", f"py{module}"))), "present")
        rows.append(_row(module, gives, absent, found))
    return rows


def _flash_tools() -> list[tuple[str, ...]]:
    from driftc.boards import load, names
    from driftc.simulator.flash.tools import TOOLS, find

    programs = [fact.name for name in names() for fact in load(name).flash_with]
    return [
        _row(
            tool.program,
            f"boards that driftc flash programs: {programs.count(name)}",
            None if found else tool.install,
            found or "",
        )
        for name, tool in TOOLS.items()
        for found in (find(tool.program),)
    ]


def _version(distribution: str | None) -> str | None:
    if distribution is None:
        return None
    try:
        return f"{distribution} {version(distribution)}"
    except PackageNotFoundError:
        return None


def _row(tool: str, gives: str, absent: str | None, found: str) -> tuple[str, ...]:
    return (tool, "no" if absent else "yes", gives, absent or found)
