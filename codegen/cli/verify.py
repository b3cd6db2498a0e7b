"""driftc verify."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from driftc.codegen.cli.folder import load
from driftc.codegen.cli.options import (
    hardware_option,
    json_option,
    sample_options,
    target_options,
    workers_of,
    workers_options,
)
from driftc.codegen.cli.progress import progress_bar


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@sample_options
@click.option(
    "--engine",
    "engines",
    multiple=True,
    metavar="NAME",
    help="numpy, tflm, litert, host, unicorn or qemu; repeatable (default: all that are present).",
)
@click.option("--sanitize", is_flag=True, help="Build the host engine with ASan and UBSan.")
@click.option("--learn", is_flag=True, help="Also compare learning on the device, after each of its steps.")
@click.option(
    "--update",
    type=click.Path(path_type=Path),
    metavar="FILE.bin",
    help="With the parameters of a server's packet.",
)
@click.option(
    "--key", type=click.Path(path_type=Path), metavar="FILE", help="With --update: what it is to be signed with."
)
@click.option("--save-tensors", type=click.Path(path_type=Path), metavar="FILE.npz", help="Keep each compared tensor.")
@hardware_option
@click.option("--outputs", is_flag=True, help="With --on: the board shows its outputs and states alone.")
@target_options
@workers_options
@json_option
def verify(
    folder: Path,
    engines: tuple[str, ...],
    sanitize: bool,
    learn: bool,
    update: Path | None,
    key: Path | None,
    save_tensors: Path | None,
    data: Path | None,
    random: int | None,
    labels: str | None,
    input_divisor: float,
    sample: int | None,
    restart: str | None,
    on: str | None,
    outputs: bool,
    core: str | None,
    cc: str | None,
    optimize: str | None,
    workers: int | None,
    dask: str | None,
    as_json: bool,
) -> None:
    """Prove that FOLDER computes what the model says: every tensor, on every engine, byte for byte.

    The NumPy specification is compared with TFLite Micro's and LiteRT's own kernels, and with the C of the folder
    on this machine and on the emulated core. The first difference is named; exit code 1.
    """
    sharing = workers_of(workers, dask)
    compiled = load(folder, core, cc, optimize)
    with progress_bar("verify", as_json) as progress:
        found = compiled.verify(
            data,
            engines=list(engines) or None,
            random=random,
            labels=labels,
            input_divisor=input_divisor,
            sample=sample,
            restart=restart,
            save_tensors=save_tensors,
            sanitize=sanitize,
            learn=learn,
            on=on,
            outputs=outputs,
            update=update,
            key=key,
            workers=sharing,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        from driftc.codegen.report.tables import print_verification

        print_verification(found)
    sys.exit(0 if found.bit_exact else 1)
