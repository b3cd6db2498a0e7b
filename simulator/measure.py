"""What a compiler made of the generated code: bytes of code, of constants, and the stack it can need."""

from __future__ import annotations

from dataclasses import dataclass

from driftc.codegen.errors import ToolError
from driftc.simulator.engine import Program
from driftc.simulator.program import build_firmware


@dataclass(frozen=True)
class Measurement:
    """Of the model alone: harness, port and the compiler's library are not in the sizes."""

    code_bytes: int
    constant_bytes: int
    stack_bytes: int  # below the caller of Program.entries; what these call in the library counts
    compiler: str  # gcc, clang or zig
    version: str
    flags: tuple[str, ...]
    core: str


def measure(program: Program) -> Measurement:
    """For the core, compiler and optimisation level of `program.target`."""
    try:
        from driftc.simulator.elf import Elf
        from driftc.simulator.stack import stack_bound
    except ImportError as error:
        raise ToolError(f'{error.name} is not installed; pip install "driftc[sim]"') from error
    firmware = build_firmware(program, trace=False)
    sections = [section for path in firmware.model_objects for section in Elf(path).sections]
    return Measurement(
        code_bytes=sum(section.size for section in sections if section.is_code),
        constant_bytes=sum(section.size for section in sections if section.is_constant),
        stack_bytes=stack_bound(
            firmware.elf,
            firmware.model_objects,
            firmware.port_objects,
            program.entries,
        ),
        compiler=firmware.compiler.kind,
        version=firmware.compiler.version,
        flags=firmware.flags,
        core=firmware.core.id,
    )
