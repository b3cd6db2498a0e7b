"""The `qemu` engine: the same ELF as unicorn's on an emulated board, start-up and interrupts included."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import ClassVar

from driftc.boards.cores import Core, Machine, core_names, load_core
from driftc.codegen.errors import ToolError
from driftc.simulator.engine import FIRST, Array, Engine, Program, Sample, Starts
from driftc.simulator.program import build_firmware
from driftc.simulator.stream import Batch, Decoder, Run, encode, ended

INSTALL = {"arm": "Debian: apt-get install qemu-system-arm; macOS: brew install qemu",
           "riscv32": "Debian: apt-get install qemu-system-misc; macOS: brew install qemu"}  # fmt: skip
ICOUNT_SHIFT = {"arm": 4, "riscv32": 0}  # an instruction takes 2**shift ns of the machine's time
NO_WRAPS_SHIFT = 0  # SysTick wraps after some 600 million instructions, at a poor resolution
SYSTICK_PERIOD = 1 << 24
WRAP_INSTRUCTIONS = 5  # what counting a wrap adds to the step that it interrupts (port_cortex_m.c: systick)
IDLE_INSTRUCTIONS = 2  # the length of port_idle, subtracted with the overhead though it is none
BATCH_SECONDS = 2.0
BATCH_BYTES = 64 << 20


class QemuEngine(Engine):
    """Cortex-M0+ to M55 and RV32IMC. Samples run in batches of a few seconds, one process each."""

    name: ClassVar[str] = "qemu"

    def __init__(self, *, timeout: float = 300, systick_period: int = SYSTICK_PERIOD) -> None:
        """`timeout`: seconds for one batch, the first of which is a single sample."""
        self._timeout = timeout
        self._period = systick_period

    def missing(self) -> str | None:
        if any(_system(system) for system in INSTALL):
            return None
        return f"qemu-system-arm is not installed ({INSTALL['arm']})"

    def missing_for(self, core: str) -> str | None:
        machine = load_core(core).qemu
        if machine is None:
            return f"QEMU has no machine with a {core}"
        if _system(machine.system) is None:
            return f"qemu-system-{machine.system} is not installed ({INSTALL[machine.system]})"
        return None

    def resolution(self, core_name: str) -> int:
        """By how many instructions a step's count may be off: two ticks, and the call around the step."""
        machine = _machine(load_core(core_name))
        return ceil(2 * _instructions_per_tick(machine)) + 2 if machine.tick_hz else 2

    def run(
        self, program: Program, samples: Sequence[Sequence[Array]], *, trace: bool, starts: Starts = FIRST
    ) -> Iterator[Sample]:
        """Without `trace`, each Sample has its instructions per step, to `resolution`, and its peak stack.

        Where a step is longer than SysTick's period (some 40 million instructions), the interrupt that counts the wraps
        leaves its frame on the stack; the peak is then taken from a second run, on a slower clock.
        """
        core = load_core(program.target.core)
        machine = _machine(core)
        qemu = _system(machine.system)
        if qemu is None:
            raise ToolError(f"qemu-system-{machine.system} is not installed ({INSTALL[machine.system]})")
        own_period = self._period != SYSTICK_PERIOD and core.port == "cortex_m"
        defines = [f"PORT_SYSTICK_PERIOD={self._period:#x}u"] if own_period else []
        firmware = build_firmware(program, trace=trace, defines=defines)
        whole = program.learns or program.uploads  # what is under way is in no state
        at, size, state = 0, len(samples) if whole else 1, b""
        while at < len(samples):
            batch = Batch.of(samples, at, size, starts, state)
            started = time.monotonic()
            runs = self._run_batch(qemu, machine, firmware.elf, program, batch, trace)
            if machine.tick_hz and any(tick >= self._period for run in runs for tick in run.ticks or ()):
                undisturbed = self._run_batch(qemu, machine, firmware.elf, program, batch, trace, NO_WRAPS_SHIFT)
                for run, other in zip(runs, undisturbed, strict=True):
                    run.sample.stack_peak = other.sample.stack_peak
            for run in runs:
                if run.ticks is not None:
                    run.sample.instructions = tuple(self._instructions(machine, ticks) for ticks in run.ticks)
                yield run.sample
            state = runs[-1].sample.state
            at += len(runs)
            per_sample = (time.monotonic() - started) / len(runs)
            size = max(1, min(256, int(BATCH_SECONDS / per_sample), BATCH_BYTES // _sample_bytes(program, trace)))

    def _instructions(self, machine: Machine, ticks: int) -> int:
        if machine.tick_hz is None:
            return ticks + IDLE_INSTRUCTIONS
        wraps = ticks // self._period
        counted = round(ticks * _instructions_per_tick(machine)) + IDLE_INSTRUCTIONS
        return max(0, counted - wraps * WRAP_INSTRUCTIONS)

    def _run_batch(
        self, qemu: str, machine: Machine, elf: Path, program: Program, batch: Batch, trace: bool,
        shift: int | None = None,
    ) -> list[Run]:  # fmt: skip
        count = len(batch.samples)
        shift = ICOUNT_SHIFT[machine.system] if shift is None else shift
        command = [
            qemu, "-M", machine.machine, *machine.options, "-nographic", "-monitor", "none", "-serial", "none",
            "-icount", f"shift={shift}", "-semihosting-config", "enable=on,target=native",
            "-kernel", str(elf),
        ]  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="driftc-") as name:
            folder = Path(name)  # the program opens its files there
            (folder / "in.bin").write_bytes(encode(program, batch))
            try:
                done = subprocess.run(
                    command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=self._timeout,
                    stdin=subprocess.DEVNULL, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired as error:
                raise ToolError(
                    f"{program.name}: {machine.machine} ran {self._timeout:g} s without finishing "
                    f"{count} sample{'s'[: count > 1]}; --engine unicorn or host may be faster"
                ) from error
            if done.returncode != 0:
                report = "\n".join(done.stderr.splitlines()[:8])
                raise ToolError(
                    f"{program.name}: {machine.machine} ended with {ended(done.returncode)}\n{report}".rstrip()
                )
            results = (folder / "out.bin").read_bytes()
        decoder = Decoder(program, trace=trace)
        runs = decoder.feed(results)
        decoder.finish()
        if len(runs) != count:
            raise ToolError(f"{program.name}: {len(runs)} results for {count} samples")
        return runs


def _machine(core: Core) -> Machine:
    if core.qemu is None:
        able = ", ".join(name for name in core_names() if load_core(name).qemu)
        raise ToolError(f"no QEMU machine is known for {core.id}; there is one for {able}")
    return core.qemu


def _system(system: str) -> str | None:
    return shutil.which(f"qemu-system-{system}")


def _instructions_per_tick(machine: Machine) -> float:
    assert machine.tick_hz is not None
    return 1e9 / machine.tick_hz / (1 << ICOUNT_SHIFT[machine.system])


def _sample_bytes(program: Program, trace: bool) -> int:
    layers = program.layers if trace else ()
    shown = sum(layer.hwc[0] * layer.hwc[1] * layer.hwc[2] * layer.dtype.itemsize for layer in layers)
    return shown + 8 * len(program.steps) + 4096
