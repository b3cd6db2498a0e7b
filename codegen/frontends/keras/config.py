"""What a .keras or .h5 would make, looked at before Keras makes it: layers of Keras alone, none of which is code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends.archives import member, opened

# Layers that hold Python code, or load another model or framework.
CODE = frozenset({"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "MapInput"})
DEEPEST = 200  # objects within objects


def check(path: Path, title: str) -> None:
    """Raises ModelError where the file's configuration names what is no part of Keras, or holds code."""
    text = _of_archive(path, title) if path.suffix == ".keras" else _of_h5(path, title)
    if text is None:
        return
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        raise ModelError(f"{title}: its configuration is damaged") from None
    _check(config, title, 0)


def _of_archive(path: Path, title: str) -> bytes | None:
    with opened(path, title) as archive:
        if "config.json" not in archive.namelist():
            raise ModelError(f"{title}: holds no config.json; store the model with model.save('NAME.keras')")
        return member(archive, "config.json", title)


def _of_h5(path: Path, title: str) -> str | bytes | None:
    import h5py  # comes with TensorFlow

    try:
        with h5py.File(path, "r") as file:
            found: Any = file.attrs.get("model_config")
    except Exception as problem:  # h5py raises whatever its parts do
        raise ModelError(f"{title}: is no HDF5 file, or is damaged: {problem}") from None
    return found if isinstance(found, str | bytes) else None  # Keras says what else is wrong


def _check(value: Any, title: str, depth: int) -> None:
    if depth > DEEPEST:
        raise ModelError(f"{title}: its configuration is nested deeper than {DEEPEST} objects")
    if isinstance(value, list):
        for item in value:
            _check(item, title, depth + 1)
    if not isinstance(value, dict):
        return
    kind, module = value.get("class_name"), value.get("module")
    if isinstance(kind, str) and kind in CODE:
        raise ModelError(f"{title}: holds a {kind.strip('_')}, which is code that driftc does not run; use layers")
    foreign = isinstance(module, str) and module.split(".")[0] not in ("keras", "builtins")
    if isinstance(kind, str) and foreign:
        raise ModelError(f"{title}: holds a '{module}.{kind}', which is no part of Keras; driftc does not load it")
    for item in value.values():
        _check(item, title, depth + 1)
