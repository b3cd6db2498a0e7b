"""The MQTT broker that options name, for `serve` and `simulate --fleet`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from driftc.codegen.cli.options import Command, packed
from driftc.codegen.errors import UsageError

if TYPE_CHECKING:
    from driftc.codegen.elastic.transports.mqtt import Broker

OPTIONS = {  # by the field of Broker
    "host": "--broker",
    "version": "--mqtt",
    "user": "--broker-user",
    "password": "--broker-password",
    "tls": "--broker-tls",
    "authority": "--broker-ca",
    "certificate": "--broker-certificate",
    "certificate_key": "--broker-key",
}


def broker_options(command: Command) -> Command:
    """An MQTT broker: given to the command as the fields of Broker, `password` as a file."""
    path = click.Path(path_type=Path)
    return packed(
        command,
        "broker",
        click.option(
            "--broker-key", "certificate_key", type=path, metavar="FILE", help="Of --broker-certificate (PEM)."
        ),
        click.option(
            "--broker-certificate", "certificate", type=path, metavar="FILE", help="By which the broker knows us (PEM)."
        ),
        click.option(
            "--broker-ca", "authority", type=path, metavar="FILE", help="Whose certificates are believed (PEM); TLS."
        ),
        click.option("--broker-tls", "tls", is_flag=True, help="TLS, by the system's authorities."),
        click.option("--broker-password", "password", type=path, metavar="FILE", help="Its first line."),
        click.option("--broker-user", "user", metavar="NAME"),
        click.option("--mqtt", "version", type=click.Choice(["3.1.1", "5"]), help="Its protocol (3.1.1)."),
        click.option("--broker", "host", metavar="HOST[:PORT]", help="Through this MQTT broker."),
    )


def given_of(broker: dict[str, Any]) -> dict[str, Any]:
    """Those of `broker_options` that were given."""
    return {name: broker[name] for name in OPTIONS if broker[name] not in (None, False)}


def broker_of(broker: dict[str, Any], command: str) -> Broker | None:
    """None where none is named. Raises UsageError, ToolError without paho-mqtt."""
    from driftc.codegen.frontends.extras import load_extra

    given = given_of(broker)
    if "host" not in given:
        if given:
            raise UsageError(f"{', '.join(OPTIONS[name] for name in given)}: belongs to --broker")
        return None
    load_extra("paho.mqtt.client", "elastic", f"driftc {command} --broker")
    from driftc.codegen.elastic.transports.mqtt import Broker

    if "password" in given:
        given["password"] = first_line_of(given["password"])
    return Broker(**given)


def first_line_of(path: Path) -> str:
    """Of a file that holds a secret. Raises UsageError."""
    try:
        return path.read_text(encoding="utf-8").splitlines()[0].strip()
    except (OSError, UnicodeError, IndexError) as problem:
        reason = getattr(problem, "strerror", None) or "is no line of text"
        raise UsageError(f"{path}: {reason}") from None
