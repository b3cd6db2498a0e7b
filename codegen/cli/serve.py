"""driftc serve."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from driftc.codegen.cli.broker import broker_of, broker_options, first_line_of
from driftc.codegen.cli.elastic import teaching_options
from driftc.codegen.errors import UsageError

if TYPE_CHECKING:
    from driftc.codegen.elastic.student import Student
    from driftc.codegen.elastic.transports.transport import Transport


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@teaching_options
@broker_options
@click.option(
    "--folder",
    "shared",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="No broker: uploads and packets are files below DIR.",
)
@click.option("--serial", "port", metavar="PORT", help="One device on a serial port.")
@click.option("--baud", type=click.IntRange(1), default=115200, show_default=True, help="Of --serial.")
@click.option(
    "--database", metavar="URL", help="SQLAlchemy's: SQLite or PostgreSQL (default: the file FOLDER.db beside FOLDER)."
)
@click.option(
    "--round",
    "least",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    metavar="N",
    help="Uploads that make a round.",
)
@click.option(
    "--budget",
    type=click.IntRange(1),
    metavar="N",
    help="Uploads of one device that count between two rounds (default: the folder's --upload-budget).",
)
@click.option("--per-device", is_flag=True, help="Each device has rounds and updates of its own.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--http", metavar="HOST:PORT", help="Show devices, rounds and packets: / and /status.json.")
@click.option(
    "--http-token", type=click.Path(path_type=Path), metavar="FILE", help="What readers must know beyond loopback."
)
def serve(
    folder: Path,
    teaching: dict[str, Any],
    broker: dict[str, Any],
    shared: Path | None,
    port: str | None,
    baud: int,
    database: str | None,
    least: int,
    budget: int | None,
    per_device: bool,
    seed: int,
    http: str | None,
    http_token: Path | None,
) -> None:
    """Learn from what devices that run FOLDER upload, and send them signed updates, until interrupted.

    Each --round of uploads is learnt from as `driftc update` does. All is in the database before it is acknowledged or
    sent, so that the server may be killed at any moment and started again. See docs/elastic.md.
    """
    from driftc.codegen.compiled import Compiled
    from driftc.codegen.elastic.given import rounds_of
    from driftc.codegen.elastic.server import Policy, Server
    from driftc.codegen.elastic.signed import key_of
    from driftc.codegen.elastic.student import Student
    from driftc.codegen.frontends.extras import load_extra

    if sum(way is not None for way in (broker["host"], shared, port)) != 1:
        raise UsageError("serve: give one of --broker HOST, --folder DIR and --serial PORT")
    if broker["host"] is None:
        broker_of(broker, "serve")
    load_extra("sqlalchemy", "elastic", "driftc serve")
    from driftc.codegen.elastic.status_page import StatusPage
    from driftc.codegen.elastic.store import Store

    policy = Policy(least, per_device, seed)
    key = key_of(teaching.pop("key"))
    token = None if http_token is None else first_line_of(http_token)
    compiled = Compiled.load(folder)
    student = Student.of(compiled.lowered)
    url = database or f"sqlite:///{folder.absolute().with_name(f'{folder.absolute().name}.db')}"
    counted = budget or compiled.options.upload_budget
    if counted < least and (per_device or port is not None):
        raise UsageError(
            f"--round {least}: of one device no more than {counted} count between two rounds (--budget): none begins"
        )
    transport = _transport(student, broker, shared, (port, baud), url)
    store = Store(url, student.model_id, counted)
    page = server = None
    try:
        page = StatusPage(http, token, store.as_json) if http is not None else None
        rounds = rounds_of(student, **teaching)
        server = Server(student, rounds, store, transport, key, policy, _say)
        server.open()
        for note in rounds.notes:
            _say(f"note: {note}")
        _say(f"model {student.model_id.hex()}: serving" + (f"; {page.url}" if page else ""))
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        server.run(stop)
    finally:
        if page is not None:
            page.close()
        if server is not None:
            server.close()
        store.close()
    _say("ended; what was under way goes on at the next start")


def _transport(
    student: Student, broker: dict[str, Any], shared: Path | None, line: tuple[str | None, int], url: str
) -> Transport:
    import platform
    from hashlib import sha256

    from driftc.codegen.elastic.server import largest_payload

    largest = largest_payload(student)
    if shared is not None:
        from driftc.codegen.elastic.transports.folder import Folder

        return Folder(student.model_id, largest, shared)
    if line[0] is not None:
        from driftc.codegen.elastic.transports.serial import Serial

        return Serial(student.model_id, largest, line[0], line[1])
    made = broker_of(broker, "serve")
    assert made is not None
    from driftc.codegen.elastic.transports.mqtt import Mqtt

    # One session a model and database: 23 characters, which is what MQTT 3.1.1 promises to take.
    name = sha256(f"{student.model_id.hex()} {url} {platform.node()}".encode()).hexdigest()[:16]
    return Mqtt(student.model_id, largest, made, f"driftc-{name}")


def _say(line: str) -> None:
    click.echo(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", err=True)
