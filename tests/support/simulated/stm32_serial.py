"""An STM32 with one serial port, on stdin and stdout: `python -m simulated.stm32_serial BOARD ELF [BAUD EDGES]`.

EDGES gets a line for each time that the Arduino header's D7 goes low.

The core is unicorn's. Of the chip there is what a driver must get right: the clocks of the port and of its pins, before
which their registers neither take nor give anything; the pins' modes; the supply of a port that has its own; and the
speed. The program ends with exit code 1, and says why, where one of them is wrong when the port is first used.
Registers: RM0385 (F7), RM0433 (H7), RM0091 (F0), RM0444 (G0), RM0432 (L4+), RM0456 (U5), RM0493 (WBA).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from driftc.boards import Board, load
from driftc.boards.cores import load_core
from driftc.simulator.elf import Elf

PERIPHERALS, PERIPHERAL_BYTES = 0x4000_0000, 0x2000_0000
SYSTEM, AIRCR = 0xE000_0000, 0xE000_ED0C
TOLERANCE = 0.01  # a receiver takes 3 to 4 %, of which the oscillators have their share
CR1, CR3, BRR, ISR, RDR, TDR = 0x00, 0x08, 0x0C, 0x1C, 0x24, 0x28
ON, RECEIVES, SENDS, NO_OVERRUN = 1, 4, 8, 1 << 12
CAME, ROOM, COMPLETE = 1 << 5, 1 << 7, 1 << 6
MODES, SET_RESET, ALTERNATES, OUTPUT, ALTERNATE = 0x00, 0x18, 0x20, 1, 2
SYSTICK_VALUE, TICKS = 0xE000_E018, 4  # it goes on by so many whenever it is read
Bit = tuple[int, int]  # a register's address, which bit


@dataclass(frozen=True)
class Pin:
    port: int  # address of its registers
    clock: Bit
    number: int
    alternate: int


@dataclass(frozen=True)
class Line:
    """The port that goes to the board's probe."""

    base: int
    clock: Bit
    pins: tuple[Pin, Pin]
    hz: int  # of the port, after a reset
    analog: bool = True  # pins begin as analog ones, else as inputs
    low_power: bool = False  # an LPUART: BRR is in 256ths
    hsi16: tuple[Bit, Bit] | None = None  # what switches that oscillator on, and the higher bit of what selects it
    supply: tuple[Bit, Bit] | None = None  # the clock of PWR, and what says that the pins have their supply


def _pins(port: int, clock: Bit, numbers: tuple[int, int], alternate: int) -> tuple[Pin, Pin]:
    first, second = numbers
    return Pin(port, clock, first, alternate), Pin(port, clock, second, alternate)


_U5 = Line(
    0x4001_3800, (0x4602_0CA4, 14), _pins(0x4202_0000, (0x4602_0C8C, 0), (9, 10), 7), 4_000_000,
    hsi16=((0x4602_0C00, 8), (0x4602_0CE0, 1)),
)  # fmt: skip
LINES = {
    "nucleo-f746zg": Line(
        0x4000_4800, (0x4002_3840, 18), _pins(0x4002_0C00, (0x4002_3830, 3), (8, 9), 7), 16_000_000, analog=False
    ),
    "nucleo-h743zi": Line(
        0x4000_4800, (0x5802_44E8, 18), _pins(0x5802_0C00, (0x5802_44E0, 3), (8, 9), 7), 64_000_000
    ),
    "nucleo-f091rc": Line(
        0x4000_4400, (0x4002_101C, 17), _pins(0x4800_0000, (0x4002_1014, 17), (2, 3), 1), 8_000_000, analog=False
    ),
    "nucleo-g071rb": Line(
        0x4000_4400, (0x4002_103C, 17), _pins(0x5000_0000, (0x4002_1034, 0), (2, 3), 1), 16_000_000
    ),
    "nucleo-l4r5zi": Line(
        0x4000_8000, (0x4002_105C, 0), _pins(0x4800_1800, (0x4002_104C, 6), (7, 8), 8), 4_000_000, low_power=True,
        supply=((0x4002_1058, 28), (0x4000_7004, 9)),
    ),
    "nucleo-u575zi-q": _U5,
    "b-u585i-iot02a": _U5,
    "nucleo-wba52cg": Line(
        0x4001_3800, (0x4602_0CA4, 14),
        (Pin(0x4202_0400, (0x4602_0C8C, 1), 12, 7), Pin(0x4202_0000, (0x4602_0C8C, 0), 8, 7)), 16_000_000,
    ),
}  # fmt: skip


D7 = {"nucleo-l4r5zi": Pin(0x4800_1400, (0x4002_104C, 5), 13, 0)}


