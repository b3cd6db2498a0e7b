"""driftc operators."""

from __future__ import annotations

import click

from driftc.codegen.cli.options import json_option
from driftc.codegen.cli.rows import show_rows


@click.command()
@json_option
def operators(as_json: bool) -> None:
    """List the operators that driftc compiles, and where LiteRT computes other bytes than TFLite Micro."""
    from driftc.codegen.operators import registry

    rows: list[tuple[str, ...]] = [(code, operator.departures or "-") for code, operator in registry().items()]
    show_rows("operators", ("operator", "where LiteRT departs"), rows, as_json)
