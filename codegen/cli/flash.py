"""driftc flash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

TRANSPORTS = ("serial", "rtt", "semihosting", "gdb")  # of simulator/program.py, which is not loaded for a help text
TOOLS = "openocd|pyocd|st-flash|dfu|picotool|uf2|esptool"


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--board", metavar="NAME", help="The board ('driftc boards' lists them; default: the folder's).")
@click.option(
    "--image",
    type=click.Path(path_type=Path),
    metavar="ELF|BIN",
    help="Your own program instead of FOLDER's harness.",
)
@click.option("--address", metavar="HEX", help="Where a BIN goes (default: the flash's start; esptool: 0).")
@click.option("--tool", metavar=TOOLS, help="What programs the board (default: the first that is installed).")
@click.option(
    "--port",
    metavar="WHERE",
    help="Where the board is: a serial port (esptool), a drive (uf2), a probe's id, or OpenOCD's script for the probe.",
)
@click.option(
    "--transport",
    type=click.Choice(TRANSPORTS),
    help="What the harness talks through: its serial line (default where known), RTT, semihosting or GDB by its probe.",
)
@click.option("--tool-option", "tool_options", multiple=True, metavar="WORD", help="Passed on to the tool; repeatable.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Keep the file that is programmed."
)
@click.option("--dry-run", is_flag=True, help="Print the command, and program nothing; -o writes its file.")
def flash(**options: Any) -> None:
    """Put FOLDER on a board: build its harness with start-up code for the board, and program it with the board's tool.

    Afterwards 'driftc verify FOLDER --on' compares every tensor on the chip.
    """
    from driftc.codegen.flashing import Flashing
    from driftc.codegen.flashing import flash as run

    click.echo(run(Flashing(**options)))
