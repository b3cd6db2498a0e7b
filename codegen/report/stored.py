"""What a compiled folder remembers of its measurement, its quantisation and its last verification.

The files may have been edited: what is not of the right form is taken as not there.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from driftc.codegen import files
from driftc.codegen.errors import UsageError
from driftc.codegen.files import write_file

REPORT = "report.json"
VERIFIED = "verified.json"  # what `driftc verify` found last
Json = dict[str, Any]


def read_json(path: Path) -> Json:
    """The object in the file; empty where there is none that can be read."""
    try:
        found = files.read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def quantization(report: Json) -> Json | None:
    """The losses by layer that `driftc compile --calibrate` stored."""
    found = report.get("quantization")
    layers = found.get("layers") if isinstance(found, dict) else None
    if not isinstance(layers, list) or not all(_is_loss(layer) for layer in layers):
        return None
    return {"layers": layers}


def _is_loss(layer: object) -> bool:
    if not isinstance(layer, dict) or not isinstance(layer.get("layer"), str):
        return False
    return all(isinstance(layer.get(key), float | int | None) for key in ("own_db", "total_db"))


def verification(folder: Path) -> Json | None:
    """What was compared there, on which engines, and whether it was equal."""
    found = read_json(folder / VERIFIED)
    engines, samples = found.get("engines"), found.get("samples")
    if not isinstance(found.get("bit_exact"), bool) or not isinstance(samples, int) or not isinstance(engines, list):
        return None
    tensors = found.get("tensors_compared")
    difference = found.get("difference")
    return {
        "bit_exact": found["bit_exact"],
        "samples": samples,
        "engines": [str(engine) for engine in engines],
        "tensors": tensors if isinstance(tensors, int) else 0,
        "difference": difference if isinstance(difference, str) else None,
        "core": str(found.get("core", "")),
    }


def keep_verification(folder: Path, found: Json) -> None:
    """Write it there, whole or not at all; where the folder cannot be written, nothing is kept."""
    with suppress(UsageError):
        write_file(folder / VERIFIED, (json.dumps(found, indent=2) + "\n").encode())
