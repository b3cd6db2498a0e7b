"""driftc doctor."""

from __future__ import annotations

import click

from driftc.codegen.cli.options import json_option
from driftc.codegen.cli.rows import show_rows


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say which engines and compilers are present, what each missing one would add, and how to install it."""
    from driftc.codegen.cli.examine import COLUMNS, examine

    show_rows("tools", COLUMNS, examine(), as_json)
