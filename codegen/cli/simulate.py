"""driftc simulate."""

from __future__ import annotations

import json
from pathlib import Path

import click

from driftc.codegen.cli.folder import load
from driftc.codegen.cli.options import json_option, sample_options, target_options
from driftc.codegen.cli.progress import progress_bar
from driftc.codegen.errors import UsageError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@sample_options
@click.option(
    "--engine",
    "engines",
    multiple=True,
    metavar="NAME",
    help="numpy, tflm, litert, host, unicorn or qemu (default: unicorn, else qemu, else host).",
)
@click.option(
    "--learn",
    "stream",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Learn these labelled samples in their order; accuracy before and after is that on --data.",
)
@click.option("--learn-every", type=click.IntRange(2), metavar="N", help="With --learn: after every N samples.")
@target_options
@json_option
def simulate(
    folder: Path,
    engines: tuple[str, ...],
    data: Path | None,
    random: int | None,
    labels: str | None,
    input_divisor: float,
    sample: int | None,
    restart: str | None,
    stream: Path | None,
    learn_every: int | None,
    core: str | None,
    cc: str | None,
    optimize: str | None,
    as_json: bool,
) -> None:
    """Run the C of FOLDER on samples: outputs, accuracy, instructions by layer, stack.

    The instructions are those of one inference, the sample with the median total; the stack is the worst of all.
    """
    if len(engines) > 1:
        raise UsageError(f"simulate runs one engine, not {', '.join(engines)}; verify compares several")
    compiled = load(folder, core, cc, optimize)
    if learn_every is not None and stream is None:
        raise UsageError("--learn-every belongs to --learn")
    if stream is not None:
        if random is not None or sample is not None or restart is not None or labels is not None:
            raise UsageError("--learn takes its samples from a file: no --random, --sample, --restart or --labels")
        engine = engines[0] if engines else None
        taught = compiled.teach(stream, data, every=learn_every, engine=engine, input_divisor=input_divisor)
        if as_json:
            click.echo(json.dumps(taught.as_json(), indent=2))
            return
        from driftc.codegen.report.learning import print_taught

        print_taught(taught)
        return
    with progress_bar("simulate", as_json) as progress:
        found = compiled.simulate(
            data,
            engine=engines[0] if engines else None,
            random=random,
            labels=labels,
            input_divisor=input_divisor,
            sample=sample,
            restart=restart,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
        return
    from driftc.codegen.report.tables import print_simulation

    print_simulation(found, compiled.options.class_names or ())
