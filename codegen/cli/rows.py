"""Tables of facts, for people or as JSON."""

from __future__ import annotations

import json

import click


def show_rows(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({title: [dict(zip(columns, row, strict=True)) for row in rows]}, indent=2))
        return
    from driftc.codegen.report.tables import print_rows

    print_rows(columns, rows)
