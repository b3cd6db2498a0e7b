"""1,000 mutants of each other file that a user gives: refused in one line, or taken; nothing else changes."""

from __future__ import annotations

import io
import random
import shutil
import sys
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import ModelBuilder

from driftc.boards import parse
from driftc.codegen import samples
from driftc.codegen.api import compile
from driftc.codegen.class_names import check_count, class_names
from driftc.codegen.errors import DriftcError
from driftc.codegen.export import export
from driftc.codegen.export.package import Settings
from driftc.codegen.frontends import load_model
from driftc.codegen.graph import Graph
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.codegen.passes.dequantize import dequantize
from driftc.codegen.quantize import calibration
from fuzz.formats import damaged
from fuzz.judge import limited
from fuzz.seeds import small_weights

COUNT = 1000
Mutate = Callable[[random.Random, bytes], tuple[bytes, str]]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs process limits")

KINDS = (
    "|i1",
    "<f4",
    "<f8",
    "<f2",
    "|u1",
    ">i4",
    "<i8",
    "|b1",
    "<c8",
    "|O",
    "|S5",
    "<U3",
    "<M8[s]",
    "|V8",
    "x",
    "<i16",
)
EXTENTS = (0, 1, 2, 3, 16, 17, -1, 1 << 20, 1 << 31, 1 << 40, 1 << 62)
MLOPS = """
cbuild-mlops:
  generated-by: csolution
  processor:
    type: Cortex-M55
  model:
    name: keyword spotter
    clayer: ./layers/kws.clayer.yml
"""
WORDS = (
    *("!!python/object/apply:os.system [x]", "&a [*a, *a]", "2001-99-99", "0x", "[" * 5000, "{a: " * 900, "~", "1e999"),
    *("- x", "..", "/", "\0", "é\udcff", "9" * 5000, "true", "''", '"\\x00"', "*none", "? [a]", "<<: 3", "!!binary x"),
)


# --- mutants ---


