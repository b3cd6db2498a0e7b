"""driftc report."""

from __future__ import annotations

from pathlib import Path

import click

from driftc.codegen.cli.folder import load
from driftc.codegen.errors import UsageError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Page to write (default: FOLDER-report.html).")
def report(folder: Path, output: Path | None) -> None:
    """Draw FOLDER's RAM over time: one HTML page with every buffer, the fullest step and what makes it so."""
    from driftc.codegen.report.page import arena_page

    compiled = load(folder, None, None, None)
    page = output or folder.absolute().with_name(f"{folder.absolute().name}-report.html")
    try:
        page.write_text(
            arena_page(compiled.lowered.plan, compiled.report, compiled.pareto("greedy")),
            encoding="utf-8",
            newline="\n",
        )
    except OSError as problem:
        raise UsageError(f"{page.name}: cannot be written: {problem.strerror}") from None
    click.echo(f"wrote {output or page.name}")
