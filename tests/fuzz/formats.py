"""Mutants of the files of float models: of bytes, of members of archives, of protocol buffers."""

from __future__ import annotations

import io
import random
import shutil
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from fuzz import gentle
from fuzz.mutate import FLOATS, INTEGERS, NAMES
from fuzz.values import JsonMutator

PLACES = ("../x", "/etc/passwd", "net.onnx", "", "a" * 300)  # of weights that are said to be beside the model

# --- mutants ---


def mutated(source: Path, target: Path, seed: int) -> str:
    """Write mutant `seed` of the file or folder `source` as `target`, and say what was done.

    Two of three are such as a framework might have written: `gentle`.
    """
    chance = random.Random(seed)
    mild = chance.random() < 0.67
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        files = sorted(path for path in target.rglob("*") if path.is_file())
        file = target / "saved_model.pb" if mild or chance.random() < 0.7 else chance.choice(files)
        data, done = (gentle.of_graph if mild else damaged)(chance, file.read_bytes())
        file.write_bytes(data)
        return f"{file.name}: {done}"
    content = source.read_bytes()
    if source.suffix == ".onnx" and (mild or chance.random() < 0.7):
        data, done = (gentle.of_onnx if mild else _of_onnx)(chance, content)
    elif zipfile.is_zipfile(source) and (mild or chance.random() < 0.9):
        data, done = gentle.of_archive(chance, content) if mild else _of_archive(chance, seed, content)
    else:
        data, done = damaged(chance, content)
    target.write_bytes(data)
    return done


def damaged(chance: random.Random, content: bytes) -> tuple[bytes, str]:
    """Bytes flipped, cut, overwritten, doubled."""
    data = bytearray(content)
    if not data:
        return b"\0", "one byte"
    way = chance.choice(("flip", "flip", "flip", "cut", "number", "name", "double"))
    place = chance.randrange(len(data))
    if way == "flip":
        for _ in range(chance.choice((1, 1, 2, 8))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif way == "cut":
        del data[place:]
    elif way == "number":
        size = chance.choice((1, 4, 8))
        data[place : place + size] = (chance.choice(INTEGERS) & (1 << 8 * size) - 1).to_bytes(size, "little")
    elif way == "name":
        text = chance.choice(NAMES)
        data[place : place + len(text)] = text
    else:
        data[place:place] = data[place : place + chance.choice((1, 4, 16, 64))]
    return bytes(data), f"{way} at {place}"


def _of_archive(chance: random.Random, seed: int, content: bytes) -> tuple[bytes, str]:
    """One member changed, with the checksum right; JSON stays JSON for the most part."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        names = old.namelist()
        structured = [name for name in names if name.endswith(".json")]
        chosen = chance.choice(structured if chance.random() < 0.6 else names)
        done = "nothing"
        for name in names:
            data = old.read(name)
            if name == chosen and name in structured and data.strip():
                mutant = JsonMutator(data.decode()).mutant(seed)
                data, done = mutant.data, mutant.description
            elif name == chosen:
                data, done = damaged(chance, data)
            if not (name == chosen and chance.random() < 0.05):
                new.writestr(name, data)
    return made.getvalue(), f"{chosen}: {done}"


def _of_onnx(chance: random.Random, content: bytes) -> tuple[bytes, str]:
    """A well-formed protocol buffer that says something else."""
    model = import_module("onnx").load_model_from_string(content)
    changes: tuple[Callable[[random.Random, Any], str], ...] = (_initializer, _node, _attribute, _port)
    done = [chance.choice(changes)(chance, model) for _ in range(chance.choice((1, 1, 2)))]
    return model.SerializeToString(), "; ".join(done)


def _initializer(chance: random.Random, model: Any) -> str:
    tensor = chance.choice(model.graph.initializer)
    way = chance.choice(("dims", "dims", "type", "cut", "name", "external", "values"))
    if way == "dims":
        tensor.dims[:] = [chance.choice((0, 1, 3, -1, 1 << 20, 1 << 31, 1 << 62)) for _ in range(chance.randrange(6))]
    elif way == "type":
        tensor.data_type = chance.randrange(30)
    elif way == "cut":
        tensor.raw_data = tensor.raw_data[: chance.randrange(len(tensor.raw_data) + 1)]
    elif way == "name":
        tensor.name = chance.choice(("", "x", "w", "a\nb"))
    elif way == "external":
        tensor.data_location = 1
        tensor.external_data.add(key="location", value=chance.choice(PLACES))
        tensor.external_data.add(key="offset", value=chance.choice(("0", "-1", "x", str(1 << 70))))
    else:
        count = len(tensor.raw_data) // 4
        tensor.raw_data = np.full(count, chance.choice(FLOATS), np.float32).tobytes()
    return f"{way} of {tensor.name}"


def _node(chance: random.Random, model: Any) -> str:
    nodes = model.graph.node
    node = chance.choice(nodes)
    way = chance.choice(("kind", "input", "no input", "output", "remove", "copy", "domain", "order", "name"))
    kinds = ("Relu", "Add", "Concat", "Gemm", "Pad", "Slice", "Resize", "Clip", "Tile", "Expand", "Transpose", "If", "")
    if way == "kind":
        node.op_type = chance.choice(kinds)
    elif way == "input" and node.input:
        node.input[chance.randrange(len(node.input))] = chance.choice(("x", "y", "w", "", "rest", "none"))
    elif way == "no input" and node.input:
        del node.input[-1]
    elif way == "output":
        node.output[0] = chance.choice(("x", "y", "", "c"))
    elif way == "remove":
        nodes.remove(node)
    elif way == "copy":
        nodes.add().CopyFrom(node)
    elif way == "domain":
        node.domain = chance.choice(("brevitas", "com.microsoft", "a\nb"))
    elif way == "order":
        kept = [type(other).FromString(other.SerializeToString()) for other in nodes]
        chance.shuffle(kept)
        del nodes[:]
        nodes.extend(kept)
    else:
        node.name = chance.choice(("", "a\nb", "x" * 5000, "../x"))
    return f"{way} of {node.op_type}"


def _attribute(chance: random.Random, model: Any) -> str:
    holders = [node for node in model.graph.node if node.attribute]
    if not holders:
        return "nothing"
    stored = chance.choice(chance.choice(holders).attribute)
    numbers = (0, 1, -1, 2, 7, 1 << 31, 1 << 62, -(1 << 63))
    if stored.ints:
        stored.ints[:] = [chance.choice(numbers) for _ in range(chance.choice((0, 1, 2, len(stored.ints))))]
    elif chance.random() < 0.3:
        stored.type = chance.randrange(15)
    else:
        stored.i = chance.choice(numbers)
    return f"attribute {stored.name}"


def _port(chance: random.Random, model: Any) -> str:
    port = chance.choice((*model.graph.input, *model.graph.output))
    dims = port.type.tensor_type.shape.dim
    way = chance.choice(("extent", "rank", "type", "name", "opset"))
    if way == "extent" and dims:
        chance.choice(dims).dim_value = chance.choice((0, -1, 1, 3, 1 << 20, 1 << 40, 1 << 62))
    elif way == "rank":
        del dims[chance.randrange(len(dims) + 1) :]
    elif way == "type":
        port.type.tensor_type.elem_type = chance.randrange(20)
    elif way == "name":
        port.name = chance.choice(("", "w", "a\nb", "../x"))
    else:
        model.opset_import[0].version = chance.choice((0, 1, 6, 11, 13, 21, 99, -1))
    return f"{way} of {port.name}"
