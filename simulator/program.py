"""From a compiled folder to what an engine runs: an executable for this machine, or an ELF for a core."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from driftc.boards import Board, Pin, Uart
from driftc.boards.cores import BOOT_BYTES, Core, board_script, load_core, memory_script
from driftc.codegen.errors import ToolError, UsageError
from driftc.simulator.cache import cached, digest
from driftc.simulator.engine import Program
from driftc.simulator.packages import package
from driftc.simulator.semihosting_engine import file_names
from driftc.simulator.toolchain import Compiler, firmware_compiler, host_compiler

SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g")
# The model is plain C11 with the compiler's knowledge of memcpy. gcc finds its own stdint.h without a C library only
# when it is told that there is none; clang and zig do by themselves, and would forget memcpy if told.
BARE = {"gcc": ("-ffreestanding", "-fbuiltin"), "clang": (), "zig": ("-fno-sanitize=undefined",)}
SECTIONS = ("-ffunction-sections", "-fdata-sections", "-fno-common", "-fomit-frame-pointer",
            "-fno-unwind-tables", "-fno-asynchronous-unwind-tables")  # fmt: skip
# What the compiler must leave behind for the stack bound: a .su file, or a section in the object.
STACK_SIZES = {"gcc": "-fstack-usage", "clang": "-fstack-size-section", "zig": "-fstack-size-section"}

RTT = Uart("rtt", base=0)  # has no registers


@dataclass(frozen=True)
class Firmware:
    """A program for a core, and what it was made of."""

    elf: Path
    model_objects: tuple[Path, ...]  # the generated code alone
    port_objects: tuple[Path, ...]  # harness, port and memory.c
    compiler: Compiler
    flags: tuple[str, ...]  # those that decide about the generated code
    core: Core


def port_files() -> Path:
    """The folder whose content each compiled folder holds as `simulator/`, together with its model.h."""
    return Path(str(files("driftc"))) / "firmware" / "ports"


def model_sources(program: Program) -> list[Path]:
    """The C files of the model itself, relative to its folder: NAME.c, and what it learns and is updated with."""
    main = Path(f"{program.name}.c")
    if not (program.folder / main).is_file():
        raise UsageError(f"{program.folder}: holds no {main}; is it a folder that driftc compile wrote?")
    more = (
        Path(f"{program.name}{suffix}.c") for suffix in ("_backward", "_learn", "_meta", "_adapt", "_update", "_upload")
    )
    return [main, *(path for path in more if (program.folder / path).is_file())]


def build_host(program: Program, *, trace: bool, sanitize: bool = False, main: str = "main") -> Path:
    """An executable for this machine, simulator/MAIN.c, that speaks on stdin and stdout: "main" the stream."""
    compiler = host_compiler(program.target.cc)
    flags = ["-std=c11", f"-O{program.target.optimize}", *_hook_flags(program, trace)]
    if sanitize:
        if compiler.kind == "zig":
            raise ToolError("zig has no AddressSanitizer; install gcc or clang, or run without it")
        flags += SANITIZE
    elif compiler.kind == "zig":
        # The superword vectoriser of ziglang 0.17.1 miscompiles the copy into a depthwise plane for x86 (last column).
        flags += ["-fno-sanitize=undefined", "-fno-slp-vectorize"]
    sources = [*model_sources(program), Path(f"simulator/{main}.c"), Path("simulator/port_host.c")]
    objects = _compile(compiler, program.folder, sources, flags)
    link_flags = list(SANITIZE) if sanitize else []
    name = "model.exe" if sys.platform == "win32" else "model"
    key = digest(["host", _identity(compiler), *map(str, objects), *link_flags])

    def link(folder: Path) -> None:
        compiler.run([*link_flags, *map(str, objects), "-o", str(folder / name)], folder)

    return cached(key, name, link, executable=True)


def build_posix(program: Program, main: str, defines: Sequence[str]) -> Path:
    """simulator/MAIN.c with the model as a program of this machine, whose serial line is stdin and stdout."""
    compiler = host_compiler(program.target.cc)
    flags = ["-std=c11", f"-O{program.target.optimize}", *defines]
    if compiler.kind == "zig":
        flags += ["-fno-sanitize=undefined", "-fno-slp-vectorize"]
    sources = [*model_sources(program), Path(f"simulator/{main}.c"), Path("simulator/uart_posix.c")]
    objects = _compile(compiler, program.folder, sources, flags)
    key = digest(["posix", _identity(compiler), *map(str, objects)])
    return cached(
        key, main, lambda kept: compiler.run([*map(str, objects), "-o", str(kept / main)], kept), executable=True
    )


def build_firmware(
    program: Program, *, trace: bool, defines: Sequence[str] = (), line: Uart | None = None, text: str | None = None,
    board: Board | None = None, pin: Pin | None = None,
) -> Firmware:  # fmt: skip
    """The ELF for the program's core: the same file for every emulator; with `board`, in that board's memories.

    With `trace` it shows every layer, else it measures. Over the serial `line` it does both, as it is asked; or it is
    another program than the harness, which talks on the line for itself: simulator/TEXT.c, with a clock, and a `pin`.
    """
    core = load_core(program.target.core)
    compiler = firmware_compiler(core, program.target.cc)
    base = ("-std=c11", f"-O{program.target.optimize}", *core.flags[compiler.kind], *BARE[compiler.kind], *SECTIONS)
    hook = _hook_flags(program, trace or (line is not None and text is None))
    include = ("-isystem", "simulator/freestanding")
    if core.qemu is None:
        raise ToolError(f"{core.id}: there is no emulator for it, nor a linker script: nothing can be measured")
    memories = memory_script(core) if board is None else board_script(board, core)
    ports = [Path("simulator/main.c"), Path(f"simulator/port_{core.port}.c"), Path("simulator/memory.c")]
    if line is not None:
        ports.append(Path(f"simulator/uart_{line.driver}.c"))
        defines = [*defines, "PORT_SERIAL", f"UART_BASE={line.base:#x}u"]
        if line.divider is not None:
            defines.append(f"UART_DIVIDER={line.divider}u")
        if line.setup:
            defines.append(f"UART_SETUP(X)={_writes(line.setup)}")
    if board is not None and board.start is not None:
        ports.append(Path(f"simulator/start_{board.start}.c"))
    if board is not None and board.counter is not None:
        defines = [*defines, f"PORT_COUNTER={board.counter:#x}"]
    if text is not None:
        ports[0] = Path(f"simulator/{text}.c")
        ports.append(Path("simulator/clock.c"))
        defines = [*defines, "PORT_TEXT"]
    if pin is not None:
        ports.append(Path("simulator/pin.c"))
        levels = (f"PIN_LOW(X)={_writes([pin.low])}", f"PIN_HIGH(X)={_writes([pin.high])}")
        defines = [*defines, f"PIN_SETUP(X)={_writes(pin.setup)}", *levels]
    measuring = (*(() if trace else ("-DPORT_MEASURES",)), *(f"-D{define}" for define in defines))
    flags = [*base, *hook, *include, STACK_SIZES[compiler.kind]]
    with ThreadPoolExecutor(2) as pool:
        model = pool.submit(_compile, compiler, program.folder, model_sources(program), flags)
        port = pool.submit(_compile, compiler, program.folder, ports, [*flags, *measuring])
        model_objects, port_objects = tuple(model.result()), tuple(port.result())
    try:
        elf = _link(program, core, compiler, [*model_objects, *port_objects], memories)
    except ToolError as error:
        raise _too_large(error, core.id if board is None else board.key) from error
    return Firmware(elf, model_objects, port_objects, compiler, base, core)


def _writes(writes: Sequence[tuple[int, ...]]) -> str:
    """To registers, each an X of its numbers: what a driver of firmware/ports makes of it."""
    return "".join(f"X({','.join(f'{number:#x}u' for number in write)})" for write in writes)


def build_harness(program: Program, board: Board, transport: str | None = None) -> Path:
    """The ELF that `board` is given: the harness over a transport; None: its serial line, else a debugger's stops."""
    if transport == "serial" and board.uart is None:
        raise UsageError(
            f"{board.key}: driftc knows no serial line of it; --transport rtt, semihosting or gdb goes by its probe"
        )
    if transport == "semihosting":
        names = zip(("SAMPLES", "RESULTS"), file_names(program), strict=True)
        defines = [f'SEMIHOSTING_{which}="{name}"' for which, name in names]
        return build_firmware(program, trace=True, defines=defines, board=board).elf
    if transport == "gdb" or (transport is None and board.uart is None):
        return build_firmware(program, trace=True, defines=["PORT_DEBUGGER"], board=board).elf
    line = RTT if transport == "rtt" else board.uart
    return build_firmware(program, trace=False, line=line, board=board).elf


