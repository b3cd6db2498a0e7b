"""PlatformIO: a library with library.json."""

from __future__ import annotations

from driftc.codegen.export.target import Target


class PlatformIO(Target):
    name = "platformio"
