"""What updates cost on a Cortex-M4: bytes of code, and instructions of HMAC-SHA256 a byte."""

from __future__ import annotations

import hmac
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from commands import ROOT
from elastic_device import Device

GCC = "arm-none-eabi-gcc"
FLAGS = ("-mcpu=cortex-m4", "-mthumb", "-std=c11", "-ffreestanding", "-fbuiltin")
CODE, DATA, STACK, END = 0x10000, 0x80000, 0x9F000, 0x1F000

PROGRAM = """
#include "driftc_sha256.h"

uint8_t out[32];

void go(const uint8_t *key, const uint8_t *data, uint32_t bytes)
{
    driftc_hmac_sha256(key, 32, data, bytes, out);
}
"""


@pytest.fixture(autouse=True)
def compiler() -> None:
    if shutil.which(GCC) is None:
        pytest.skip(f"{GCC} is not installed")


@pytest.mark.parametrize("optimize", ["2", "s"])
@pytest.mark.parametrize("kind", ["residual", "live"])
def test_code_is_small(kind: str, optimize: str, tmp_path: Path) -> None:
    """Of all that NAME_update.c has, but for the tables of the layers: at most 4 KB."""
    folder = Device(tmp_path, kind, core="cortex-m4", flags=()).folder / "net"
    more = (f"-O{optimize}", "-ffunction-sections", "-fdata-sections", "-c", "net_update.c", "-o", "update.o")
    subprocess.run([GCC, *FLAGS, *more], cwd=folder, check=True)
    listed = subprocess.run(
        ["arm-none-eabi-size", "-A", "update.o"], cwd=folder, capture_output=True, text=True, check=True
    )
    total = 0
    for words in (line.split() for line in listed.stdout.splitlines()):
        tables = len(words) > 1 and words[0].endswith(("_numbers", "_shifts", ".updatable"))
        if len(words) == 3 and words[0].startswith((".text", ".rodata")) and not tables:
            total += int(words[1])
    assert 2000 < total <= 4096


def instructions(folder: Path, count: int, optimize: str) -> int:
    """Of the tag of `count` bytes; checks that it is right."""
    unicorn = pytest.importorskip("unicorn")
    arm = pytest.importorskip("unicorn.arm_const")
    ports = ROOT / "firmware" / "ports"
    place = (f"-Wl,-Ttext={CODE:#x}", "-Wl,-Tdata=0x40000", "-Wl,-Tbss=0x41000", "-Wl,-e,go", "-nostdlib")
    include = (f"-I{ROOT / 'firmware'}", f"-I{ports / 'freestanding'}")
    sources = ("main.c", str(ports / "memory.c"), "-lgcc")
    subprocess.run([GCC, *FLAGS, f"-O{optimize}", *include, *place, *sources, "-o", "main.elf"], cwd=folder, check=True)
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", "main.elf", "main.bin"], cwd=folder, check=True)
    listed = subprocess.run(["arm-none-eabi-nm", "main.elf"], cwd=folder, capture_output=True, text=True, check=True)
    symbols = {line.split()[-1]: int(line.split()[0], 16) for line in listed.stdout.splitlines()}
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    machine.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M4)
    machine.mem_map(CODE, 0x10000)
    machine.mem_map(0x40000, 0x10000)
    machine.mem_map(DATA, 0x20000)
    machine.mem_write(CODE, (folder / "main.bin").read_bytes())
    key, data = bytes(range(32)), bytes(n * 7 & 255 for n in range(count))
    machine.mem_write(DATA, key)
    machine.mem_write(DATA + 0x1000, data)
    registers = (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_SP, arm.UC_ARM_REG_LR)
    for register, value in zip(registers, (DATA, DATA + 0x1000, count, STACK, END | 1), strict=True):
        machine.reg_write(register, value)
    steps = [0]

    def count_one(*_: object) -> None:
        steps[0] += 1

    machine.hook_add(unicorn.UC_HOOK_CODE, count_one)
    machine.emu_start(symbols["go"] | 1, END)
    assert bytes(machine.mem_read(symbols["out"], 32)) == hmac.new(key, data, sha256).digest()
    return steps[0]


@pytest.mark.parametrize("optimize", ["2", "s"])
@pytest.mark.parametrize("count", [522, 722, 1202, 2166])
def test_a_tag_takes_a_hundred_instructions_a_byte(count: int, optimize: str, tmp_path: Path) -> None:
    """Of packets of ResNet-8's BN and of all its convolutions, of a keyword spotter, of visual wake words."""
    (tmp_path / "main.c").write_text(PROGRAM)
    assert instructions(tmp_path, count, optimize) <= 95 * count