def _link(program: Program, core: Core, compiler: Compiler, objects: list[Path], memories: str) -> Path:
    linker = compiler.linker or compiler
    script = (program.folder / "simulator" / f"{core.port}.ld").read_text()
    # The start-up files of a C library are not wanted. gcc needs its own library named then, zig adds its own.
    libraries = {"gcc": ["-nostdlib", "-Wl,--start-group", "-lgcc", "-Wl,--end-group"], "zig": ["-nostartfiles"]}
    # NAME_invoke and NAME_step stay, whichever of them the harness calls: the stack bound is for both.
    kept = (f"-Wl,-u,{entry}" for entry in program.entries)
    flags = [*core.flags[linker.kind], "-Wl,--build-id=none", "-Wl,--gc-sections", "-Wl,--entry=port_reset", *kept]
    key = digest(["elf", _identity(linker), script, memories, *map(str, objects), *flags])

    def link(folder: Path) -> None:
        (folder / "memory.ld").write_text(memories)
        (folder / "port.ld").write_text(script)
        last = libraries[linker.kind]
        linker.run([*flags, "-T", "port.ld", *map(str, objects), *last, "-o", str(folder / "model.elf")], folder)
        seal(folder / "model.elf")

    return cached(key, "model.elf", link)


def _too_large(error: ToolError, where: str) -> ToolError:
    """What the linker says of a memory that is full, in plain words; any other error as it is."""
    full = re.search(r"region [`'](\w+)'\W+overflowed by (\d+) bytes", str(error))
    if full is None:
        return error
    memory = "RAM" if full[1] == "ram" else "flash"
    needed = f"{int(full[2]):,} B more {memory} than it has"
    return ToolError(
        f"{where}: the model and driftc's harness need {needed}; 'driftc compile --board' fits models to boards"
    )


