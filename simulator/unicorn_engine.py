"""The `unicorn` engine: the core's ELF in an emulator that pip installs, every instruction counted."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar

from driftc.boards.cores import Core, load_core
from driftc.boards.timing import Access
from driftc.codegen.errors import ToolError
from driftc.simulator.elf import Elf
from driftc.simulator.engine import FIRST, Array, Engine, Program, Sample, Starts
from driftc.simulator.instructions import Profile, profile
from driftc.simulator.program import build_firmware
from driftc.simulator.stream import Batch, Decoder, Feed, Run, ended

if TYPE_CHECKING:
    from driftc.simulator.block_counts import Step

VERSION = "2.1.4"  # the counting hook uses private names of this release
INSTALL = 'pip install "driftc[sim]"'
BREAKPOINT = 7  # QEMU's EXCP_BKPT
BKPT_AB = 0xBEAB
OPEN, CLOSE, WRITE, READ, EXIT = 0x01, 0x02, 0x05, 0x06, 0x20
SYSTEM_SPACE = (0xE000_0000, 0x10_0000)  # system registers: plain memory here, nothing depends on what they do
NO_END = 0xFFFF_FFFE


class UnicornEngine(Engine):
    """Cortex-M0+ to M33. One emulator runs all samples; the generator gives each as soon as it is done."""

    name: ClassVar[str] = "unicorn"

    def missing(self) -> str | None:
        for package, purpose in (("unicorn", "the emulator"), ("elftools", "reads its programs")):
            try:
                __import__(package)
            except ImportError:
                return f"{package} ({purpose}) is not installed; {INSTALL}"
        try:
            found = version("unicorn")
        except PackageNotFoundError:
            found = "unknown"
        if found != VERSION:
            return f"unicorn {found} is installed, driftc needs {VERSION}; {INSTALL}"
        return None

    def missing_for(self, core: str) -> str | None:
        if reason := self.missing():
            return reason
        return None if load_core(core).unicorn_model else f"unicorn cannot emulate {core}"

    def run(
        self, program: Program, samples: Sequence[Sequence[Array]], *, trace: bool, starts: Starts = FIRST
    ) -> Iterator[Sample]:
        """Without `trace`, each Sample has its instructions per step and its peak stack."""
        for run, machine in self._runs(program, samples, trace, starts):
            if not trace:
                run.sample.instructions = machine.counts.take_instructions()
            yield run.sample

    def steps(self, program: Program, sample: Sequence[Array], access: Access | None = None) -> list[Step]:
        """Instructions of each step and what decides how long they take, for one sample; lines of flash by `access`."""
        for _, machine in self._runs(program, [sample], False, FIRST, access):
            return list(machine.counts.take_steps())
        raise ToolError(f"{program.name}: the program ended without a result")

    def profile(self, program: Program, sample: Sequence[Array]) -> Profile:
        """Which classes of instructions each step runs, for one sample."""
        for _, machine in self._runs(program, [sample], False, FIRST):
            return profile(machine.elf, machine.counts.blocks(), machine.counts.take())
        raise ToolError(f"{program.name}: the program ended without a result")

    def _runs(
        self,
        program: Program,
        samples: Sequence[Sequence[Array]],
        trace: bool,
        starts: Starts,
        access: Access | None = None,
    ) -> Iterator[tuple[Run, Any]]:
        if reason := self.missing():
            raise ToolError(reason)
        core = load_core(program.target.core)
        if core.unicorn_model is None:
            raise ToolError(f"unicorn cannot emulate {core.id}; --engine qemu can")
        firmware = build_firmware(program, trace=trace)
        machine = _Machine(core, Elf(firmware.elf), program, Batch(samples, starts), trace, access)
        done = 0
        for run in machine.run():
            done += 1
            yield run, machine
        if done != len(samples):
            raise ToolError(f"{program.name}: {done} results for {len(samples)} samples")


class _Machine:
    """A core with its memory and, through semihosting, the stream of samples."""

    def __init__(
        self, core: Core, elf: Elf, program: Program, batch: Batch, trace: bool, access: Access | None
    ) -> None:
        from driftc.simulator.block_counts import BlockCounts

        unicorn: Any = import_module("unicorn")  # Any: its annotations are incomplete
        arm: Any = import_module("unicorn.arm_const")
        self.elf = elf
        self._program = program
        self._arm = arm
        self._feed = Feed(program, batch)
        self._decoder = Decoder(program, trace=trace)
        self._done: list[Run] = []
        self._status: int | None = None
        self._fault: str | None = None
        self._error_type = unicorn.UcError
        self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self._uc.ctl_set_cpu_model(getattr(arm, f"UC_CPU_ARM_{core.unicorn_model}"))
        for base, size in ((core.code.base, core.code.bytes), (core.ram.base, core.ram.bytes), SYSTEM_SPACE):
            self._uc.mem_map(base, size)
        for address, data in elf.segments:
            self._uc.mem_write(address, data)
        self._uc.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)
        if not trace:
            step = elf.address(program.step)
            self.counts = BlockCounts(self._uc, elf, step, len(program.steps), access=access, flash=core.code)

    def run(self) -> Iterator[Run]:
        # As the core does at reset.
        stack, pc = struct.unpack("<2I", self.elf.read(self.elf.address("port_vectors"), 8))
        self._uc.reg_write(self._arm.UC_ARM_REG_SP, stack)
        while self._status is None:
            try:
                self._uc.emu_start(pc | 1, NO_END)
            except self._error_type as error:
                pc = self._uc.reg_read(self._arm.UC_ARM_REG_PC)
                raise ToolError(
                    f"{self._program.name}: the emulated program failed at {self.elf.describe(pc)}: {error}"
                ) from error
            if self._fault:
                raise ToolError(f"{self._program.name}: the emulated program failed: {self._fault}")
            pc = self._uc.reg_read(self._arm.UC_ARM_REG_PC)
            while self._done:
                yield self._done.pop(0)
        self._decoder.finish()
        if self._status != 0:
            raise ToolError(f"{self._program.name}: the emulated program ended with {ended(self._status)}")

    def _on_interrupt(self, uc: Any, number: int, _: Any) -> None:
        pc = uc.reg_read(self._arm.UC_ARM_REG_PC)
        if number != BREAKPOINT or int.from_bytes(uc.mem_read(pc, 2), "little") != BKPT_AB:
            self._fault = f"exception {number} at {self.elf.describe(pc)}"
            uc.emu_stop()
            return
        operation = uc.reg_read(self._arm.UC_ARM_REG_R0)
        block = uc.reg_read(self._arm.UC_ARM_REG_R1)
        uc.reg_write(self._arm.UC_ARM_REG_R0, self._semihosting(operation, block) & 0xFFFF_FFFF)
        uc.reg_write(self._arm.UC_ARM_REG_PC, (pc + 2) | 1)
        if self._done or self._status is not None:
            uc.emu_stop()

    def _semihosting(self, operation: int, block: int) -> int:
        """Answer a call of firmware/ports/semihosting.h: handle 1 is in.bin, 2 is out.bin."""
        words: tuple[int, ...] = (0, 0, 0)
        if operation != CLOSE:
            words = struct.unpack("<3I", self._uc.mem_read(block, 12))
        if operation == OPEN:
            return 2 if words[1] & 4 else 1
        if operation == READ:
            _, address, size = words
            part = self._feed.take(size)
            self._uc.mem_write(address, part)
            return size - len(part)
        if operation == WRITE:
            _, address, size = words
            self._done += self._decoder.feed(self._uc.mem_read(address, size))
            return 0
        if operation == EXIT:
            self._status = words[1]
        return 0
