"""driftc simulate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from driftc.codegen.cli.broker import broker_options
from driftc.codegen.cli.fleet import FleetOptions, fleet_options
from driftc.codegen.cli.fleet import run as run_fleet
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
from driftc.codegen.errors import UsageError
from driftc.codegen.report.plot import check_plot, plot_adapted, plot_taught


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
    "lessons",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Learn these labelled samples in their order; accuracy before and after is that on --data.",
)
@click.option("--learn-every", type=click.IntRange(1), metavar="N", help="With --learn: after every N samples.")
@click.option(
    "--stream",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Adapt to these samples in their order, without their labels (--learn ecotta), or what a --fleet sees; labels "
    "are for the score.",
)
@click.option("--stream-block", type=click.IntRange(1), metavar="N", help="With --stream: accuracy of every N (100).")
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --learn or --stream: draw accuracy into this .svg, .png or .pdf.",
)
@fleet_options
@broker_options
@hardware_option
@target_options
@workers_options
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
    lessons: Path | None,
    learn_every: int | None,
    stream: Path | None,
    stream_block: int | None,
    plot: Path | None,
    fleet: dict[str, Any],
    broker: dict[str, Any],
    on: str | None,
    core: str | None,
    cc: str | None,
    optimize: str | None,
    workers: int | None,
    dask: str | None,
    as_json: bool,
) -> None:
    """Run the C of FOLDER on samples: outputs, accuracy, instructions by layer, stack.

    The instructions are those of one inference, the sample with the median total; the stack is the worst of all.
    """
    if len(engines) > 1:
        raise UsageError(f"simulate runs one engine, not {', '.join(engines)}; verify compares several")
    given = FleetOptions(**fleet, broker=broker)
    given.check(stream)
    sharing = workers_of(workers, dask)
    compiled = load(folder, core, cc, optimize)
    engine = engines[0] if engines else None
    if learn_every is not None and lessons is None:
        raise UsageError("--learn-every belongs to --learn")
    if stream_block is not None and stream is None:
        raise UsageError("--stream-block belongs to --stream")
    if plot is not None:
        if lessons is None and stream is None:
            raise UsageError("--plot belongs to --learn or --stream")
        check_plot(plot)
    if lessons is not None or stream is not None:
        option = "--learn" if stream is None else "--stream"
        if random is not None or sample is not None or restart is not None or labels is not None:
            raise UsageError(f"{option} takes its samples from a file: no --random, --sample, --restart or --labels")
        if sharing is not None and given.fleet is None:
            raise UsageError(f"{option} takes samples in a row: leave out --workers and --dask")
        if on is not None:
            raise UsageError(f"{option}: learning runs on the engines of this machine; leave out --on")
        if stream is not None and (lessons is not None or data is not None):
            raise UsageError("--stream is all that is run: no --learn or --data beside it")
        if stream is not None and given.fleet is not None:
            if engine not in (None, "host") or plot is not None or stream_block is not None:
                raise UsageError("--fleet runs on this machine: no --engine, --plot or --stream-block beside it")
            run_fleet(compiled, given, stream, input_divisor, sharing, as_json)
            return
        from driftc.codegen.report.learning import print_adapted, print_taught

        if stream is not None:
            adapted = compiled.adapt(stream, block=stream_block, engine=engine, input_divisor=input_divisor)
            if plot is not None:
                plot_adapted(adapted, plot)
            _show(adapted, print_adapted, as_json)
        elif lessons is not None:
            taught = compiled.teach(lessons, data, every=learn_every, engine=engine, input_divisor=input_divisor)
            if plot is not None:
                plot_taught(taught, plot)
            _show(taught, print_taught, as_json)
        return
    with progress_bar("simulate", as_json) as progress:
        found = compiled.simulate(
            data,
            engine=engine,
            random=random,
            labels=labels,
            input_divisor=input_divisor,
            sample=sample,
            restart=restart,
            on=on,
            workers=sharing,
            progress=progress,
        )
    from driftc.codegen.report.tables import print_simulation

    _show(found, lambda shown: print_simulation(shown, compiled.options.class_names or ()), as_json)


class _Found(Protocol):
    def as_json(self) -> dict[str, Any]: ...


T = TypeVar("T", bound=_Found)


def _show(found: T, show: Callable[[T], None], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        show(found)
