"""A chip behind a GDB server: what it is, its reset, its memories, and the program in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from driftc.boards.cores import LADDER, Core, core_names, load_core
from driftc.codegen.errors import ToolError
from driftc.simulator.elf import Elf
from driftc.simulator.gdb.rsp import RspClient, escaped

FLASH_SECONDS = 120.0  # for erasing, or for programming, of one region
RESET_SECONDS = 10.0
CPUID = 0xE000_ED00
ERASE_UNIT = 4096  # where the server's map names none


@dataclass(frozen=True)
class Flash:
    """A range of addresses that is erased in units before it is written."""

    start: int
    end: int
    unit: int


class Chip:
    """What a server has connected to, halted. Raises ToolError, naming the server, where something fails."""

    def __init__(self, client: RspClient) -> None:
        self._client = client
        client.ask(b"?")
        self.is_qemu = bool(client.ask(b"qqemu.sstepbits"))

    def refuse_other(self, core: Core) -> None:
        """Raise ToolError where the chip's core is known, and does not run code for `core`."""
        architecture = _architecture(self._client.document("features", "target.xml") or "")
        wanted = "riscv" if core.port == "riscv" else "arm"
        if architecture and architecture != wanted:
            raise ToolError(f"{self._client.name}: the chip is {architecture}, the program for {core.id}: {_ELSEWHERE}")
        if wanted != "arm":
            return
        part = int.from_bytes(self._client.read(CPUID, 4), "little") >> 4 & 0xFFF
        known = [load_core(name) for name in core_names()]
        found = next((other for other in known if part in other.parts), None)
        if found is not None and LADDER.index(core.architecture) > LADDER.index(found.architecture):
            raise ToolError(
                f"{self._client.name}: the chip has a {found.id}, the program is for {core.id}: {_ELSEWHERE}"
            )

    def reset(self) -> None:
        """Reset the chip, and keep it at the first instruction that it runs."""
        commands = ("system_reset",) if self.is_qemu else ("reset halt", "reset")
        answers = [self._client.monitor(command, RESET_SECONDS) for command in commands[:1]]
        if answers[-1] is None and len(commands) > 1:
            answers.append(self._client.monitor(commands[1], RESET_SECONDS))
        if answers[-1] is None:
            tried = " nor ".join(f"'monitor {command}'" for command in commands)
            raise ToolError(f"{self._client.name}: the server knows neither {tried}, so the chip cannot be reset")

    def holds(self, elf: Elf) -> bool:
        """Whether the chip's memory has the program's every byte."""
        return all(self._client.read(address, len(data)) == data for address, data in elf.segments)

    def load(self, elf: Elf) -> None:
        """Write the program, into flash by the server's own commands, and read it back."""
        flashes = _flashes(self._client.document("memory-map") or "")
        erased = written = False
        for address, data in elf.segments:
            if self._client.read(address, len(data)) == data:
                continue
            written = True
            flash = next((f for f in flashes if f.start <= address and address + len(data) <= f.end), None)
            if flash is None:
                self._client.write(address, data)
            elif not erased:
                self._program([part for part in elf.segments if flash.start <= part[0] < flash.end], flash)
                erased = True
        if written and not self.holds(elf):
            raise ToolError(f"{self._client.name}: the program does not read back as it was written")

    def _program(self, parts: list[tuple[int, bytes]], flash: Flash) -> None:
        first = min(address for address, _ in parts) // flash.unit * flash.unit
        last = max(-(-(address + len(data)) // flash.unit) for address, data in parts) * flash.unit
        self._flash(b"vFlashErase:%x,%x" % (first, min(last, flash.end) - first))
        room = self._client.packet_size - 64
        for address, data in parts:
            at = 0
            while at < len(data):
                part = data[at : at + room]
                while len(body := escaped(part)) > room:
                    part = part[: len(part) - (len(body) - room + 1) // 2 - 1]
                self._flash(b"vFlashWrite:%x:%b" % (address + at, body))
                at += len(part)
        self._flash(b"vFlashDone")

    def _flash(self, packet: bytes) -> None:
        answer = self._client.ask(packet, FLASH_SECONDS)
        if answer != b"OK":
            step = packet.partition(b":")[0].decode()
            said = answer.decode("latin-1") or "not supported"
            raise ToolError(
                f"{self._client.name}: flash could not be written: {step} gave {said} {self._client.console}"
            )


_ELSEWHERE = "compile the model for the board that is connected (--board), or for its core (--core)"


def _architecture(features: str) -> str:
    """arm or riscv; empty where a target description names neither."""
    named = re.search(r"<architecture>\s*(arm|riscv)", features) or re.search(r"org\.gnu\.gdb\.(arm|riscv)\.", features)
    return named[1] if named else ""


def _flashes(text: str) -> list[Flash]:
    """The flash of a memory map (GDB manual, "Memory Map Format"); none where it cannot be read."""
    try:
        root = ElementTree.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", text)) if text else None
        if root is None or "<!ENTITY" in text:
            return []
        found = []
        for memory in root.iter("memory"):
            if memory.get("type") == "flash":
                start, length = int(memory.get("start", ""), 0), int(memory.get("length", ""), 0)
                units = [int(p.text or "", 0) for p in memory.iter("property") if p.get("name") == "blocksize"]
                found.append(Flash(start, start + length, units[0] if units and units[0] > 0 else ERASE_UNIT))
        return found
    except (ElementTree.ParseError, ValueError):
        return []
