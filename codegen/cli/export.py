"""driftc export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

TARGETS = "cmake|esp-idf|zephyr|arduino|platformio|cmsis|micropython|mpy"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--to", required=True, metavar=TARGETS, help="The world that the package is for.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write (default: TARGET/NAME).")
@click.option("--version", default="1.0.0", show_default=True, help="The package's semantic version.")
@click.option("--author", metavar="'NAME <MAIL>'", help="Who made the model.")
@click.option("--url", help="Where the package is at home.")
@click.option("--license", metavar="SPDX", help="The model's licence, such as MIT or LicenseRef-Proprietary.")
@click.option("--archive", is_flag=True, help="Also pack the folder as a .zip (cmsis: a .pack) beside it.")
@click.option("--vendor", metavar="NAME", help="cmsis: who publishes the pack (default: driftc).")
@click.option(
    "--mlops",
    type=click.Path(path_type=Path),
    metavar="FILE.cbuild-mlops.yml",
    help="cmsis: what a solution says of its layer: where it is, for which core.",
)
@click.option("--arch", multiple=True, metavar="NAME", help="mpy: build for this; repeatable (default: all possible).")
@click.option(
    "--micropython",
    type=click.Path(path_type=Path),
    metavar="TREE",
    help="mpy: MicroPython's source tree, to build with (default: the package is source).",
)
def export(folder: Path, to: str, output: Path | None, archive: bool, **settings: Any) -> None:
    """Make a package of FOLDER, which 'driftc compile' wrote, for the build system that you work in.

    The package has the model's C, a README, a LICENSE and an example that runs the self-test and prints OK. It is
    written whole or not at all, with the same bytes each time.
    """
    from driftc.codegen.export import export as write
    from driftc.codegen.export.package import Settings

    exported = write(folder, to, output, Settings(**settings), archive)
    if exported.note:
        click.echo(f"driftc: note: {exported.note}", err=True)
    for path in exported.paths:
        click.echo(f"wrote {path}; next: {path}/README.md" if path.is_dir() else f"wrote {path}")
