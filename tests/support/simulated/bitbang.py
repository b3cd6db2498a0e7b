"""python -m simulated.bitbang [FLASH.bin [AFTERWARDS.bin]]: the simulated chip behind JTAG wires, for OpenOCD.

The chain is an STM32F4's: the core's JTAG-DP (4 bits of instruction) next to TDO, then the boundary scan (5 bits).
Prints its port once it listens. OpenOCD manual, "remote_bitbang"; IEEE 1149.1, figure 6-1; IHI 0031, chapter B3.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from simulated.chip import Chip, DebugPort

# Next state with TMS 0 and with TMS 1.
RESET, IDLE, SELECT_DR, CAPTURE_DR, SHIFT_DR, EXIT_DR, PAUSE_DR, EXIT2_DR, UPDATE_DR = range(9)
SELECT_IR, CAPTURE_IR, SHIFT_IR, EXIT_IR, PAUSE_IR, EXIT2_IR, UPDATE_IR = range(9, 16)
STATES = (
    (IDLE, RESET), (IDLE, SELECT_DR),
    (CAPTURE_DR, SELECT_IR), (SHIFT_DR, EXIT_DR), (SHIFT_DR, EXIT_DR), (PAUSE_DR, UPDATE_DR), (PAUSE_DR, EXIT2_DR),
    (SHIFT_DR, UPDATE_DR), (IDLE, SELECT_DR),
    (CAPTURE_IR, RESET), (SHIFT_IR, EXIT_IR), (SHIFT_IR, EXIT_IR), (PAUSE_IR, UPDATE_IR), (PAUSE_IR, EXIT2_IR),
    (SHIFT_IR, UPDATE_IR), (IDLE, SELECT_DR),
)  # fmt: skip
SHIFTING = (SHIFT_DR, SHIFT_IR)
DPACC, APACC, IDCODE = 0xA, 0xB, 0xE
CORE_ID, BOUNDARY_ID = 0x4BA0_0477, 0x0642_1041
CORE_IR, BOUNDARY_IR, BOUNDARY_IDCODE = 4, 5, 1
ANSWERED = 0b010


class Chain:
    """Both TAPs. What is shifted leaves at bit 0, which is nearest to TDO."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self._port = DebugPort(chip)
        self.state = RESET
        self._core, self._boundary = IDCODE, BOUNDARY_IDCODE
        self.shift, self.length = 0, 1
        self._result = 0

    def enter(self, state: int) -> None:
        """A rising edge of TCK outside the shifting states, which leads to `state`."""
        if self.state == CAPTURE_IR:
            self.shift, self.length = 0b00001_0001, CORE_IR + BOUNDARY_IR
        elif self.state == CAPTURE_DR:
            self._capture()
        self.state = state
        if state == UPDATE_IR:
            self._core, self._boundary = self.shift & 0xF, self.shift >> CORE_IR
        elif state == UPDATE_DR:
            self._update()
        elif state == RESET:
            self._core, self._boundary = IDCODE, BOUNDARY_IDCODE

    def _capture(self) -> None:
        core, length = {IDCODE: (CORE_ID, 32), DPACC: (self._result << 3 | ANSWERED, 35),
                        APACC: (self._result << 3 | ANSWERED, 35), 8: (0, 35)}.get(self._core, (0, 1))  # fmt: skip
        other, more = (BOUNDARY_ID, 32) if self._boundary == BOUNDARY_IDCODE else (0, 1)
        self.shift, self.length = core | other << length, length + more

    def _update(self) -> None:
        if self._core not in (DPACC, APACC):
            return
        request = self.shift & (1 << 35) - 1
        at, value = (request >> 1 & 3) << 2, request >> 3
        if request & 1:
            self._result = self._port.read_ap(at) if self._core == APACC else self._port.read_dp(at)
        elif self._core == APACC:
            self._port.write_ap(at, value)
        else:
            self._port.write_dp(at, value)


def serve(chip: Chip, connection: socket.socket) -> None:
    """Until OpenOCD quits. 0 to 7 are TCK, TMS, TDI; R asks for TDO; r to u are the reset lines."""
    chain, high = Chain(chip), False
    while data := connection.recv(1 << 16):
        answer = bytearray()
        shift, top, state = chain.shift, chain.length - 1, chain.state
        for byte in data:  # kept short: most of a test's time is spent here
            if byte == 82:
                answer.append(48 | shift & 1)
            elif byte < 52:
                high = False
            elif byte < 56:
                if high:
                    continue
                high = True
                if state in SHIFTING:
                    shift = shift >> 1 | (byte & 1) << top
                    state = STATES[state][byte >> 1 & 1]
                else:
                    chain.shift, chain.state = shift, state
                    chain.enter(STATES[state][byte >> 1 & 1])
                    shift, top, state = chain.shift, chain.length - 1, chain.state
            elif byte == 81:
                return
        chain.shift, chain.state = shift, state
        if answer:
            connection.sendall(answer)


def main() -> None:
    chip = Chip(Path(sys.argv[1]).read_bytes() if len(sys.argv) > 1 else b"")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"port {listener.getsockname()[1]}", flush=True)
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                serve(chip, connection)
            if len(sys.argv) > 2:
                Path(sys.argv[2]).write_bytes(chip.flash)


if __name__ == "__main__":
    main()
