"""Who calls whom, read from instructions."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from driftc.simulator.call_graph import callees
from driftc.simulator.elf import Elf

LOOPS = r"""
__attribute__((naked)) void copy(void)
{
    __asm__ volatile("push {r4, lr}\n wlstp.8 lr, r2, 2f\n"
                     "1: vldrb.8 q0, [r1], #16\n letp lr, 1b\n 2: pop {r4, pc}\n");
}
__attribute__((naked)) void other(void)
{
    __asm__ volatile(".rept 0x2000\n nop\n .endr\n bx lr\n");
}
void start(void)
{
    copy();
}
"""


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")
def test_low_overhead_loops_are_no_calls(tmp_path: Path) -> None:
    source, elf = tmp_path / "loops.c", tmp_path / "loops.elf"
    source.write_text(LOOPS)
    flags = ["-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard", "-O1", "-fno-inline", "-nostdlib", "-Wl,-estart"]
    subprocess.run(["arm-none-eabi-gcc", *flags, str(source), "-o", str(elf)], check=True)
    made = Elf(elf)
    found = callees(made)
    assert found.get(made.address("copy"), set()) <= {made.address("copy")}
    assert made.address("copy") in found[made.address("start")]