class Registers:
    """The peripherals as the core sees them; `came` is what has come over the line, `lows` how often D7 went low."""

    def __init__(self, line: Line, baud: int = 115_200, d7: Pin | None = None) -> None:
        self._line, self._baud, self._d7 = line, baud, d7
        self.lows = 0
        self.came: deque[int] = deque()
        self._empty = 0
        self.reset()

    def reset(self) -> None:
        modes = 0xFFFF_FFFF if self._line.analog else 0
        self._held = {pin.port + MODES: modes for pin in self._pins}
        self._high = False

    @property
    def _pins(self) -> tuple[Pin, ...]:
        return (*self._line.pins, *((self._d7,) if self._d7 else ()))

    def _set(self, bit: Bit) -> bool:
        return bool(self._held.get(bit[0], 0) >> bit[1] & 1)

    def _reachable(self, address: int) -> bool:
        """Whether the block there has its clock."""
        clocks = {pin.port: pin.clock for pin in self._pins} | {self._line.base: self._line.clock}
        if self._line.supply:
            clocks[self._line.supply[1][0] & ~0x3FF] = self._line.supply[0]
        clock = clocks.get(address & ~0x3FF)
        return clock is None or self._set(clock)

    def read(self, address: int) -> int:
        offset = address - self._line.base
        if offset == ISR:
            self._check()
            self._empty = 0 if self.came else self._empty + 1
            if self._empty > 1:
                time.sleep(0.0005)
            return ROOM | COMPLETE | (CAME if self.came else 0)
        if offset == RDR:
            return self.came.popleft() if self.came else 0
        return self._held.get(address, 0) if self._reachable(address) else 0

    def write(self, address: int, value: int) -> None:
        if not self._reachable(address):
            return
        if self._d7 is not None and address == self._d7.port + SET_RESET:
            self._drive(self._d7, value)
            return
        offset = address - self._line.base
        if offset == TDR:
            self._check()
            os.write(1, bytes([value & 0xFF]))
        elif offset not in (BRR, CR3) or not self._port(CR1) & ON:
            self._held[address] = value

    def _drive(self, pin: Pin, value: int) -> None:
        output = self._held[pin.port + MODES] >> 2 * pin.number & 3 == OUTPUT
        high = bool(value >> pin.number & 1) or (self._high and not value >> pin.number + 16 & 1)
        self.lows += output and self._high and not high
        self._high = high

    def _port(self, offset: int) -> int:
        return self._held.get(self._line.base + offset, 0)

    def _check(self) -> None:
        wrong = self.faults()
        if wrong:
            print("\n".join(wrong), file=sys.stderr, flush=True)
            os._exit(1)

    def faults(self) -> list[str]:
        """Why nothing, or nonsense, would come out of the pins."""
        line, found = self._line, []
        for pin in line.pins:
            mode = self._held.get(pin.port + MODES, 0) >> 2 * pin.number & 3
            chosen = self._held.get(pin.port + ALTERNATES + pin.number // 8 * 4, 0) >> pin.number % 8 * 4 & 15
            if (mode, chosen) != (ALTERNATE, pin.alternate):
                found.append(f"pin {pin.number}: mode {mode}, alternate function {chosen}")
        if line.supply and not self._set(line.supply[1]):
            found.append("the pins have no supply")
        hz = line.hz
        if line.hsi16 and self._set(line.hsi16[1]):
            hz = 16_000_000 if self._set(line.hsi16[0]) else 0
        speed = hz * (256 if line.low_power else 1) / max(self._port(BRR), 1)
        if abs(speed / self._baud - 1) > TOLERANCE:
            found.append(f"{speed:.0f} baud")
        if self._port(CR1) & (ON | RECEIVES | SENDS) != ON | RECEIVES | SENDS or not self._port(CR3) & NO_OVERRUN:
            found.append("the port is not set up")
        return found


def run(board: Board, elf: Elf, registers: Registers) -> None:
    """From a reset on; a reset that the program asks for starts it anew."""
    unicorn: Any = import_module("unicorn")
    arm: Any = import_module("unicorn.arm_const")
    uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    uc.ctl_set_cpu_model(getattr(arm, f"UC_CPU_ARM_{load_core(board.core).unicorn_model}"))
    for memory in (board.flash, *board.ram):
        uc.mem_map(memory.base, memory.bytes + (-memory.bytes & 0xFFF))
    uc.mem_map(SYSTEM, 1 << 20)
    for address, data in elf.segments:
        uc.mem_write(address, data)
    uc.mmio_map(
        PERIPHERALS, PERIPHERAL_BYTES,
        lambda _uc, offset, _size, _user: registers.read(PERIPHERALS + offset), None,
        lambda _uc, offset, _size, value, _user: registers.write(PERIPHERALS + offset, value), None,
    )  # fmt: skip
    uc.hook_add(unicorn.UC_HOOK_MEM_WRITE, lambda *_: uc.emu_stop(), begin=AIRCR, end=AIRCR)
    left = 1 << 24

    def count(*_: object) -> None:
        nonlocal left
        left -= TICKS
        uc.mem_write(SYSTICK_VALUE, left.to_bytes(4, "little"))

    uc.hook_add(unicorn.UC_HOOK_MEM_READ, count, begin=SYSTICK_VALUE, end=SYSTICK_VALUE)
    while True:
        stack, start = (int.from_bytes(uc.mem_read(board.flash.base + at, 4), "little") for at in (0, 4))
        uc.reg_write(arm.UC_ARM_REG_SP, stack)
        registers.reset()
        uc.emu_start(start | 1, 0xFFFF_FFFE)


def main(name: str, elf: str, baud: str = "115200", edges: str = "") -> None:
    registers = Registers(LINES[name], int(baud), D7.get(name) if edges else None)

    def listen() -> None:
        while data := os.read(0, 4096):
            if edges:  # whoever asks has the last answer
                Path(edges).write_text("low\n" * registers.lows)
            registers.came.extend(data)

    threading.Thread(target=listen, daemon=True).start()
    run(load(name), Elf(Path(elf)), registers)


if __name__ == "__main__":
    main(*sys.argv[1:])
