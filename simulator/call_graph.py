"""Who calls whom in a linked ELF: calls and tail calls, read from the instructions."""

from __future__ import annotations

from collections.abc import Iterator

from driftc.simulator.elf import SHF_ALLOC, Elf, Section

INDIRECT = -1  # a jump or call through a register

# Relocations that put an address into data or a register, by their numbers in the ABI of the machine.
ADDRESS_RELOCATIONS = {
    "EM_ARM": {2, 3, 38, 43, 44, 47, 48},  # ABS32, REL32, TARGET1, MOVW_ABS_NC, MOVT_ABS and the same for Thumb
    "EM_RISCV": {1, 20, 23, 26},  # 32, GOT_HI20, PCREL_HI20, HI20
}


def callees(elf: Elf) -> dict[int, set[int]]:
    """Address of each function -> addresses of the functions that it calls or jumps into; INDIRECT among them."""
    edges: dict[int, set[int]] = {function.address: set() for function in elf.functions}
    branches = _thumb_branches if elf.machine == "EM_ARM" else _riscv_branches
    for section in elf.sections:
        if not section.is_code:
            continue
        for address, target in branches(elf, section):
            caller = elf.function_at(address)
            if caller is None:
                continue
            if target == INDIRECT:
                edges[caller.address].add(INDIRECT)
                continue
            callee = elf.function_at(target)
            if callee is None:
                continue
            recursive = target == caller.address and _is_call(elf, address)
            if callee.address != caller.address or recursive:
                edges[caller.address].add(callee.address)
    return edges


def address_taken(elf: Elf, objects: list[Elf]) -> set[int]:
    """Functions that may be called through a pointer: those that `objects` mention other than by a call."""
    taken = set()
    by_name = {symbol.name: symbol.address for symbol in elf.functions}
    for unit in objects:
        for relocation in unit.relocations:
            # Debugging information and stack sizes mention functions too, but are not part of the program.
            in_program = unit.sections[relocation.section].flags & SHF_ALLOC
            symbol = relocation.symbol
            if in_program and symbol.name in by_name and relocation.type in ADDRESS_RELOCATIONS[elf.machine]:
                taken.add(by_name[symbol.name])
    return taken


def _is_call(elf: Elf, address: int) -> bool:
    """Whether the branch there links: only then does a jump to the function's own start mean recursion."""
    code = elf.read(address, 4)
    if elf.machine == "EM_ARM":
        return len(code) == 4 and code[3] & 0xD0 == 0xD0
    word = int.from_bytes(code, "little")
    return word & 0xFFF == 0x0EF or word & 0xE003 == 0x2001


def _code_ranges(elf: Elf, section: Section) -> Iterator[tuple[int, int]]:
    """The parts of `section` that are instructions: the assembler marks data in between by $d, code by $t or $x."""
    marks = sorted(
        (symbol.address & ~1, symbol.name[1] != "d")
        for symbol in elf.symbols
        if symbol.name[:2] in ("$t", "$d", "$x") and section.address <= symbol.address < section.address + section.size
    )
    end = section.address + section.size
    if not marks:
        yield section.address, end
    for index, (start, is_code) in enumerate(marks):
        if is_code:
            yield start, marks[index + 1][0] if index + 1 < len(marks) else end


def instruction_sizes(elf: Elf, section: Section) -> Iterator[tuple[int, int, bytes]]:
    """Address, size and the bytes of every instruction."""
    arm = elf.machine == "EM_ARM"
    for start, end in _code_ranges(elf, section):
        at = start
        while at + 2 <= end:
            first = section.data[at - section.address : at - section.address + 2]
            wide = first[1] >> 3 >= 0b11101 if arm else first[0] & 3 == 3
            size = 4 if wide and at + 4 <= end else 2
            yield at, size, section.data[at - section.address : at - section.address + size]
            at += size


def _thumb_branches(elf: Elf, section: Section) -> Iterator[tuple[int, int]]:
    """Arm Architecture Reference Manual, Armv7-M: B (T2, T3, T4), BL, BLX and BX (register)."""
    for address, size, code in instruction_sizes(elf, section):
        first = code[0] | code[1] << 8
        if size == 2:
            if first & 0xFF87 == 0x4780 or (first & 0xFF87 == 0x4700 and first != 0x4770):
                yield address, INDIRECT
            elif first & 0xF800 == 0xE000:
                yield address, address + 4 + _signed((first & 0x7FF) << 1, 12)
            continue
        second = code[2] | code[3] << 8
        if first & 0xF800 != 0xF000 or second & 0x8000 == 0:
            continue
        sign, j1, j2 = first >> 10 & 1, second >> 13 & 1, second >> 11 & 1
        if second & 0x1000:  # BL, or B with the long range
            i1, i2 = 1 - (j1 ^ sign), 1 - (j2 ^ sign)
            offset = sign << 24 | i1 << 23 | i2 << 22 | (first & 0x3FF) << 12 | (second & 0x7FF) << 1
            yield address, address + 4 + _signed(offset, 25)
        elif second & 0x4000 == 0 and first >> 7 & 7 != 7:  # B with a condition; the loops of Armv8.1-M stay inside
            offset = sign << 20 | j2 << 19 | j1 << 18 | (first & 0x3F) << 12 | (second & 0x7FF) << 1
            yield address, address + 4 + _signed(offset, 21)


def _riscv_branches(elf: Elf, section: Section) -> Iterator[tuple[int, int]]:
    """The RISC-V Instruction Set Manual: JAL, JALR, AUIPC before it, C.J, C.JAL, C.JR, C.JALR."""
    upper: tuple[int, int] | None = None  # register and value of the AUIPC just before
    for address, size, code in instruction_sizes(elf, section):
        word = int.from_bytes(code, "little")
        before, upper = upper, None
        if size == 2:
            if word & 0xE003 in (0x2001, 0xA001):
                yield address, address + _compressed_offset(word)
            elif word & 0x7F == 0x02 and word >> 13 == 0b100 and _compressed_register(word):
                yield address, INDIRECT
        elif word & 0x7F == 0x17:
            upper = word >> 7 & 31, (address + _signed(word & 0xFFFFF000, 32)) & 0xFFFFFFFF
        elif word & 0x7F == 0x6F:
            bits = word >> 31 << 20 | (word >> 12 & 0xFF) << 12 | (word >> 20 & 1) << 11 | (word >> 21 & 0x3FF) << 1
            yield address, address + _signed(bits, 21)
        elif word & 0x707F == 0x67:
            source, link = word >> 15 & 31, word >> 7 & 31
            if before is not None and before[0] == source:
                yield address, (before[1] + _signed(word >> 20, 12)) & 0xFFFFFFFF
            elif not (source == 1 and link == 0):  # else a return
                yield address, INDIRECT


def _compressed_register(word: int) -> bool:
    """Whether the word is C.JALR, or C.JR but for a return: register 1 is where calls return to, 0 is another code."""
    register, links = word >> 7 & 31, word >> 12 & 1
    return register != 0 if links else register > 1


def _compressed_offset(word: int) -> int:
    bits = (
        (word >> 12 & 1) << 11 | (word >> 11 & 1) << 4 | (word >> 9 & 3) << 8 | (word >> 8 & 1) << 10
        | (word >> 7 & 1) << 6 | (word >> 6 & 1) << 7 | (word >> 3 & 7) << 1 | (word >> 2 & 1) << 5
    )  # fmt: skip
    return _signed(bits, 12)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) & 1 else value
