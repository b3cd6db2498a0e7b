"""Names from a model file, its file name and --name: whatever they hold, the C compiles and stays in its folder."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import c_compiler, driftc
from learning_models import pooled
from models import ModelBuilder

from driftc.codegen.api import compile
from driftc.codegen.cli import cli
from driftc.codegen.compiled import Compiled
from driftc.codegen.names import Names, comment, identifier, layer_name, model_name
from driftc.codegen.reserved import reserved, reserved_model

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")
C_WORDS = (
    "int",
    "static",
    "restrict",
    "main",
    "in",
    "out",
    "weights",
    "hook",
    "memory",
    "tanh",
    "index",
    "restore",
    "size_t",
    "linux",
)
CPP_WORDS = ("class", "template", "operator", "new", "this", "and", "co_await")
HOSTILE = (
    "a*/ int main(){} /*",
    "a*\\ int main(){} /*",
    "../../x",
    "größe/é",
    "",
    "x" * 10_000,
    "what??/",
    "two\nlines\r\n#error x",
    "%s%n%d",
    "\"quoted\" 'too' \\",
    "$(touch x) `touch y` ${CMAKE_C_COMPILER} ;",
    "{{ 7 * 7 }} {% raw %}",
    "[/bold][red]",
    "\x00\x1b[2J\x7f\u202e",
)  # fmt: skip
COLLIDING = ("pw", "pw", "PW", "p w", "net/pw/Relu;other", "pw_2", "pw_weights", "m_step", "constant_pw", "row0")
TENSORS = {
    "hostile": HOSTILE,
    "C": C_WORDS,
    "C++": CPP_WORDS,
    "colliding": COLLIDING,
}
MODELS = (
    "a*_ int main(){} _*", "größe", "é", "x" * 200, "what??-", "%s%n", "a \"quoted\" 'name'", "$(touch x);y", "9 lives",
    "kws-v2 (1)", "class", "int", "tanh", "string", "stdint", "int8", "size", "test", "all", "main", "driftc", "model",
    "memory",
)  # fmt: skip


def model_of(names: tuple[str, ...]) -> bytes:
    """Two inputs, two outputs and a chain of layers and constants that bear `names`."""
    m = ModelBuilder()
    at = [names[n % len(names)] for n in range(2 * len(names) + 6)]
    x = m.input(at[0], (1, 4), scale=0.1)
    y = m.input(at[1], (1, 4), scale=0.2)
    a = m.add(x, y, out_scale=0.2, name=at[2])
    for number, name in enumerate(at[3:-2]):
        if number % 3 == 0:
            a = m.fully_connected(
                a, np.eye(4, dtype=np.int8) * (number + 1), weight_scale=0.5, out_scale=0.2, name=name
            )
        elif number % 3 == 1:
            table = m.constant(np.full((1, 4), number, np.int8), scale=0.1, name=name)
            a = m.add(a, table, out_scale=0.3, name=at[number])
        else:
            a = m.tanh(a, name=name)
    m.output(a, m.relu(y, name=at[-1]))
    return m.build()


def compile_c_strictly(folder: Path) -> None:
    sources = sorted(path.name for path in folder.glob("*.c"))
    c_compiler().run(["-std=gnu11", "-fsyntax-only", *WARNINGS, *sources], folder)


def compile_strictly(folder: Path) -> None:
    """The model's C files as C and its headers as C++, with warnings as errors."""
    compile_c_strictly(folder)
    cpp = shutil.which("g++")
    if cpp is None:
        pytest.skip("g++ is not installed")
    headers = sorted(path.name for path in folder.glob("*.h") if not path.name.endswith("_weights.h"))
    includes = "".join(f'#include "{name}"\n' for name in headers)
    flags = ["-x", "c++", *WARNINGS, "-fsyntax-only", "-I."]
    done = subprocess.run([cpp, *flags, "-"], cwd=folder, input=includes, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def written(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", TENSORS)
def test_tensor_names(kind: str, tmp_path: Path) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(model_of(TENSORS[kind]))
    compiled = compile(model, measure=False, float_io=True)
    compiled.write(tmp_path / "deep" / "m")
    assert written(tmp_path) == {"m.tflite", *(f"deep/m/{name}" for name in compiled.sources), "deep/m/report.json",
                                 "deep/m/driftc.json"}  # fmt: skip
    compile_strictly(tmp_path / "deep" / "m")


@pytest.mark.parametrize("kind", TENSORS)
def test_c_computes_the_same_under_any_names(kind: str, tmp_path: Path) -> None:
    """Constants of like names stay apart; the data of each input goes where it belongs."""
    c_compiler()
    model = tmp_path / "m.tflite"
    model.write_bytes(model_of(TENSORS[kind]))
    found = compile(model, measure=False).verify(engines=["host"], random=1)
    assert found.bit_exact, found.first_difference


@pytest.mark.parametrize("name", MODELS)
def test_model_file_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{name}.tflite").write_bytes(model_of(("x", "y")))
    monkeypatch.chdir(tmp_path)
    cli.main(["compile", f"{name}.tflite", "--no-measure"], standalone_mode=False)
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert re.fullmatch(r"[a-z][a-z0-9_]*", folder.name)
    assert written(tmp_path) - {f"{name}.tflite"} == {f"{folder.name}/{file}" for file in written(folder)}
    compile_strictly(folder)


@pytest.mark.parametrize("learn", ["classifier", "ecotta"])
@pytest.mark.parametrize(
    "name", ["adapt", "buffer", "bytes", "learn", "lesson", "memory", "offset", "refused", "restore", "shared"]
)
def test_models_that_learn(name: str, learn: str, tmp_path: Path) -> None:
    """A prefix that is also what the C of models that learn calls something."""
    (tmp_path / f"{name}.tflite").write_bytes(pooled())
    np.savez(tmp_path / "x.npz", x=np.arange(-128, 172).astype(np.int8).reshape(5, 4, 5, 3), y=np.arange(5))
    found = compile(tmp_path / f"{name}.tflite", learn=learn, calibrate=tmp_path / "x.npz", measure=False)
    found.write(tmp_path / "out")
    compile_c_strictly(tmp_path / "out")


@pytest.mark.parametrize("name", [*HOSTILE[:3], "é", "", "x" * 10_000, "template", "stdio", "/etc/x", "a\\b"])
def test_name_option(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.tflite").write_bytes(model_of(("x", "y")))
    monkeypatch.chdir(tmp_path)
    cli.main(["compile", "m.tflite", "--no-measure", "--name", name, "-o", "out"], standalone_mode=False)
    assert written(tmp_path) == {"m.tflite", *(f"out/{file}" for file in written(tmp_path / "out"))}
    (header,) = (tmp_path / "out").glob("*_weights.h")
    stem = header.name.removesuffix("_weights.h")
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,50}", stem)
    assert f"int {stem}_init(" in (tmp_path / "out" / f"{stem}.h").read_text()


@pytest.mark.parametrize("name", ["test", "$(touch x); x ${PATH}", "é\"'\\"])
def test_cmake_takes_the_folder(name: str, tmp_path: Path) -> None:
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is not installed")
    c_compiler()
    (tmp_path / f"{name}.tflite").write_bytes(model_of(HOSTILE))
    compile(tmp_path / f"{name}.tflite", measure=False, float_io=True).write(tmp_path / "a b")
    for arguments in (["-S", "a b", "-B", "build dir"], ["--build", "build dir"]):
        done = subprocess.run([cmake, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert not list(tmp_path.rglob("x"))


def test_messages_are_one_printable_line(tmp_path: Path) -> None:
    m = ModelBuilder()
    x = m.input("two\nlines\x1b[2J", (1, 4), scale=0.1)
    y = m.tensor("y" * 10_000, (1, 4), scale=0.1)
    m.operator("MATRIX_DIAG", [x], [y])
    m.output(y)
    (tmp_path / "m\n.tflite").write_bytes(m.build())
    error = driftc("compile", "m\n.tflite", cwd=tmp_path, code=2).stderr
    assert error.count("\n") == 1
    assert error[:-1].isprintable()
    assert len(error) < 1500
    assert "not supported: operator MATRIX_DIAG (" in error
    assert error.endswith("lists what is\n")


def test_data_is_found_by_the_models_own_names(tmp_path: Path) -> None:
    """Also where they are not what C calls them."""
    (tmp_path / "m.tflite").write_bytes(model_of(("größe/é", "a\nb")))
    arrays: Any = {"größe/é": np.zeros((2, 4), np.int8), "a\nb": np.ones((2, 4), np.int8)}
    np.savez(tmp_path / "x.npz", **arrays)
    compiled = compile(tmp_path / "m.tflite", measure=False)
    assert len(compiled.samples(tmp_path / "x.npz")) == 2
    compiled.write(tmp_path / "m")
    assert [t.label for t in Compiled.load(tmp_path / "m").lowered.graph.inputs] == ["größe/é", "a\nb"]


# --- the functions themselves ---


@pytest.mark.parametrize("text", [*HOSTILE, *C_WORDS, *CPP_WORDS, *COLLIDING, *MODELS])
def test_identifiers(text: str) -> None:
    for name in (identifier(text, "layer"), model_name(text), layer_name(text, "TANH")):
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,60}", name)
        assert not reserved(name)
        assert "__" not in name
    assert not reserved_model(model_name(text))


@pytest.mark.parametrize("text", [*HOSTILE, "*\\", "/\\*", "*/", "**//", "*" * 99 + "/", "?" * 50, "??\\", "\\" * 9])
def test_comments(text: str) -> None:
    said = comment(text)
    assert said.isascii()
    assert said.isprintable() or not said
    assert len(said) <= 100
    for ending in ("*/", "/*", "\\", "??"):
        assert ending not in said, said


def test_names_are_handed_out_once() -> None:
    names = Names("m")
    found = [names.layer(label, "CONV_2D") for label in (*COLLIDING, *COLLIDING, "m", "M", "")]
    assert len(set(found)) == len(found)
    assert not {"m", "m_step", "pw_weights"} & set(found)
