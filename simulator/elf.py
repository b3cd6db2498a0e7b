"""What the simulators and the stack bound need to know of an ELF file."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from driftc.simulator.packages import package

# Tag_CPU_arch (Arm IHI 0045, table "Target-related attributes") -> how far up boards/cores.py's LADDER
ARCHITECTURES = {11: 0, 12: 0, 10: 1, 13: 2, 17: 3, 21: 4}
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 1, 2, 4


@dataclass(frozen=True)
class Section:
    name: str
    address: int
    size: int
    flags: int
    type: str
    data: bytes

    @property
    def is_code(self) -> bool:
        return bool(self.flags & SHF_ALLOC and self.flags & SHF_EXECINSTR)

    @property
    def is_constant(self) -> bool:
        read_only = bool(self.flags & SHF_ALLOC) and not self.flags & (SHF_WRITE | SHF_EXECINSTR)
        return read_only and self.type == "SHT_PROGBITS"


@dataclass(frozen=True)
class Symbol:
    name: str
    address: int  # without the Thumb bit
    size: int
    is_function: bool
    section: int | str  # index, or SHN_UNDEF and its like


@dataclass(frozen=True)
class Relocation:
    section: int  # the section that is patched
    offset: int
    type: int
    symbol: Symbol
    addend: int


def _arm_architecture(elf: Any) -> int | None:
    """Which of boards/cores.py's LADDER the program needs; None where it does not say, or is not Arm's."""
    attributes = elf.get_section_by_name(".ARM.attributes")
    if attributes is None or elf["e_machine"] != "EM_ARM":
        return None
    tags = (
        tag.value
        for vendor in attributes.iter_subsections()
        for scope in vendor.iter_subsubsections()
        for tag in scope.iter_attributes("TAG_CPU_ARCH")
    )
    return ARCHITECTURES.get(next(tags, -1))


class Elf:
    """An ELF file, read whole."""

    def __init__(self, path: Path) -> None:
        symbol_table = package("elftools.elf.sections", "pyelftools").SymbolTableSection
        relocation_section = package("elftools.elf.relocation", "pyelftools").RelocationSection
        with path.open("rb") as file:
            elf = package("elftools.elf.elffile", "pyelftools").ELFFile(file)
            self.machine: str = elf["e_machine"]
            self.entry: int = elf["e_entry"]
            self.segments: list[tuple[int, bytes]] = [
                (segment["p_paddr"], segment.data())
                for segment in elf.iter_segments()
                if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]
            ]
            self.sections = [
                Section(s.name, s["sh_addr"], s["sh_size"], s["sh_flags"], s["sh_type"],
                        b"" if s["sh_type"] == "SHT_NOBITS" else s.data())
                for s in elf.iter_sections()
            ]  # fmt: skip
            self.arm_architecture = _arm_architecture(elf)
            table = elf.get_section_by_name(".symtab")
            self.symbols: list[Symbol] = (
                [self._symbol(s) for s in table.iter_symbols()] if isinstance(table, symbol_table) else []
            )
            self.relocations = [
                Relocation(s["sh_info"], r["r_offset"], r["r_info_type"], self.symbols[r["r_info_sym"]],
                           r["r_addend"] if s.is_RELA() else 0)
                for s in elf.iter_sections() if isinstance(s, relocation_section)
                for r in s.iter_relocations()
            ]  # fmt: skip

    def _symbol(self, symbol: Any) -> Symbol:
        function = symbol["st_info"]["type"] == "STT_FUNC"
        address = symbol["st_value"]
        if function and self.machine == "EM_ARM":
            address &= ~1
        return Symbol(symbol.name, address, symbol["st_size"], function, symbol["st_shndx"])

    def address(self, name: str) -> int:
        """Of a global function or object; KeyError when there is none."""
        return self._addresses[name]

    @cached_property
    def _addresses(self) -> dict[str, int]:
        return {symbol.name: symbol.address for symbol in self.symbols if symbol.section != "SHN_UNDEF"}

    @cached_property
    def functions(self) -> list[Symbol]:
        """By address; of several names for one address, the first that has a size."""
        found: dict[int, Symbol] = {}
        for symbol in self.symbols:
            if symbol.is_function and symbol.section != "SHN_UNDEF":
                known = found.get(symbol.address)
                if known is None or (known.size == 0 and symbol.size):
                    found[symbol.address] = symbol
        return [found[address] for address in sorted(found)]

    @cached_property
    def _starts(self) -> list[int]:
        return [function.address for function in self.functions]

    def function_at(self, address: int) -> Symbol | None:
        """The function that holds `address`; one without a size reaches to the next."""
        at = bisect_right(self._starts, address) - 1
        if at < 0:
            return None
        function = self.functions[at]
        return function if function.size == 0 or address < function.address + function.size else None

    def describe(self, address: int) -> str:
        function = self.function_at(address)
        return f"{address:#x}" if function is None else f"{function.name} + {address - function.address}"

    @cached_property
    def code_range(self) -> tuple[int, int]:
        """First address of code, and the one after the last."""
        code = [section for section in self.sections if section.is_code and section.size]
        return min(s.address for s in code), max(s.address + s.size for s in code)

    def read(self, address: int, size: int) -> bytes:
        for section in self.sections:
            if section.flags & SHF_ALLOC and section.address <= address < section.address + section.size:
                return section.data[address - section.address : address - section.address + size]
        raise KeyError(f"{address:#x} is in no section")
