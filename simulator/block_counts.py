"""Exact instruction counts in unicorn, per step and per block, through a hook written in C (block_counts.c)."""

from __future__ import annotations

import ctypes
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.boards.cores import Region
from driftc.boards.timing import Access
from driftc.codegen.errors import ToolError
from driftc.simulator.cache import cached, digest
from driftc.simulator.cycles import decode, events
from driftc.simulator.elf import Elf
from driftc.simulator.toolchain import host_compiler

CAPACITY = 1 << 16  # blocks; models have some thousand
MOST_LINES = 64  # as in block_counts.c


class _Block(ctypes.Structure):
    _fields_ = (("address", ctypes.c_uint32), ("size", ctypes.c_uint32), ("next", ctypes.c_uint32))


class _Lines(ctypes.Structure):
    _fields_ = (
        ("bytes", ctypes.c_uint32),
        ("kept", ctypes.c_uint32),
        ("prefetch", ctypes.c_uint32),
        ("last", ctypes.c_uint32),
        ("tags", ctypes.c_uint32 * MOST_LINES),
        ("read", ctypes.c_void_p),
    )


class _Counter(ctypes.Structure):
    _fields_ = (
        ("code_base", ctypes.c_uint32),
        ("code_halfwords", ctypes.c_uint32),
        ("first_block", ctypes.c_void_p),
        ("blocks", ctypes.c_void_p),
        ("executions", ctypes.c_void_p),
        ("taken", ctypes.c_void_p),
        ("capacity", ctypes.c_uint32),
        ("blocks_used", ctypes.c_uint32),
        ("step_address", ctypes.c_uint32),
        ("return_address", ctypes.c_uint32),
        ("steps", ctypes.c_int32),
        ("next_step", ctypes.c_int32),
        ("step", ctypes.c_int32),
        ("link_register", ctypes.c_int32),
        ("read_register", ctypes.c_void_p),
        ("failed", ctypes.c_uint32),
        ("before", ctypes.c_uint32),
        ("code", _Lines),
        ("data", _Lines),
    )


@dataclass(frozen=True)
class Step:
    """What a step of the model ran."""

    instructions: int
    events: dict[str, int]  # of boards/timing.py
    lines: int  # read from flash; 0 where that was not counted


