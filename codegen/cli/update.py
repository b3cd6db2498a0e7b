"""driftc update."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from driftc.codegen.cli.elastic import teaching_options
from driftc.codegen.cli.options import json_option
from driftc.codegen.cli.progress import progress_bar
from driftc.codegen.errors import UsageError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--uploads",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE.npz",
    help="Samples that devices sent: 'x', raw int8 or as --data takes them; 'device': a number for each one's.",
)
@teaching_options
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="The packet.")
@click.option(
    "--active",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The packet that the devices run, signed with --key; learning goes on from it (default: as compiled).",
)
@click.option(
    "--sequence",
    type=click.IntRange(1, 2**32 - 1),
    metavar="N",
    help="The packet's; devices take none that is not above their last (default: one more than --active has, else 1).",
)
@click.option("--device", default="all", show_default=True, metavar="HEX", help="8 bytes: the one that is to take it.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--dry-run", is_flag=True, help="Learn and check, but write nothing.")
@json_option
def update(
    folder: Path,
    uploads: Path,
    teaching: dict[str, Any],
    output: Path | None,
    active: Path | None,
    sequence: int | None,
    device: str,
    seed: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make one signed update for the devices that run FOLDER from what they uploaded.

    The teacher says what the uploads are, by the statistics of the batch; the parameters that an update may change are
    fitted to that, with the model's own decisions on clean samples held; and what comes of it is checked in int8 on
    uploads and clean samples that the fit has not seen. No packet unless the first get better and the second no more
    than a point worse: exit code 1, with the reason.
    """
    from driftc.codegen.compiled import Compiled
    from driftc.codegen.elastic import packet
    from driftc.codegen.elastic.given import rounds_of, uploads_of
    from driftc.codegen.elastic.signed import key_of, packet_of
    from driftc.codegen.elastic.student import Student
    from driftc.codegen.elastic.wire import device_bytes
    from driftc.codegen.files import write_file
    from driftc.codegen.samples import integers

    if (output is None) != dry_run:
        raise UsageError("update: give -o FILE for the packet, or --dry-run")
    if output is not None and not output.absolute().parent.is_dir():  # before what takes time
        raise UsageError(f"-o {output}: there is no folder {output.absolute().parent}")
    if output is not None and output.is_dir():
        raise UsageError(f"-o {output}: is a folder")
    try:
        to = device_bytes(device)
    except ValueError as problem:
        raise UsageError(f"--device: {problem}") from None
    key = key_of(teaching.pop("key"))
    student = Student.of(Compiled.load(folder).lowered)
    before, codes = 0, None
    if active is not None:
        header, codes = packet_of(active, student.parameters, key)
        before = header.sequence
    number = before + 1 if sequence is None else sequence
    if number > packet.LARGEST_SEQUENCE:
        raise UsageError(f"{active}: has the last sequence that there is; compile the model anew")
    if number <= before:
        raise UsageError(f"--sequence {number}: must be above that of --active, {before}")
    rounds = rounds_of(student, **teaching)
    samples = uploads_of(uploads, student, teaching["divisor"])
    with progress_bar("update", as_json) as progress:
        outcome = rounds.run(samples, codes, seed, progress, integers(uploads, "device", len(samples)))
    size = student.parameters.packet_bytes
    if outcome.codes is not None and output is not None:
        content = packet.encode(student.parameters, outcome.codes, key=key, sequence=number, device=to)
        write_file(output, content)
    if as_json:
        click.echo(json.dumps({**outcome.as_json(), "sequence": number, "bytes": size}, indent=2))
    else:
        from driftc.codegen.report.elastic import print_outcome

        print_outcome(outcome, number, size, output)
    sys.exit(0 if outcome.accepted else 1)
