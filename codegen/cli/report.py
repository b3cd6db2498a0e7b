"""driftc report."""

from __future__ import annotations

from pathlib import Path

import click

from driftc.codegen.cli.folder import load
from driftc.codegen.files import write_file


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Page to write (default: FOLDER-report.html).")
def report(folder: Path, output: Path | None) -> None:
    """Make FOLDER's page: costs by layer, RAM over time, what less RAM costs, what was proved. One HTML file."""
    from driftc.codegen.report import stored
    from driftc.codegen.report.page import page as drawn

    compiled = load(folder, None, None, None)
    facts = {**compiled.report, "measured_with": compiled.measured_with, "quantization": compiled.quantization}
    text = drawn(compiled.lowered.plan, facts, compiled.pareto("greedy"), stored.verification(folder))
    page = output or folder.absolute().with_name(f"{folder.absolute().name}-report.html")
    write_file(page, text.encode())
    click.echo(f"wrote {output or page.name}")
