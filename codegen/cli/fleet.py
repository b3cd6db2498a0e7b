"""driftc simulate --fleet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from driftc.codegen.cli.broker import OPTIONS, broker_of, given_of
from driftc.codegen.cli.progress import progress_bar
from driftc.codegen.errors import UsageError

if TYPE_CHECKING:
    from driftc.codegen.compiled import Compiled


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
        wanted = {"stream": stream, **{name: given[name] for name in ("teacher", "clean", "key")}}
        if missing := [f"--{name}" for name, value in wanted.items() if value is None]:
            raise UsageError(f"--fleet {self.fleet}: needs {', '.join(missing)}")


def run(
    compiled: Compiled, given: FleetOptions, stream: Path, divisor: float, workers: int | str | None, as_json: bool
) -> None:
    """Simulate the fleet and print what came of it. Raises UsageError, DataError, ModelError or ToolError."""
    from driftc.codegen.elastic.given import key_of, rounds_of
    from driftc.codegen.elastic.server import Policy
    from driftc.codegen.elastic.student import Student
    from driftc.codegen.frontends.extras import load_extra

    load_extra("sqlalchemy", "elastic", "driftc simulate --fleet")
    from driftc.simulator.cache import content_digest
    from driftc.simulator.fleet.run import Asked, simulate_fleet

    assert given.fleet is not None and given.teacher is not None and given.clean is not None and given.key is not None
    policy = Policy(given.least or Policy.least, seed=given.seed or 0)
    broker = broker_of(given.broker, "simulate")
    key = key_of(given.key)
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
