"""The compiled folder that a command is given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driftc.codegen.compiled import Compiled


def load(folder: Path, core: str | None, cc: str | None, optimize: str | None) -> Compiled:
    from driftc.codegen.compiled import Compiled

    compiled = Compiled.load(folder)
    compiled.options = compiled.options.overridden(core=core, cc=cc, optimize=optimize)
    return compiled
