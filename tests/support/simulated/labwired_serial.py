"""A chip of LabWired's: `python labwired_serial.py SYSTEM ELF UART READY`, its serial port on stdin and stdout.

The file READY appears with its first byte.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

TURN = "250us"  # of the chip's own time


def main(system: str, elf: str, uart: str, ready: str) -> None:
    sim: Any = import_module("labwired").Sim(elf, system=system, uart=uart)
    os.set_blocking(0, False)
    while True:
        try:
            came = os.read(0, 256)
            if not came:
                return
            sim.send_bytes(came)
        except BlockingIOError:
            pass
        sim.run_for(TURN)
        if said := sim.read_uart_bytes():
            os.write(1, said)
            Path(ready).touch()


if __name__ == "__main__":
    main(*sys.argv[1:])
