"""A simulated microcontroller behind its debug port: a Cortex-M4 (unicorn), flash, RAM and what debuggers ask of it.

The debug registers are those of Armv7-M (Arm DDI 0403E, chapter C1), the access port is a MEM-AP of ADIv5 (IHI 0031).
Flash is programmed as an STM32F446's is (RM0390, section 3): nothing else of that chip is here. Time is counted in half
words of code that ran, so that a cycle counter has something to show: the numbers mean nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

FLASH, RAM, PERIPHERALS, SYSTEM = 0x0800_0000, 0x2000_0000, 0x4000_0000, 0xE000_0000
FLASH_BYTES, RAM_BYTES = 512 << 10, 128 << 10
MAPPED = ((FLASH, FLASH_BYTES), (RAM, RAM_BYTES), (PERIPHERALS, 0x3_0000), (SYSTEM, 1 << 20))
SLICE = 300_000  # microseconds that the core runs between two looks of the debugger
LOADER_SLICE = 200
DHCSR, DCRSR, DCRDR, DEMCR = 0xE000_EDF0, 0xE000_EDF4, 0xE000_EDF8, 0xE000_EDFC
DFSR, AIRCR, CPUID = 0xE000_ED30, 0xE000_ED0C, 0xE000_ED00
FP_CTRL, FP_COMP, COMPARATORS = 0xE000_2000, 0xE000_2008, 6
DWT_CTRL, DWT_CYCCNT = 0xE000_1000, 0xE000_1004
FLASH_KEYR, FLASH_SR, FLASH_CR = 0x4002_3C04, 0x4002_3C0C, 0x4002_3C10
LOCKED = 0x8000_0000  # in FLASH_CR
SECTORS = (*(16 << 10,) * 4, 64 << 10, *(128 << 10,) * 3)
CONSTANT = {
    CPUID: 0x410F_C241,
    0xE000_EF40: 0x1011_0021,  # MVFR0, MVFR1: single precision
    0xE000_EF44: 0x1100_0011,
    0xE004_2000: 0x1000_0421,  # DBGMCU_IDCODE: STM32F446
    0x1FFF_7A20: FLASH_BYTES >> 10 << 16,  # how much flash, in KB
    0x4002_3C14: 0x0FFF_AAED,  # OPTCR: not protected
}
# ROM table (a component class 1) with the entries of the system control space, DWT and FPB.
ROM = 0xE00F_F000
CONSTANT |= {ROM: 0xFFF0_F003, ROM + 4: 0xFFF0_2003, ROM + 8: 0xFFF0_3003, ROM + 0xFCC: 1}
for _base, _kind, _part in (
    (ROM, 0x10, 0x4C4),
    (0xE000_E000, 0xE0, 0x00C),
    (0xE000_1000, 0xE0, 2),
    (0xE000_2000, 0xE0, 3),
):
    _id = (_part & 0xFF, 0xB0 | _part >> 8, 0x0B, 0x00, 0x0D, _kind, 0x05, 0xB1)
    CONSTANT |= {_base + 0xFE0 + 4 * index: value for index, value in enumerate(_id)} | {_base + 0xFD0: 4}
DEBUG_ENABLED, HALT, STEP = 1, 2, 4
CATCH_RESET = 1


class Chip:
    """Memory as a bus master sees it, in words; the core runs when the debugger looks whether it still does."""

    def __init__(self, flash: bytes = b"") -> None:
        """`flash`: what it begins with."""
        self._unicorn: Any = import_module("unicorn")
        self._arm: Any = import_module("unicorn.arm_const")
        unicorn, arm = self._unicorn, self._arm
        self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self._uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M4)
        for base, size in MAPPED:
            self._uc.mem_map(base, size)
        self._uc.mem_write(FLASH, flash.ljust(FLASH_BYTES, b"\xff"))
        self._other: dict[int, int] = {}  # what is written where nothing is
        self._uc.hook_add(unicorn.UC_HOOK_INTR, self._on_exception)
        self._uc.hook_add(unicorn.UC_HOOK_MEM_READ, self._on_count, begin=DWT_CYCCNT, end=DWT_CYCCNT)
        self._uc.hook_add(unicorn.UC_HOOK_MEM_WRITE, self._on_control, begin=DWT_CTRL, end=DWT_CTRL)
        self._uc.hook_add(unicorn.UC_HOOK_MEM_WRITE, self._on_flash, begin=FLASH_KEYR, end=FLASH_CR)
        self._uc.hook_add(unicorn.UC_HOOK_MEM_READ, self._on_flash_status, begin=FLASH_SR, end=FLASH_SR)
        self._uc.hook_add(unicorn.UC_HOOK_MEM_WRITE, self._on_reset, begin=AIRCR, end=AIRCR)
        self._breakpoints: dict[int, Any] = {}
        self._cycles, self._counts = 0, None
        self._control, self._catch, self._reasons = 0, 0, 0
        self._halted, self._was_reset = False, True
        self._transfer = 0
        self._resets = False
        self._keys: list[int] = []
        self.reset()

    def reset(self) -> None:
        """As the core does: the stack pointer and the first instruction from the vector table, which is the flash's."""
        stack, start = (int.from_bytes(self._uc.mem_read(FLASH + at, 4), "little") for at in (0, 4))
        for name in [f"R{n}" for n in range(13)]:
            self._set(name, 0)
        self._set("LR", 0xFFFF_FFFF)
        self._set("CONTROL", 0)
        self._set("MSP", stack & ~3)
        self._set("SP", stack & ~3)
        self._set("XPSR", 1 << 24)
        self._pc = start & ~1
        self._was_reset = True
        self._put(FLASH_CR, LOCKED)
        if self._control & DEBUG_ENABLED and self._catch & CATCH_RESET:
            self._stop(8)

    @property
    def flash(self) -> bytes:
        """All of it."""
        return bytes(self._uc.mem_read(FLASH, FLASH_BYTES))

    # --- what a bus master reads and writes ---

    def read(self, address: int) -> int:
        if address in CONSTANT:
            return CONSTANT[address]
        if address == DHCSR:
            return self._status()
        if address == DCRDR:
            return self._transfer
        if address == DEMCR:
            return self._catch
        if address == DFSR:
            return self._reasons
        if address == FP_CTRL:
            return COMPARATORS << 4 | 1
        if RAM <= address < RAM + RAM_BYTES and not self._halted:  # a flash loader's progress is looked for
            self._run(LOADER_SLICE)
        if self._mapped(address):
            return int.from_bytes(self._uc.mem_read(address, 4), "little")
        return self._other.get(address, 0)

    def write(self, address: int, value: int, mask: int = 0xFFFF_FFFF) -> None:
        """A word, or the bytes of it that `mask` has."""
        if address == DHCSR:
            self._debug(value)
        elif address == DCRSR:
            self._move(value)
        elif address == DCRDR:
            self._transfer = value
        elif address == DEMCR:
            self._catch = value
        elif address == DFSR:
            self._reasons &= ~value
        elif address == AIRCR and value & 0xFFFF_0004 == 0x05FA_0004:
            self.reset()
        elif FP_COMP <= address < FP_COMP + 4 * COMPARATORS:
            self._compare(address, value)
        elif address in (FLASH_KEYR, FLASH_CR):
            self._control_flash(address, value)
        elif address == FLASH_SR:
            pass
        elif FLASH <= address < FLASH + FLASH_BYTES:
            if self.read(FLASH_CR) & (LOCKED | 1) == 1:  # programming: bits go from 1 to 0
                self._put(address, self.read(address) & (value | ~mask))
        elif self._mapped(address):
            self._put(address, self.read(address) & ~mask | value & mask)
        else:
            self._other[address] = self._other.get(address, 0) & ~mask | value & mask

    def _mapped(self, address: int) -> bool:
        return any(base <= address < base + size for base, size in MAPPED)

    def _put(self, address: int, value: int) -> None:
        self._uc.mem_write(address, (value & 0xFFFF_FFFF).to_bytes(4, "little"))

    def _control_flash(self, address: int, value: int) -> None:
        if address == FLASH_KEYR:
            self._keys = [*self._keys[-1:], value]
            if self._keys == [0x4567_0123, 0xCDEF_89AB]:
                self._put(FLASH_CR, self.read(FLASH_CR) & ~LOCKED)
        elif address == FLASH_CR and not self.read(FLASH_CR) & LOCKED:
            self._put(FLASH_CR, value & ~0x1_0000)
            if value & 0x1_0002 == 0x1_0002:  # start, sector erase
                number = value >> 3 & 0xF
                self._uc.mem_write(FLASH + sum(SECTORS[:number]), b"\xff" * SECTORS[number])
            elif value & 0x1_0004 == 0x1_0004:  # start, mass erase
                self._uc.mem_write(FLASH, b"\xff" * FLASH_BYTES)

    # --- the core ---

    def _status(self) -> int:
        if not self._halted:
            self._run()
        found = self._control & 0xF | 1 << 16 | (0x2_0000 if self._halted else 1 << 24)
        found |= 1 << 25 if self._was_reset else 0
        self._was_reset = False
        return found

    def _debug(self, value: int) -> None:
        if value >> 16 != 0xA05F:
            return
        self._control = value & 0xF
        if not value & DEBUG_ENABLED or not value & HALT:
            if self._halted and value & DEBUG_ENABLED and value & STEP:
                self._run(count=1)
                self._stop(1)
                return
            self._halted = False
        elif not self._halted:
            self._stop(1)

    def _stop(self, reason: int) -> None:
        self._halted = True
        self._reasons |= reason

    def _run(self, time: int = SLICE, count: int = 0) -> None:
        try:
            self._uc.emu_start(self._pc | 1, 0xFFFF_FFFE, timeout=0 if count else time, count=count)
        except self._unicorn.UcError:
            self._stop(8)
        self._pc = self._get("PC")
        if self._resets:
            self._resets = False
            self.reset()

    def _on_reset(self, _uc: Any, _access: int, _address: int, _size: int, value: int, _user: Any) -> None:
        """The program's own request."""
        self._resets = value & 0xFFFF_FFFF == 0x05FA_0004
        self._uc.emu_stop()

    def _on_exception(self, *_: Any) -> None:
        """bkpt, or a fault: either halts the core."""
        self._stop(2)
        self._uc.emu_stop()

    def _on_breakpoint(self, *_: Any) -> None:
        self._stop(2)
        self._uc.emu_stop()

    def _compare(self, address: int, value: int) -> None:
        self._put(address, value)
        if address in self._breakpoints:
            self._uc.hook_del(self._breakpoints.pop(address))
        if value & 1:
            at = value & 0x1FFF_FFFC | (2 if value >> 30 == 2 else 0)
            hook = self._uc.hook_add(self._unicorn.UC_HOOK_CODE, self._on_breakpoint, begin=at, end=at)
            self._breakpoints[address] = hook
            self._uc.ctl_flush_tb()

    def _on_control(self, uc: Any, _access: int, _address: int, _size: int, value: int, _user: Any) -> None:
        if value & 1 and self._counts is None:
            self._counts = uc.hook_add(self._unicorn.UC_HOOK_BLOCK, self._on_block)

    def _on_flash(self, _uc: Any, _access: int, address: int, _size: int, value: int, _user: Any) -> None:
        self._control_flash(address, value & 0xFFFF_FFFF)

    def _on_flash_status(self, *_: Any) -> None:
        self._put(FLASH_SR, 0)  # never busy, never wrong, whatever was written to clear it

    def _on_block(self, _uc: Any, _address: int, size: int, _user: Any) -> None:
        self._cycles += size >> 1

    def _on_count(self, *_: Any) -> None:
        self._put(DWT_CYCCNT, self._cycles)

    def _move(self, selector: int) -> None:
        """DCRSR: between DCRDR and a register of the core."""
        number, write = selector & 0x7F, bool(selector & 1 << 16)
        names = {13: "SP", 14: "LR", 16: "XPSR", 17: "MSP", 18: "PSP"} | {n: f"R{n}" for n in range(13)}
        if number == 15:
            if write:
                self._pc = self._transfer & ~1
            else:
                self._transfer = self._pc
        elif number == 20:  # CONTROL, FAULTMASK, BASEPRI, PRIMASK
            if not write:
                self._transfer = self._get("CONTROL") << 24 | self._get("PRIMASK")
        elif number in names:
            if write:
                self._set(names[number], self._transfer)
            else:
                self._transfer = self._get(names[number]) | (1 << 24 if number == 16 else 0)
        elif not write:
            self._transfer = 0

    def _get(self, name: str) -> int:
        found: int = self._uc.reg_read(getattr(self._arm, f"UC_ARM_REG_{name}"))
        return found

    def _set(self, name: str, value: int) -> None:
        self._uc.reg_write(getattr(self._arm, f"UC_ARM_REG_{name}"), value)


