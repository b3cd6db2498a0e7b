"""What worker processes are given to do: it must be importable there."""

from __future__ import annotations

import os
from pathlib import Path

from driftc.codegen.errors import UsageError
from driftc.simulator.parts import Part


def doubled(given: Path, part: Part) -> int:
    """Leaves a trace of its work; the third part fails while there is a file named `fails`."""
    if part.first == 6 and (given / "fails").exists():
        raise UsageError("the third part fails")
    (given / f"did-{part.first}-{len(list(given.glob('did-*')))}").touch()
    return 2 * part.first


def killed(given: None, part: Part) -> int:
    """As by a system that is out of memory."""
    os._exit(9)
