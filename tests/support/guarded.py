"""Programs for emulated cores whose regions begin or end at a page that the core cannot reach.

A page is 4 KiB. Unicorn has no memory there. QEMU's MPS3 has: but its memory protection controller lets through the
blocks that the program names, and answers others with a bus error (Arm DAI0547B; SIE-200 TRM, "Memory Protection
Controller"). So reads are caught on both, not only writes.
"""

from __future__ import annotations

import pytest

from driftc.codegen.plan.plan import Plan
from driftc.simulator import unicorn_engine
from driftc.simulator.engine import Program

PAGE = 1 << 12
BASE, PAGES = 0x0100_0000, 512  # AN547's FPGA SRAM; no other emulated core has anything there
CONTROLLER = 0x5700_0000  # of that memory, as a secure program sees it
BLOCK = 1 << 10  # bytes; one bit of the controller's table

Pages = list[tuple[int, int]]  # address and bytes of what can be reached

OPENS = """
#define MPC(offset) (*(volatile uint32_t *)(0x%08xu + (offset)))

/* Blocks of the table's ones are non-secure, and closed to a secure program; SEC_RESP: a bus error, not zeros. */
static void guard(void)
{
    static const uint32_t closed[] = {%s};

    MPC(0x00) = 1u << 4;
    for (uint32_t n = 0; n < sizeof closed / sizeof closed[0]; n++) {
        MPC(0x18) = n;
        MPC(0x1c) = closed[n];
    }
    __asm__ volatile("dsb\\n\\tisb" ::: "memory");
}

int main(void)
{
%s"""


def places(plan: Plan, edge: str) -> tuple[dict[str, int], Pages]:
    """The address of each region, at the `edge` of its pages ("start" or "end"), and the pages."""
    found: dict[str, int] = {}
    pages: Pages = []
    at = BASE + PAGE
    for region in plan.regions:
        size = -(-region.bytes // PAGE) * PAGE
        found[region.name] = at + size - region.bytes if edge == "end" else at
        pages.append((at, size))
        at += size + PAGE
    assert at <= BASE + PAGES * PAGE
    return found, pages


def put(program: Program, addresses: dict[str, int]) -> None:
    """The harness of `program` takes the regions there."""
    header = program.folder / "simulator" / "model.h"
    text = header.read_text()
    line = f"#define MODEL_STATIC_MEMORY {program.name.upper()}_STATIC_MEMORY\n"
    assert line in text
    given = ", ".join(f".{name} = (int8_t *){address:#x}" for name, address in addresses.items())
    header.write_text(
        text.replace(line, f"#define MODEL_STATIC_MEMORY(name) static const model_memory_t name = {{{given}}}\n")
    )


def guard_qemu(program: Program, pages: Pages) -> None:
    """The harness of `program` opens these pages alone, before all else."""
    words = [0xFFFF_FFFF] * (PAGES * PAGE // BLOCK // 32)
    for address, size in pages:
        for block in range((address - BASE) // BLOCK, (address + size - BASE) // BLOCK):
            words[block // 32] &= ~(1 << block % 32)
    main = program.folder / "simulator" / "main.c"
    text = main.read_text()
    before, call = "int main(void)\n{\n", "    if (port_open() != 0)"
    assert before in text
    assert call in text
    table = ", ".join(f"{word:#x}u" for word in words)
    text = text.replace(before, OPENS % (CONTROLLER, table, "")).replace(call, f"    guard();\n{call}")
    main.write_text(text)


def guard_unicorn(monkeypatch: pytest.MonkeyPatch, pages: Pages) -> None:
    """Machines of the engine have these pages too."""

    class Machine(unicorn_engine._Machine):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            for address, size in pages:
                self._uc.mem_map(address, size)

    monkeypatch.setattr(unicorn_engine, "_Machine", Machine)
