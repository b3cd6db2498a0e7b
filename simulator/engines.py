"""The engines by name. A new one is a file with its class, and one line here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from driftc.simulator.engine import Engine

if TYPE_CHECKING:
    from driftc.simulator.references import LitertReference, TflmReference

# Engines that run the generated C: module and class, imported when asked for.
ENGINES = {
    "host": ("driftc.simulator.host", "HostEngine"),
    "unicorn": ("driftc.simulator.unicorn_engine", "UnicornEngine"),
    "qemu": ("driftc.simulator.qemu", "QemuEngine"),
}
# References that run the model file.
REFERENCES = {
    "tflm": ("driftc.simulator.references", "TflmReference"),
    "litert": ("driftc.simulator.references", "LitertReference"),
}


def engine(name: str, *, sanitize: bool = False) -> Engine:
    """The engine `name`; `sanitize` builds the host engine with ASan and UBSan."""
    module, kind = ENGINES[name]
    made = getattr(import_module(module), kind)
    found: Engine = made(sanitize=sanitize) if name == "host" else made()
    return found


def reference(name: str) -> TflmReference | LitertReference:
    module, kind = REFERENCES[name]
    found: TflmReference | LitertReference = getattr(import_module(module), kind)()
    return found
