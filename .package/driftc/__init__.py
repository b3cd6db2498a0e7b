"""driftc: int8 neural networks as readable C for microcontrollers, proved bit for bit.

`driftc.compile(model) -> Compiled` is the API; see `Compiled` for `report`, `write`, `verify`, `simulate`.
`driftc.quantize(model, samples) -> Quantized` makes a float model int8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Compiled", "DriftcError", "__version__", "compile", "quantize"]

if TYPE_CHECKING:
    from driftc.codegen.api import compile, quantize
    from driftc.codegen.compiled import Compiled
    from driftc.codegen.errors import DriftcError


def __getattr__(name: str) -> Any:
    """NumPy and the compiler are loaded when they are first needed, so that the command line starts fast."""
    if name in ("Compiled", "compile", "quantize"):
        from driftc.codegen import api

        return getattr(api, name)
    if name == "DriftcError":
        from driftc.codegen.errors import DriftcError

        return DriftcError
    raise AttributeError(f"module 'driftc' has no attribute {name!r}")
