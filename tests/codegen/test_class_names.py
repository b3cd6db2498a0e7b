"""--class-names: where they come from, what is refused, and who uses them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import driftc, driftc_json, run_c
from models import keyword_model

from driftc.codegen.api import compile as compile_model
from driftc.codegen.class_names import class_names
from driftc.codegen.errors import UsageError

NAMES = ("yes", "no, thanks", 'say "go"\\?', "grün", *(f"word {number}" for number in range(8)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kws.tflite").write_bytes(keyword_model(channels=8))
    return tmp_path


def test_from_file_list_and_sequence(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("yes\n\n no, thanks \n", encoding="utf-8")
    assert class_names(tmp_path / "names.txt") == ("yes", "no, thanks")
    assert class_names("yes, no") == ("yes", "no")
    assert class_names(["a", "b"]) == ("a", "b")
    assert class_names(None) is None


def test_c_sees_the_same_names(folder: Path) -> None:
    compiled = compile_model(folder / "kws.tflite", class_names=NAMES, measure=False)
    compiled.write(folder / "kws")
    (folder / "kws" / "names.c").write_text(
        '#include <stdio.h>\n#include "kws.h"\n'
        "int main(void) { static const char *const names[] = KWS_CLASS_NAMES;\n"
        "for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) puts(names[i]);\n return 0; }\n",
        encoding="utf-8",
    )
    printed = run_c(folder / "kws", ["names.c"], "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-trigraphs")
    assert tuple(printed.splitlines()) == NAMES


def test_report_and_simulate_name_them(folder: Path) -> None:
    (folder / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
    report = driftc_json("compile", "kws.tflite", "--no-measure", "--class-names", "names.txt", cwd=folder)
    assert report["class_names"] == list(NAMES)
    shape = report["inputs"][0]["shape"]
    random = np.random.default_rng(3).integers(-128, 128, (6, *shape[1:]), np.int8)
    np.savez(folder / "data.npz", x=random, y=np.array([0, 1, 2, 3, 0, 0]))
    found = driftc_json("simulate", "kws", "--data", "data.npz", "--engine", "host", cwd=folder)
    assert [score["name"] for score in found["per_class"]] == list(NAMES)
    assert [score["samples"] for score in found["per_class"]] == [3, 1, 1, 1, *[0] * 8]
    right = sum(score["right"] for score in found["per_class"])
    assert right == round(found["accuracy"] * 6)
    assert right + sum(score["wrongly"] for score in found["per_class"]) == 6
    one = driftc("simulate", "kws", "--data", "data.npz", "--engine", "host", "--sample", "0", cwd=folder)
    assert one.stdout.splitlines()[-1] in [f"class {name}" for name in NAMES]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("yes,no", "2 names, but the model has 12 values"),
        ("a,b,b,c", "class name 'b' is there twice"),
        ("a,,b,c", "class name 1 '': needs"),
        (f"a,b,c,{'x' * 61}", "printable characters"),
        ("absent.txt", "No such file"),
        ("kws.tflite", "is no UTF-8 text"),
    ],
)
def test_refused(folder: Path, given: str, said: str) -> None:
    done = driftc("compile", "kws.tflite", "--no-measure", "--class-names", given, cwd=folder, code=2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / "kws").exists()


def test_unknown_keyword(folder: Path) -> None:
    with pytest.raises(TypeError, match="'classnames'"):
        compile_model(folder / "kws.tflite", classnames=NAMES)  # type: ignore[call-arg]


def test_not_a_name(folder: Path) -> None:
    with pytest.raises(UsageError, match="printable"):
        compile_model(folder / "kws.tflite", class_names=["b\n", *NAMES[1:]], measure=False)
