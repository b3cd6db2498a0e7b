"""The MQTT broker that options name, for `serve` and `simulate --fleet`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