class BlockCounts:
    """Counts the blocks of one emulator until it is asked; keep it alive as long as the emulator runs.

    With `access`, also the lines that are read from flash: of code, and of data in the memory that holds the code.
    """

    def __init__(
        self,
        emulator: Any,
        elf: Elf,
        step_address: int,
        steps: int,
        capacity: int = CAPACITY,
        access: Access | None = None,
        flash: Region | None = None,
    ) -> None:
        # unicorn's Python binding has no public way to register a native callback: hence its handles.
        from unicorn import UC_HOOK_BLOCK, UC_HOOK_MEM_READ
        from unicorn.arm_const import UC_ARM_REG_LR
        from unicorn.unicorn_py3.unicorn import uclib

        low, high = elf.code_range
        low &= ~1
        self._elf = elf
        self._lengths: list[int] = []  # instructions per block, as far as already known
        self._first = np.zeros((high - low) // 2 + 1, np.uint32)
        self._blocks = (_Block * capacity)()
        self._events: list[Counter[str]] = []  # of blocks, as far as already known
        self._executions: NDArray[np.uint64] = np.zeros((steps, capacity), np.uint64)
        self._taken: NDArray[np.uint64] = np.zeros((steps, capacity), np.uint64)
        self._lines: NDArray[np.uint64] = np.zeros((2, steps), np.uint64)
        self._counter = _Counter(
            code_base=low, code_halfwords=self._first.size, first_block=self._first.ctypes.data,
            blocks=ctypes.addressof(self._blocks), executions=self._executions.ctypes.data,
            taken=self._taken.ctypes.data, capacity=capacity,
            step_address=step_address, steps=steps, step=-1, link_register=UC_ARM_REG_LR,
            read_register=ctypes.cast(uclib.uc_reg_read, ctypes.c_void_p).value,
        )  # fmt: skip
        hooks = [(UC_HOOK_BLOCK, _library().on_block, 1, 0)]
        if access is not None and flash is not None:
            code, data = self._counter.code, self._counter.data
            for lines, kept, read in (
                (code, access.code_lines, self._lines[0]),
                (data, access.data_lines, self._lines[1]),
            ):
                lines.bytes, lines.kept, lines.read = access.line, kept, read.ctypes.data
            self._counter.code.prefetch = access.prefetch
            hooks.append((UC_HOOK_MEM_READ, _library().on_read, flash.base, flash.base + flash.bytes - 1))
        for kind, function, first, last in hooks:
            handle = ctypes.c_size_t()
            status = uclib.uc_hook_add(
                emulator._uch, ctypes.byref(handle), kind, ctypes.cast(function, ctypes.c_void_p),
                ctypes.byref(self._counter), ctypes.c_uint64(first), ctypes.c_uint64(last),
            )  # fmt: skip
            if status != 0:
                raise ToolError(f"unicorn refused the counting hook (error {status}); driftc needs unicorn 2.1.4")

    def take(self) -> list[tuple[int, ...]]:
        """How often each block of `blocks()` ran, for every step, since the last time; starts anew."""
        counts = [tuple(map(int, row)) for row in self._executions[:, : self._used]]
        self._restart()
        return counts

    def take_instructions(self) -> tuple[int, ...]:
        """Instructions of each step since the last time; starts anew."""
        used = self._used
        for address, size in self.blocks()[len(self._lengths) :]:
            self._lengths.append(thumb_instructions(self._elf.read(address, size)))
        totals = self._executions[:, :used] @ np.array(self._lengths, np.uint64)
        self._restart()
        return tuple(map(int, totals))

    def take_steps(self) -> list[Step]:
        """The same with what boards/timing.py weighs."""
        for address, size in self.blocks()[len(self._events) :]:
            self._events.append(events(decode(self._elf.read(address, size), address)))
        found = []
        for step in range(len(self._executions)):
            total: Counter[str] = Counter()
            for times, one in zip(self._executions[step], self._events, strict=False):
                if times:
                    total.update({event: int(times) * count for event, count in one.items()})
            total["taken"] += int(self._taken[step].sum())
            found.append(total)
        lines = self._lines.sum(axis=0)
        counts = self.take_instructions()
        return [Step(n, dict(+total), int(read)) for n, total, read in zip(counts, found, lines, strict=True)]

    @property
    def _used(self) -> int:
        if self._counter.failed:
            raise ToolError("the program runs code that is not its own, or too much of it to count")
        return int(self._counter.blocks_used)

    def _restart(self) -> None:
        used = self._counter.blocks_used
        for counts in (self._executions[:, :used], self._taken[:, :used], self._lines):
            counts[:] = 0

    def blocks(self) -> list[tuple[int, int]]:
        """Address and size of every block that ran in a step."""
        return [(block.address, block.size) for block in self._blocks[: self._counter.blocks_used]]


def thumb_instructions(code: bytes) -> int:
    """How many Thumb instructions there are; one that its IT block skips counts like any other, as on the core."""
    count = at = 0
    while at < len(code):
        at += 4 if code[at + 1] >> 3 >= 0b11101 else 2
        count += 1
    return count


@cache
def _library() -> ctypes.CDLL:
    source = (files("driftc") / "simulator" / "block_counts.c").read_text(encoding="utf-8")
    compiler = host_compiler()
    name = "block_counts.dll" if sys.platform == "win32" else "block_counts.so"
    flags = ["-std=c11", "-O2", "-shared", "-fPIC"]
    if compiler.kind == "zig":
        flags.append("-fno-sanitize=undefined")

    def build(folder: Any) -> None:
        (folder / "block_counts.c").write_text(source, encoding="utf-8")
        compiler.run([*flags, "block_counts.c", "-o", name], folder)

    key = digest([source, compiler.version, *compiler.command, *flags, sys.platform])
    return ctypes.CDLL(str(cached(key, name, build)))
