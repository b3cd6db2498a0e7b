"""driftc simulate --fleet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from driftc.codegen.cli.broker import OPTIONS, broker_of, given_of
from driftc.codegen.cli.options import Command, packed
from driftc.codegen.cli.progress import progress_bar
from driftc.codegen.errors import UsageError

if TYPE_CHECKING:
    from driftc.codegen.compiled import Compiled


def fleet_options(command: Command) -> Command:
    """A fleet of simulated devices: given to the command as the fields of FleetOptions."""
    path = click.Path(path_type=Path)
    return packed(
        command,
        "fleet",
        click.option(
            "--seed", type=click.IntRange(0), metavar="N", help="With --fleet: of the devices and the server."
        ),
        click.option(
            "--round", "least", type=click.IntRange(1), metavar="N", help="With --fleet: uploads to learn from (256)."
        ),
        click.option(
            "--rounds", type=click.IntRange(1), metavar="R", help="With --fleet: parts that the stream comes in (1)."
        ),
        click.option(
            "--key",
            type=path,
            metavar="FILE",
            help="With --fleet: what packets are signed with (default: a key that all know).",
        ),
        click.option(
            "--clean", type=path, metavar="FILE.npz", help="With --fleet: samples of what the model was made for."
        ),
        click.option("--teacher", type=path, metavar="MODEL", help="With --fleet: a stronger float model."),
        click.option(
            "--fleet",
            type=click.IntRange(1),
            metavar="N",
            help="N devices share --stream, send samples to a server and take its updates.",
        ),
    )


@dataclass(frozen=True)
class FleetOptions:
    """Those of `simulate` that belong to --fleet, by their names there; None where they were not given."""

    fleet: int | None
    teacher: Path | None
    clean: Path | None
    key: Path | None
    rounds: int | None
    least: int | None
    seed: int | None
    broker: dict[str, Any]

    def check(self, stream: Path | None) -> None:
        """Raises UsageError for what is missing, or given without --fleet."""
        names = {"least": "round"}
        given = {names.get(key, key): value for key, value in vars(self).items() if key not in ("fleet", "broker")}
        if self.fleet is None:
            more = [f"--{name}" for name, value in given.items() if value is not None]
            if more := [*more, *(OPTIONS[name] for name in given_of(self.broker))]:
                raise UsageError(f"{', '.join(more)}: belongs to --fleet")
            return
        wanted = {"stream": stream, **{name: given[name] for name in ("teacher", "clean")}}
        if missing := [f"--{name}" for name, value in wanted.items() if value is None]:
            raise UsageError(f"--fleet {self.fleet}: needs {', '.join(missing)}")


def run(
    compiled: Compiled, given: FleetOptions, stream: Path, divisor: float, workers: int | str | None, as_json: bool
) -> None:
    """Simulate the fleet and print what came of it. Raises UsageError, DataError, ModelError or ToolError."""
    from driftc.codegen.elastic.given import rounds_of
    from driftc.codegen.elastic.server import Policy
    from driftc.codegen.elastic.signed import key_of
    from driftc.codegen.elastic.student import Student
    from driftc.codegen.frontends.extras import load_extra

    load_extra("sqlalchemy", "elastic", "driftc simulate --fleet")
    from driftc.simulator.cache import content_digest
    from driftc.simulator.fleet.run import Asked, simulate_fleet
    from driftc.simulator.updated import KEY

    assert given.fleet is not None and given.teacher is not None and given.clean is not None
    policy = Policy(given.least or Policy.least, seed=given.seed or 0)
    broker = broker_of(given.broker, "simulate")
    key = KEY if given.key is None else key_of(given.key)
    samples = compiled.samples(stream, input_divisor=divisor)
    rounds = rounds_of(Student.of(compiled.lowered), given.teacher, given.clean, divisor=divisor)
    taught = (str(divisor), content_digest(given.teacher), content_digest(given.clean))
    asked = Asked(given.fleet, given.rounds or 1, policy, broker, workers, taught)
    with progress_bar("visits to devices", as_json) as progress:
        found = simulate_fleet(
            compiled,
            rounds,
            key,
            samples,
            stream,
            asked,
            lambda line: None if as_json else click.echo(line, err=True),
            progress,
        )
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        from driftc.codegen.report.elastic import print_fleet

        print_fleet(found)
