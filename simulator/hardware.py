"""Engines on real hardware, by address: what `--on` takes."""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast
from urllib.parse import SplitResult, parse_qsl, urlsplit

from driftc.codegen.errors import UsageError
from driftc.simulator.engine import Engine

# Scheme -> module and function that makes the engine of an address, imported when asked for.
SCHEMES = {
    "gdb": ("driftc.simulator.gdb.engine", "GdbEngine"),
    "serial": ("driftc.simulator.serial_engine", "serial_engine"),
    "rtt": ("driftc.simulator.serial_engine", "rtt_engine"),
    "semihosting": ("driftc.simulator.semihosting_engine", "semihosting_engine"),
}


def hardware(address: str) -> Engine:
    """The engine behind `address`, such as serial:///dev/ttyACM0?baud=115200. Raises UsageError."""
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise UsageError(f"--on {address}: is no address: {error}") from None
    if parts.scheme not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise UsageError(f"--on {address}: no such kind of address; driftc has {known}")
    module, maker = SCHEMES[parts.scheme]
    return cast(Engine, getattr(import_module(module), maker)(parts))


def numbers(parts: SplitResult, known: dict[str, float]) -> dict[str, float]:
    """The address's query over the defaults `known`, all above 0. Raises UsageError."""
    found: dict[str, Any] = dict(known)
    for key, text in parse_qsl(parts.query, keep_blank_values=True):
        if key not in known:
            raise UsageError(f"--on {parts.geturl()}: '{key}' is unknown; there is {', '.join(known)}")
        try:
            found[key] = float(text)
        except ValueError:
            found[key] = -1.0
        if not 0 < found[key] < 1e9:
            raise UsageError(f"--on {parts.geturl()}: {key} must be a number above 0")
    return found