def of_array(chance: random.Random, content: bytes) -> tuple[bytes, str]:
    """A .npy of another type, shape or version, or damaged."""
    if chance.random() < 0.3:
        return damaged(chance, content)
    start = content.index(b"\n", 10) + 1
    kind = chance.choice(("kind", "shape", "shape", "order", "words", "version"))
    about: dict[str, Any] = {"descr": "<f4", "fortran_order": False, "shape": (16, 4, 4, 2)}
    if kind == "kind":
        about["descr"] = chance.choice((*KINDS, [("a", "<i4"), ("b", "|i1")]))
    elif kind == "shape":
        about["shape"] = tuple(chance.choice(EXTENTS) for _ in range(chance.randrange(6)))
    elif kind == "order":
        about["fortran_order"] = chance.choice((True, 5, None, "x"))
    text = repr(about)
    if kind == "words":
        text = chance.choice(
            ("{}", "[", "None", "(" * 3000, text * 2, "__import__('os')", text.replace("'", '"'), "\0")
        )
    version = chance.choice((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x09")) if kind == "version" else b"\x01\x00"
    size = len(text) + 1 + chance.choice((0, 0, 0, 1, -1, 40000))
    head = b"\x93NUMPY" + version + (max(size, 0) & 0xFFFF).to_bytes(2, "little")
    return head + text.encode() + b"\n" + content[start:], f"{kind}: {text[:80]}"


def of_arrays(chance: random.Random, content: bytes) -> tuple[bytes, str]:
    """One array of a .npz, its name, or the archive."""
    if chance.random() < 0.2:
        return damaged(chance, content)
    made, done = io.BytesIO(), ""
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w", chance.choice((0, 8))) as new:
        chosen = chance.choice(old.namelist())
        for name in old.namelist():
            data, kept = old.read(name), name
            if name == chosen and chance.random() < 0.2:
                kept = chance.choice(("x", "../x.npy", "y.npy", "x.npy.npy", "a" * 300, "/x.npy"))
                done = f"{name} is {kept[:40]!r}"
            elif name == chosen:
                data, done = of_array(chance, data)
                done = f"{name}: {done}"
            if chance.random() > 0.03:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of names that are there twice
                    new.writestr(kept, data)
    return made.getvalue(), done


def of_text(chance: random.Random, content: bytes) -> tuple[bytes, str]:
    """Words, lines and values exchanged."""
    if chance.random() < 0.3:
        return damaged(chance, content)
    lines = content.decode().splitlines()
    done = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        place = chance.randrange(len(lines))
        way = chance.choice(("value", "value", "line", "remove", "double", "indent"))
        mark = next((mark for mark in (": ", " = ") if mark in lines[place]), None)
        if way == "value" and mark is not None:
            lines[place] = lines[place].partition(mark)[0] + mark + chance.choice(WORDS)
        elif way == "line":
            lines[place] = chance.choice(WORDS)
        elif way == "remove" and len(lines) > 1:
            del lines[place]
        elif way == "double":
            lines.insert(place, lines[place])
        else:
            lines[place] = "  " + lines[place]
        done.append(f"{way} at line {place}")
    return "\n".join(lines).encode("utf-8", "surrogatepass"), ", ".join(done)


# --- what reads them ---


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with its compiled folder, and an intact file of each kind."""
    base = tmp_path_factory.mktemp("inputs")
    m = ModelBuilder()
    x = m.input("image", (1, 4, 4, 2), scale=0.1, zero_point=3)
    x = m.conv_2d(x, small_weights(4, 1, 1, 2), weight_scale=0.02, out_scale=0.1, name="conv")
    m.output(m.fully_connected(m.reshape(x, (1, 64)), small_weights(3, 64), weight_scale=0.02, out_scale=0.3))
    (base / "m.tflite").write_bytes(m.build())
    compile(base / "m.tflite", measure=False, planner="greedy").write(base / "m")
    chance = np.random.default_rng(0)
    image = chance.normal(size=(16, 4, 4, 2)).astype(np.float32)
    np.save(base / "samples.npy", image)
    np.savez(base / "samples.npz", x=image, y=np.arange(16) % 3, begin=np.arange(16) % 4 == 0)
    (base / "names.txt").write_text("yes\nno\nneither\n")
    (base / "app.cbuild-mlops.yml").write_text(MLOPS)
    (base / "board.toml").write_text(files("driftc.boards").joinpath("nucleo-l4r5zi.toml").read_text(encoding="utf-8"))
    return base


@cache
def graph(folder: Path) -> Graph:
    return lower(folder / "m.tflite", Options(planner="greedy")).graph


def read_samples(folder: Path, path: Path) -> None:
    found = samples.load(path, graph(folder).inputs, labels=f"{path}:y" if path.suffix == ".npz" else None)
    if path.suffix == ".npz":
        samples.restarted(found, path, "begin")
        samples.integers(path, "y", len(found))


def calibrated(folder: Path, path: Path) -> None:
    """As `--adapt --calibrate` reads it."""
    assert compile(folder / "m.tflite", calibrate=path, adapt="fixed", measure=False, planner="greedy").sources


def read_calibration(folder: Path, path: Path) -> None:
    """As float models are given it."""
    real = dequantize(load_model(folder / "m.tflite"))
    assert calibration.load(path, real).first(4)


def named(folder: Path, path: Path) -> None:
    options = Options(class_names=class_names(path))
    check_count(options.class_names, graph(folder).outputs)


def for_a_solution(folder: Path, path: Path) -> None:
    export(folder / "m", "cmsis", path.parent / "package", Settings(mlops=path), archive=False)
    for made in path.parent.iterdir():
        if made != path:
            shutil.rmtree(made)


def read_board(folder: Path, path: Path) -> None:
    assert parse("board", path.read_text(encoding="utf-8", errors="replace")).ram


@pytest.mark.parametrize(
    ("file", "mutate", "use"),
    [
        ("samples.npz", of_arrays, read_samples),
        ("samples.npy", of_array, read_samples),
        ("samples.npz", of_arrays, read_calibration),
        ("samples.npz", of_arrays, calibrated),
        ("names.txt", of_text, named),
        ("app.cbuild-mlops.yml", of_text, for_a_solution),
        ("board.toml", of_text, read_board),
    ],
)
def test_mutants(file: str, mutate: Mutate, use: Callable[[Path, Path], None], folder: Path, tmp_path: Path) -> None:
    content = (folder / file).read_bytes()
    target = tmp_path / "inner" / file
    target.parent.mkdir()
    target.write_bytes(content)
    use(folder, target)
    before = sorted(folder.rglob("*"))
    taken, faults = 0, list[str]()
    for seed in range(COUNT):
        data, done = mutate(random.Random(seed), content)
        target.write_bytes(data)
        try:
            with limited(), warnings.catch_warnings():
                warnings.simplefilter("error")
                use(folder, target)
            taken += 1
        except DriftcError as error:
            if len(str(error).splitlines()) != 1 or not str(error).isprintable() or len(str(error)) > 1500:
                faults.append(f"{seed} ({done}): not one line: {error!s:.200}")
        except Exception as problem:
            faults.append(f"{seed} ({done}): {type(problem).__name__}: {problem!s:.200}")
        strange = [path.name for path in (*tmp_path.iterdir(), *target.parent.iterdir())]
        if strange != ["inner", file]:
            faults.append(f"{seed} ({done}): leaves {strange}")
            break
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:8])
    assert 0 < taken < COUNT
    assert sorted(folder.rglob("*")) == before