class DebugPort:
    """The registers of a DP and of its one AP, a MEM-AP. `at` are byte offsets."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._select = 0
        self._power = 0
        self._width, self._address = 2, 0  # CSW: size and increment; TAR
        self._increments = False

    def read_dp(self, at: int) -> int:
        if at == 0:
            return 0x2BA0_1477
        if at == 4 and self._select & 0xF == 0:
            return self._power | (self._power & 0x5000_0000) << 1  # what is asked for is acknowledged
        return 0

    def write_dp(self, at: int, value: int) -> None:
        if at == 4 and self._select & 0xF == 0:
            self._power = value & 0x5000_0F00
        elif at == 8:
            self._select = value

    def read_ap(self, at: int) -> int:
        """`at`: the lowest two address bits beside the bank that SELECT has."""
        at |= self._select & 0xF0
        if self._select >> 24:
            return 0
        if at == 0x0C:
            found = self._chip.read(self._address & ~3)
            self._step()
            return found
        if 0x10 <= at < 0x20:
            return self._chip.read((self._address & ~0xF) + at - 0x10)
        return {0x00: self._csw, 0x04: self._address, 0xF8: ROM | 3, 0xFC: 0x2477_0011}.get(at, 0)

    def write_ap(self, at: int, value: int) -> None:
        at |= self._select & 0xF0
        if self._select >> 24:
            return
        if at == 0x00:
            self._width, self._increments = min(value & 7, 2), value & 0x30 == 0x10
        elif at == 0x04:
            self._address = value
        elif at == 0x0C:
            lane = self._address & 3 & -(1 << self._width)
            mask = (1 << (8 << self._width)) - 1 << 8 * lane
            self._chip.write(self._address & ~3, value, mask)
            self._step()
        elif 0x10 <= at < 0x20:
            self._chip.write((self._address & ~0xF) + at - 0x10, value)

    @property
    def _csw(self) -> int:
        return 0x2300_0040 | self._width | (0x10 if self._increments else 0)

    def _step(self) -> None:
        if self._increments:
            self._address += 1 << self._width
