"""driftc boards."""

from __future__ import annotations

import click

from driftc.codegen.cli.options import json_option
from driftc.codegen.cli.rows import show_rows


@click.command()
@json_option
def boards(as_json: bool) -> None:
    """List the boards: core, memories, and the emulator that stands in for each."""
    from driftc.boards import COLUMNS, table

    show_rows("boards", COLUMNS, table(), as_json)
