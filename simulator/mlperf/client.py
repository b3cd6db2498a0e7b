"""The runner's end of the text protocol: commands that end in %, lines, and m-ready after every reply."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from types import TracebackType

from driftc.codegen.errors import ToolError
from driftc.simulator.serial_link import guarded, open_port

DB_BYTES = 31  # in one command, as the runner of mlcommons/tiny does
COMMAND_SECONDS, INFER_SECONDS = 5.0, 30.0
ATTEMPTS = 3  # at the first command
READY = b"m-ready\r\n"


@dataclass(frozen=True)
class Inference:
    """What `infer` said: the output as real values, and the time of all iterations in seconds, None in energy mode."""

    results: tuple[float, ...]
    seconds: float | None


class Client:
    """A device on a serial port. Raises ToolError where it does not answer in time, or not in the protocol."""

    def __init__(self, device: str, baud: int) -> None:
        self._device = device
        self._port = open_port(device, baud, COMMAND_SECONDS)
        self._buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._port.close()

    def start(self) -> tuple[str, str]:
        """The vendor, and the benchmark that the device was built for."""
        guarded(self._device, COMMAND_SECONDS, self._port.reset_input_buffer)
        vendor = self._answer("name", r"m-name-dut-\[(.*)\]", ATTEMPTS)  # many start anew when their port is opened
        return vendor, self._answer("profile", r"m-model-\[(.*)\]", 1)

    def _answer(self, command: str, pattern: str, attempts: int) -> str:
        """What `pattern` finds in the reply. Others may come before: of the device's start, or to an earlier runner."""
        lines: list[str] = []
        answered = False
        for attempt in range(1, attempts + 1):
            self._send(command)
            until = time.monotonic() + COMMAND_SECONDS
            try:
                while (left := until - time.monotonic()) > 0:
                    lines = self._until_ready(command, left) or lines
                    answered = True
                    if found := _matching(lines, pattern):
                        return found
            except ToolError:
                if attempt == attempts and not answered:
                    raise
        raise self._strange(command, lines)

    def load(self, data: bytes) -> None:
        """One input, as the benchmark sends it."""
        lines = self.command(f"db load {len(data)}")
        for at in range(0, len(data), DB_BYTES):
            lines = self.command(f"db {data[at : at + DB_BYTES].hex()}")
        if "m-load-done" not in lines:
            raise self._strange("db", lines)

    def infer(self, iterations: int, warmups: int, seconds: float = INFER_SECONDS) -> Inference:
        """`seconds`: for how long to wait."""
        lines = self.command(f"infer {iterations} {warmups}", seconds)
        laps = [int(found[1]) for line in lines if (found := re.fullmatch(r"m-lap-us-(\d+)", line))]
        results = [found[1] for line in lines if (found := re.fullmatch(r"m-results-\[(.*)\]", line))]
        if len(laps) not in (0, 2) or len(results) != 1:
            raise self._strange("infer", lines)
        try:
            values = tuple(float(text) for text in results[0].split(","))
        except ValueError:
            raise self._strange("infer", results) from None
        return Inference(values, (laps[1] - laps[0]) / 1e6 if laps else None)

    def hear(self, sound: bytes) -> int:
        """A piece of sound, once `start` was said: the output for the wake word, as the model has it."""
        self.load(sound)
        lines = self.command("extract_uart_stream", INFER_SECONDS)
        found = _matching(lines, r"m-activations-\[ *([+-]?\d+),.*\]")
        if found is None:
            raise self._strange("extract_uart_stream", lines)
        return int(found)

    def command(self, text: str, seconds: float = COMMAND_SECONDS) -> list[str]:
        """The lines of the reply before m-ready. Raises ToolError where one of them is an error."""
        self._send(text)
        lines = self._until_ready(text, seconds)
        for line in lines:
            if line.startswith("e-["):
                raise ToolError(f"{self._device}: '{text[:40]}': the device says {line}")
            if line == "m-init-done":
                raise ToolError(f"{self._device}: the device was reset during '{text[:40]}'")
        return lines

    def _send(self, text: str) -> None:
        guarded(self._device, COMMAND_SECONDS, lambda: self._port.write(f"{text}%".encode("ascii")))

    def _until_ready(self, command: str, seconds: float) -> list[str]:
        until = time.monotonic() + seconds
        while (end := self._buffer.find(READY)) < 0:
            if time.monotonic() >= until:
                raise ToolError(
                    f"{self._device}: no m-ready within {round(seconds, 1):g} s of '{command[:40]}'; "
                    + (f"it said {self._buffer[-60:]!r}" if self._buffer else "the device says nothing")
                )
            self._buffer += guarded(self._device, COMMAND_SECONDS, lambda: self._port.read(self._port.in_waiting or 1))
        lines = self._buffer[:end].decode("ascii", "replace").split("\r\n")
        self._buffer = self._buffer[end + len(READY) :]
        return [line for line in lines if line]

    def _strange(self, command: str, lines: list[str]) -> ToolError:
        said = " / ".join(lines[-3:])[:120] or "nothing"
        return ToolError(f"{self._device}: '{command}' was answered with {said}, which is not MLPerf Tiny's protocol")


def _matching(lines: list[str], pattern: str) -> str | None:
    """What the pattern's group is in the first line that matches."""
    return next((found[1] for line in lines if (found := re.fullmatch(pattern, line))), None)
