"""The `gdb` engine: a chip behind a GDB server - OpenOCD, pyOCD, st-util, or QEMU's stub for an emulated one.

The program is the harness of firmware/ports, linked for the board's memories. It stops at one breakpoint whenever it
wants bytes or has some (firmware/ports/debugger.h); nothing else halts it, so that what it measures is not disturbed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from typing import ClassVar
from urllib.parse import SplitResult, parse_qsl

from driftc.boards import load as load_board
from driftc.boards.cores import Core, load_core
from driftc.codegen.errors import ToolError, UsageError
from driftc.simulator.elf import Elf
from driftc.simulator.engine import FIRST, Array, Engine, Program, Sample, Starts
from driftc.simulator.gdb.chip import Chip
from driftc.simulator.gdb.rsp import NoAnswer, RspClient
from driftc.simulator.program import build_firmware
from driftc.simulator.stream import Batch, Decoder, Feed, Run, ended

RUN_SECONDS = 60.0  # from one stop to the next
OPEN, READ, WRITE, EXIT = range(4)  # firmware/ports/debugger.h
MARK, ID = 8, 8  # bytes of port_identity before its name
LARGEST = 1 << 20  # bytes of one stop: the harness collects 4 KB
SYNTAX = "gdb://HOST:PORT, and where wanted ?timeout=SECONDS (of one layer or sample) or ?load=no (run what is flashed)"


class GdbEngine(Engine):
    """One chip runs all samples; the generator gives each as soon as it is done."""

    name: ClassVar[str] = "gdb"

    def __init__(self, parts: SplitResult) -> None:
        """`parts` of SYNTAX; UsageError where they are not. The server is called when samples run."""
        try:
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
            self._host, self._port = parts.hostname or "", parts.port or 0
            self._seconds = float(options.pop("timeout", RUN_SECONDS))
            self._load = {"yes": True, "no": False}[options.pop("load", "yes")]
        except (ValueError, KeyError):
            raise UsageError(f"--on {parts.geturl()}: expected {SYNTAX}") from None
        if not self._host or not self._port or options or parts.path or not 0 < self._seconds < 1e6:
            raise UsageError(f"--on {parts.geturl()}: expected {SYNTAX}")

    def missing(self) -> str | None:
        return None

    def missing_for(self, core: str) -> str | None:
        return None if load_core(core).qemu else f"driftc has no start-up code for {core}"

    def run(
        self, program: Program, samples: Sequence[Sequence[Array]], *, trace: bool, starts: Starts = FIRST
    ) -> Iterator[Sample]:
        """Without `trace`, each Sample has its cycles per step where the chip counts them, and its peak stack."""
        with closing(RspClient(self._host, self._port)) as client:
            chip = Chip(client)
            core = load_core(program.target.core)
            chip.refuse_other(core)
            named = program.target.board
            board = None if chip.is_qemu or named is None else load_board(named)
            defines = ["PORT_DEBUGGER", "PORT_CYCLES"]
            elf = Elf(build_firmware(program, trace=trace, defines=defines, board=board).elf)
            chip.reset()
            if self._load:
                chip.load(elf)
                chip.reset()
            elif not chip.holds(elf):
                raise ToolError(f"{client.name}: {self._stranger(client, elf, program)}")
            breakpoint = elf.address("port_debugger"), 2 if core.port == "cortex_m" else 4
            client.set_breakpoint(*breakpoint)
            try:
                session = _Session(client, core, elf, program, Batch(samples, starts), trace, self._seconds)
                for run in session.runs():
                    cycles = run.ticks if run.ticks and any(run.ticks) and not chip.is_qemu else None
                    run.sample.cycles = cycles
                    yield run.sample
            finally:
                with suppress(ToolError):  # what failed before is what counts
                    client.remove_breakpoint(*breakpoint)

    def _stranger(self, client: RspClient, elf: Elf, program: Program) -> str:
        """What the chip has in place of the program."""
        advice = "leave ?load=no out, and the right one is flashed"
        at = elf.address("port_identity")
        size = next(symbol.size for symbol in elf.symbols if symbol.name == "port_identity")
        own, found = elf.read(at, size), client.read(at, size + 64)
        if found[:MARK] != own[:MARK]:
            return f"no program of driftc's is flashed, so not {program.name}; {advice}"
        if found[:size] == own:
            return f"{program.name} is flashed, with other options, compiler or version of driftc; {advice}"
        name = found[MARK + ID :].partition(b"\0")[0].decode("ascii", errors="replace")
        other, wanted = found[MARK : MARK + ID].hex(), own[MARK : MARK + ID].hex()
        return f"the model that is flashed is {name} ({other}), not {program.name} ({wanted}); {advice}"


class _Session:
    """The harness from its start to its end, stop by stop."""

    def __init__(
        self,
        client: RspClient,
        core: Core,
        elf: Elf,
        program: Program,
        batch: Batch,
        trace: bool,
        seconds: float,
    ) -> None:
        self._client = client
        self._riscv = core.port == "riscv"
        self._elf = elf
        self._program = program
        self._feed = Feed(program, batch)
        self._decoder = Decoder(program, trace=trace)
        self._seconds = seconds
        self._count = len(batch.samples)

    def runs(self) -> Iterator[Run]:
        """Each sample that is done. Raises ToolError where the program does not come to its end."""
        opened, done = False, 0
        while True:
            operation, data, size, back = self._stop()
            runs: list[Run] = []
            if operation == OPEN and opened:
                raise self._failed(
                    f"the board was reset within sample {done}; is its power, or a watchdog, the reason?"
                )
            if operation == EXIT:
                break
            if operation not in (OPEN, READ, WRITE) or size > LARGEST or not (opened or operation == OPEN):
                raise self._failed(f"what it asks for makes no sense (operation {operation}, {size} bytes)")
            opened, left = True, 0
            if operation == READ:
                part = self._feed.take(size)
                self._client.write(data, part)
                left = size - len(part)
            elif operation == WRITE:
                runs = self._decoder.feed(self._client.read(data, size))
            self._client.set_register(10 if self._riscv else 0, int(left > 0))
            self._client.set_register(32 if self._riscv else 15, back & ~1)
            done += len(runs)
            yield from runs
        self._decoder.finish()
        if data != 0:
            raise self._failed(f"ended with {ended(data)}")
        if done != self._count:
            raise self._failed(f"{done} results for {self._count} samples")

    def _stop(self) -> tuple[int, int, int, int]:
        """Run to the breakpoint: operation, address or status, bytes, and where to go on."""
        self._client.send(b"c")
        try:
            answer = self._client.receive(self._seconds, "the program's next step")
        except NoAnswer:
            where = self._where()
            advice = "a longer layer needs ?timeout=SECONDS"
            raise self._failed(f"ran {self._seconds:g} s without a word, {where}; {advice}") from None
        if answer[:1] not in (b"S", b"T"):
            raise self._failed(f"stopped with '{answer[:32].decode('latin-1')}'")
        registers = self._client.registers(33 if self._riscv else 16)
        pc = registers[32 if self._riscv else 15]
        if pc & ~1 != self._elf.address("port_debugger"):
            raise self._failed(f"stopped at {self._elf.describe(pc & ~1)} with signal {answer[1:3].decode('latin-1')}")
        first = 10 if self._riscv else 0
        operation, data, size = registers[first : first + 3]
        return operation, data, size, registers[1 if self._riscv else 14]

    def _where(self) -> str:
        """Halt the program that does not stop by itself, and say where it was."""
        try:
            self._client.interrupt()
            self._client.receive(waiting_for="the program to stop")
            pc = self._client.registers(33 if self._riscv else 16)[32 if self._riscv else 15]
        except ToolError:
            return "and the server no longer answers"
        return f"and was at {self._elf.describe(pc & ~1)}"

    def _failed(self, what: str) -> ToolError:
        return ToolError(f"{self._client.name}: {self._program.name} on the chip: {what}")
