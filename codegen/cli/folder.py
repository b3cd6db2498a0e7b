"""The compiled folder that a command is given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driftc.codegen.compiled import Compiled


def load(folder: Path, core: str | None, cc: str | None, optimize: str | None) -> Compiled:
    from driftc.codegen.compiled import Compiled

    compiled = Compiled.load(folder)
    options = compiled.options.overridden(core=core, cc=cc, optimize=optimize)
    if core is not None:
        _check_core(compiled, folder, core)
    compiled.options = options
    return compiled


def _check_core(compiled: Compiled, folder: Path, core: str) -> None:
    """Refuse a core that lacks what the folder's C is made for."""
    from driftc.boards.cores import load_core
    from driftc.codegen.errors import UsageError

    missing = sorted(compiled.features - load_core(core).features)
    if missing:
        raise UsageError(
            f"{folder}: its C is for {compiled.core} and its {', '.join(missing).upper()} instructions, which {core} "
            f"does not have; compile the model with --core {core}"
        )
