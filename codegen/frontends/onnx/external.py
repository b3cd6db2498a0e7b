"""Weights that lie in a file beside the model, where torch.onnx.export puts them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

LARGEST = 1 << 28  # bytes of all of it


def embed(onnx: Any, model: Any, folder: Path, digest: Any) -> None:
    """Put into `model` what it keeps in files of `folder`; `digest` is told of it.

    Raises ValueError, in words, where a file is not there, not in the folder, or holds too little.
    """
    total = 0
    for tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        where = {entry.key: entry.value for entry in tensor.external_data}
        path = _inside(folder, where.get("location", ""))
        width = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        offset, wanted = _number(where, "offset", 0), prod(tensor.dims) * width
        length = _number(where, "length", wanted)
        total += length
        if length != wanted or total > LARGEST:
            raise ValueError(f"'{tensor.name}' takes {length} bytes of '{path.name}' for shape {list(tensor.dims)}")
        try:
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read(length)
        except OSError as problem:
            raise ValueError(f"its weights are in '{path.name}' beside it: {problem.strerror}") from None
        if len(data) != length:
            raise ValueError(f"'{path.name}' beside it is too short for '{tensor.name}'")
        digest.update(hashlib.sha256(data).digest())
        tensor.raw_data = data
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _tensors(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _inside(folder: Path, location: str) -> Path:
    path = folder / location
    if not location or path.is_symlink() or path.resolve().parent != folder.resolve():
        raise ValueError(f"its weights are said to be in '{location}', which is not a file beside it")
    return path


def _number(where: dict[str, str], key: str, default: int) -> int:
    text = where.get(key, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise ValueError(f"external data: {key} '{text[:20]}' is no number of bytes")
    return int(text)