def seal(elf: Path) -> None:
    """Fill in the checksum that an RP2040's boot ROM wants at the end of the first 256 bytes, where there are such."""
    if b"\0.boot2\0" not in elf.read_bytes():
        return
    with elf.open("r+b") as file:
        start = package("elftools.elf.elffile", "pyelftools").ELFFile(file).get_section_by_name(".boot2")["sh_offset"]
        file.seek(start)
        data = file.read(BOOT_BYTES - 4)
        file.seek(start + BOOT_BYTES - 4)
        file.write(boot_checksum(data).to_bytes(4, "little"))


def boot_checksum(data: bytes) -> int:
    """CRC-32 with the highest bit first, from all ones, not inverted (RP2040 datasheet, section 2.8.1.3.1)."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C1_1DB7 if crc >> 31 else crc << 1) & 0xFFFF_FFFF
    return crc


def _compile(compiler: Compiler, folder: Path, sources: Sequence[Path], flags: Sequence[str]) -> list[Path]:
    """One object per source, side by side; all headers of the folder count as included."""
    headers = [*sorted(folder.glob("*.h")), *sorted((folder / "simulator").rglob("*.h"))]
    shared = [_identity(compiler), *flags]
    for header in headers:
        shared += [str(header.relative_to(folder)), header.read_text(encoding="utf-8")]

    def compile_one(source: Path) -> Path:
        name = f"{source.stem}.o"

        def build(kept: Path) -> None:
            compiler.run([*flags, "-c", source.as_posix(), "-o", str(kept / name)], folder)

        key = digest([*shared, source.as_posix(), (folder / source).read_bytes()])
        return cached(key, name, build)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, sources))


def _hook_flags(program: Program, trace: bool) -> tuple[str, ...]:
    hook = ("-DMODEL_HOOK", f"-D{program.name.upper()}_HOOK") if trace else ()
    harness = (
        *["-DMODEL_LEARNS"] * program.learns,
        *["-DMODEL_UPDATED"] * program.updated,
        *["-DMODEL_UPLOADS"] * program.uploads,
    )
    return (*hook, *harness)


def _identity(compiler: Compiler) -> str:
    return f"{compiler.command} {compiler.version}"
