"""The `serial` engine: the harness on a board, over its serial port (firmware/ports/serial.h)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import ClassVar
from urllib.parse import SplitResult

from driftc.codegen.errors import ToolError, UsageError
from driftc.simulator.engine import FIRST, Array, Engine, Program, Sample, Starts
from driftc.simulator.hardware import numbers
from driftc.simulator.serial_link import STREAM, Identity, Link
from driftc.simulator.stream import GO_ON, RESET, Decoder, encode_sample

BAUD, TIMEOUT = 115200, 30
FOR_EVER = struct.pack("<i", (1 << 31) - 1)  # samples: the next session starts the program anew


def serial_engine(parts: SplitResult) -> SerialEngine:
    """Of an address serial:///dev/ttyACM0?baud=115200&timeout=30 (serial://COM3 on Windows)."""
    device = parts.netloc + parts.path
    if not device:
        raise UsageError(f"--on {parts.geturl()}: names no port; serial:///dev/ttyACM0?baud={BAUD}")
    given = numbers(parts, {"baud": BAUD, "timeout": TIMEOUT})
    if given["baud"] % 1:
        raise UsageError(f"--on {parts.geturl()}: baud must be a whole number")
    return SerialEngine(device, baud=int(given["baud"]), timeout=given["timeout"])


def rtt_engine(parts: SplitResult) -> SerialEngine:
    """Of an address rtt://HOST:PORT?timeout=30: a debugger's server of RTT's channel 0, which passes on plain bytes."""
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or parts.path:
        raise UsageError(f"--on {parts.geturl()}: expected rtt://HOST:PORT, and where wanted ?timeout=SECONDS")
    given = numbers(parts, {"timeout": TIMEOUT})
    return SerialEngine(f"{STREAM}{parts.netloc}", timeout=given["timeout"])


class SerialEngine(Engine):
    """The board must have the folder's harness already; it says which model it runs before anything is sent."""

    name: ClassVar[str] = "serial"

    def __init__(self, device: str, *, baud: int = BAUD, timeout: float = TIMEOUT) -> None:
        """`timeout`: seconds for each answer, an inference among them."""
        self._device = device
        self._baud = baud
        self._timeout = timeout

    def missing(self) -> str | None:
        return None if find_spec("serial") else 'pyserial is not installed; pip install "driftc[serial]" brings it'

    def run(
        self, program: Program, samples: Sequence[Sequence[Array]], *, trace: bool, starts: Starts = FIRST
    ) -> Iterator[Sample]:
        """Without `trace`, each Sample has what the board measures: cycles or instructions per step, peak stack."""
        with Link(self._device, self._baud, self._timeout) as link:
            board = link.hello(trace=trace)
            self._check(program, board, trace)
            link.put(FOR_EVER)
            decoder = Decoder(program, trace=trace)
            for number, sample in enumerate(samples):
                begin = RESET if number == 0 or number in starts else GO_ON
                link.put(encode_sample(program, sample, begin))
                while not (runs := decoder.feed(link.get())):
                    continue
                (run,) = runs
                if board.cycles:
                    run.sample.cycles = run.ticks
                else:
                    run.sample.instructions = run.ticks
                yield run.sample

    def _check(self, program: Program, found: Identity, trace: bool) -> None:
        if found.name != program.name:
            raise ToolError(
                f"{self._device}: the board runs the model '{found.name}', not '{program.name}'; flash this folder, or "
                "verify that one"
            )
        if found.id != model_id(program):
            raise ToolError(
                f"{self._device}: the board runs a '{found.name}' that was compiled from another file, with other "
                f"options or by another driftc ({found.id.hex()}, the folder is {model_id(program).hex()}); flash it"
            )
        if trace and not found.shows:
            raise ToolError(
                f"{self._device}: the board's program cannot show its layers: it was built without MODEL_HOOK"
            )


def model_id(program: Program) -> bytes:
    """What MODEL_ID of the folder's simulator/model.h says. Raises ToolError."""
    text = (program.folder / "simulator" / "model.h").read_text(encoding="utf-8")
    line = re.search(r"^#define MODEL_ID (.*?)(?:/\*|$)", text, re.MULTILINE)
    if line is None:
        raise ToolError(f"{program.folder}: was compiled by an older driftc; compile the model again")
    return bytes(int(byte, 0) for byte in line[1].split(","))
