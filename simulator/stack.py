"""The deepest stack that a function can need, whatever the data: frame sizes along the longest path of calls."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from driftc.codegen.errors import ToolError
from driftc.simulator.call_graph import INDIRECT, address_taken, callees, instruction_sizes
from driftc.simulator.elf import Elf
from driftc.simulator.packages import package

# What gcc appends to the name of a copy or part of a function; its .su files may leave it out.
SUFFIX = re.compile(r"\.(constprop|isra|part|cold|lto_priv|llvm)\b.*$")


def stack_bound(elf_path: Path, model: Sequence[Path], others: Sequence[Path], roots: Sequence[str]) -> int:
    """Bytes below the stack pointer at the call of any of `roots`, which are in the objects `model`.

    A call through a pointer may reach any function whose address `model` takes.
    """
    elf = Elf(elf_path)
    frames = _frames(elf, [*model, *others])
    edges = _edges(elf)
    indirect = address_taken(elf, [Elf(path) for path in model])
    names = {function.address: function.name for function in elf.functions}
    depths: dict[int, int] = {}

    def depth(address: int, path: tuple[int, ...]) -> int:
        if address in path:
            chain = " -> ".join(names[step] for step in (*path, address))
            raise ToolError(f"the stack has no bound: {chain} is recursive")
        if address not in depths:
            called = edges[address] - {INDIRECT}
            if INDIRECT in edges[address]:
                called |= indirect - {address}
            below = max((depth(callee, (*path, address)) for callee in called), default=0)
            depths[address] = frames[address] + below
        return depths[address]

    return max(depth(elf.address(root), ()) for root in roots)


def _edges(elf: Elf) -> dict[int, set[int]]:
    """Who calls whom; a function's unlikely part, that the compiler moved elsewhere, counts as the function."""
    by_name = {function.name: function.address for function in elf.functions}
    owner = {
        function.address: by_name.get(function.name.removesuffix(".cold"), function.address)
        for function in elf.functions
    }
    edges: dict[int, set[int]] = {address: set() for address in owner}
    for address, called in callees(elf).items():
        for callee in called:
            jump_between_parts = callee != address and owner.get(callee) == owner[address]
            if not jump_between_parts:
                edges[owner[address]].add(owner.get(callee, callee))
    return edges


def _frames(elf: Elf, objects: Sequence[Path]) -> dict[int, int]:
    """Address of each function -> bytes of its own frame: from the compiler, else read from its instructions."""
    reported = _gcc_frames(objects)
    frames = {
        function.address: reported[SUFFIX.sub("", function.name)]
        for function in elf.functions
        if SUFFIX.sub("", function.name) in reported
    }
    frames |= _llvm_frames(elf)
    # A naked function pushes what the compiler does not know of, and reports as none.
    unknown = [function.address for function in elf.functions if not frames.get(function.address)]
    return frames | _library_frames(elf, set(unknown))


def _gcc_frames(objects: Sequence[Path]) -> dict[str, int]:
    """From the .su files beside the objects: `kws.c:10:5:conv_1<tab>24<tab>static`."""
    frames: dict[str, int] = {}
    for path in objects:
        usage = path.with_suffix(".su")
        if not usage.exists():
            continue
        for line in usage.read_text(errors="replace").splitlines():
            place, size, kind = line.split("\t")
            name = SUFFIX.sub("", place.rpartition(":")[2])
            if kind == "dynamic":
                raise ToolError(f"the stack has no bound: {name} takes what it needs at run time")
            frames[name] = max(frames.get(name, 0), int(size))
    return frames


def _llvm_frames(elf: Elf) -> dict[int, int]:
    """From the section .stack_sizes of the linked file: address, then the size as ULEB128, again and again."""
    frames: dict[int, int] = {}
    for section in elf.sections:
        if section.name != ".stack_sizes":
            continue
        at = 0
        while at + 4 < len(section.data):
            address = int.from_bytes(section.data[at : at + 4], "little")
            address &= ~1 if elf.machine == "EM_ARM" else ~0
            at += 4
            size = shift = 0
            while True:
                byte = section.data[at]
                at += 1
                size |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            frames[address] = size
    return frames


def _library_frames(elf: Elf, wanted: set[int]) -> dict[int, int]:
    """Naked functions and those of the compiler's library: what they take off the stack pointer, summed up.

    Too much where paths exclude one another, never too little: they have no loops that push.
    """
    capstone = package("capstone", "capstone")
    if elf.machine == "EM_ARM":
        engine = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB + capstone.CS_MODE_MCLASS)
    else:
        engine = capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32 + capstone.CS_MODE_RISCVC)
    frames = dict.fromkeys(wanted, 0)
    for section in elf.sections:
        if not section.is_code:
            continue
        for address, _, code in instruction_sizes(elf, section):
            function = elf.function_at(address)
            if function is None or function.address not in wanted:
                continue
            for _, _, mnemonic, operands in engine.disasm_lite(code, address):
                frames[function.address] += _taken(mnemonic.removesuffix(".w"), operands)
    return frames


def _taken(mnemonic: str, operands: str) -> int:
    """Bytes that one instruction takes off the stack pointer."""
    if mnemonic in ("push", "vpush") or (mnemonic in ("stmdb", "vstmdb") and operands.startswith("sp!")):
        return _listed_bytes(operands)
    if operands.startswith("sp, ") and (number := re.search(r"(-?)#?(-?)(0x[0-9a-f]+|\d+)$", operands)):
        value = int(number[3], 0)
        negative = bool(number[1] or number[2])
        if mnemonic.startswith("sub") or (negative and mnemonic in ("add", "addi", "c.addi16sp", "c.addi")):
            return value
    if mnemonic in ("str", "strd") and (number := re.search(r"\[sp, #-(0x[0-9a-f]+|\d+)\]!$", operands)):
        return int(number[1], 0)
    return 0


def _listed_bytes(operands: str) -> int:
    """Of a list of registers, which capstone writes out one by one."""
    return sum(8 if name.strip(" {}").startswith("d") else 4 for name in operands.partition("{")[2].split(","))
