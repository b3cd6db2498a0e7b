"""Packages of every target: what is in them, the same bytes each time, written whole or not at all, clear errors.

`DRIFTC_SNAPSHOTS=write pytest tests/codegen/export` renews the snapshots: all that is around the model's own C.
"""

from __future__ import annotations

import os
import re
import time
import zipfile
from pathlib import Path

import pytest
from commands import ROOT, driftc
from exported import MODELS, export
from models import keyword_model

from driftc.codegen.export import targets
from driftc.codegen.export.package import Settings

SNAPSHOTS = Path(__file__).with_name("snapshots")
SAID = (
    *("--version", "1.2.3", "--author", "Ada O'Lovelace <ada@example.org>"),
    *("--url", "https://example.org/kws", "--license", "mit OR apache-2.0"),
)
TARGETS = tuple(targets())


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def steady(text: bytes) -> bytes:
    """Without the model's sizes, which are others' to test."""
    return re.sub(rb"\d[\d,]* B\b", b"N B", text)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds kws/, small."""
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "kws.tflite").write_bytes(keyword_model(channels=8))
    driftc("compile", "kws.tflite", "--no-measure", cwd=folder)
    return folder


def test_every_file_of_the_folder_is_a_target() -> None:
    modules = {path.stem for path in (ROOT / "codegen" / "export").glob("*.py")}
    assert {name.replace("-", "_") for name in TARGETS} == modules - {"__init__", "archive", "package", "target"}
    help_text = driftc("export", "--help", cwd=ROOT).stdout
    (listed,) = re.findall(r"--to ([a-z|-]+)", help_text)
    assert set(listed.split("|")) == set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_snapshot(target: str, compiled: Path, tmp_path: Path) -> None:
    package = export(compiled, "kws", target, tmp_path, *SAID)
    own = {path.name for path in (compiled / "kws").glob("*.[ch]")}
    found = {
        name: steady(text) for name, text in content(package).items() if Path(name).name not in {*own, "driftc.json"}
    }
    licence = found.pop("LICENSE").decode()
    if target in ("micropython", "mpy"):
        for source in (ROOT / "firmware" / "bindings").iterdir():
            assert found.pop(f"src/{source.name}") == source.read_bytes()
    kept = SNAPSHOTS / target
    shared = {"mpy": ("src/kws_micropython.c",)}.get(target, ())  # the same as for micropython
    if os.environ.get("DRIFTC_SNAPSHOTS") == "write":
        for path in [path for path in kept.rglob("*") if path.is_file()]:
            path.unlink()
        for name in found.keys() - {*shared}:
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            (kept / name).write_bytes(found[name])
    expected = content(kept) | {name: (SNAPSHOTS / "micropython" / name).read_bytes() for name in shared}
    assert sorted(found) == sorted(expected)
    for name in expected:
        assert found[name].decode() == expected[name].decode(), name
    assert "SPDX-License-Identifier: MIT OR Apache-2.0\nCopyright Ada O'Lovelace <ada@example.org>\n" in licence
    assert licence.endswith((ROOT / "LICENSE").read_text())


@pytest.mark.parametrize("target", TARGETS)
def test_package_holds_all_of_the_c(target: str, compiled: Path, tmp_path: Path) -> None:
    package = content(export(compiled, "kws", target, tmp_path))
    public = [name for name in package if name.endswith("/kws.h")]
    assert len(public) == 1
    for name in ("kws.c", "kws_weights.h", "kws_selftest.c", "driftc.h"):
        (place,) = (path for path in package if path.endswith(f"/{name}"))
        assert place.startswith("src/")
        assert package[place] == (compiled / "kws" / name).read_bytes()
    assert {"README.md", "LICENSE", "driftc.json"} <= set(package)


@pytest.mark.parametrize("target", TARGETS)
def test_same_bytes_each_time_and_over_an_older_export(target: str, compiled: Path, tmp_path: Path) -> None:
    first = content(export(compiled, "kws", target, tmp_path / "a", "--archive"))
    export(compiled, "kws", target, tmp_path / "b", "--version", "7.0.0", "--archive")
    assert content(export(compiled, "kws", target, tmp_path / "b", "--archive")) == first
    (name,) = (path.name for path in (tmp_path / "a").iterdir() if path.is_file())
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    with zipfile.ZipFile(tmp_path / "a" / name) as archive:
        files = {path.removeprefix("kws/"): archive.read(path) for path in archive.namelist()}
    assert files == first


@pytest.mark.parametrize("target", TARGETS)
def test_awkward_words_reach_no_manifest_raw(target: str, compiled: Path, tmp_path: Path) -> None:
    """The snapshot's tools read them; here only that nothing is lost or breaks out of its line."""
    package = export(
        compiled, "kws", target, tmp_path, "--author", "Zoë & <zoe@example.org>", "--url", "http://a.b/?c=d&e"
    )
    for name, text in content(package).items():
        assert b"\nZo" not in text, name


def test_default_place(compiled: Path, tmp_path: Path) -> None:
    done = driftc("export", compiled / "kws", "--to", "cmake", cwd=tmp_path)
    assert done.stdout == "wrote cmake/kws; next: cmake/kws/README.md\n"
    assert (tmp_path / "cmake" / "kws" / "include" / "kws.h").is_file()


@pytest.mark.parametrize("name", MODELS)
def test_quick(name: str, models: Path, tmp_path: Path) -> None:
    start = time.perf_counter()
    export(models, name, "cmake", tmp_path)
    assert time.perf_counter() - start < 2 * 3  # 2 s on a machine that does nothing else


# --- bad input ---

BAD = [
    (("--version", "1.0"), "--version 1.0: is no semantic version, such as 1.0.0"),
    (("--version", "01.0.0"), "--version 01.0.0: is no semantic version"),
    (("--license", "Whatever-1.0"), "--license Whatever-1.0: is no SPDX expression, such as MIT"),
    (("--license", ""), "--license : is no SPDX expression"),
    (("--author", "<a@b>"), "--author <a@b>: is no author"),
    (("--author", "a\nb"), r"--author a\nb: is no author"),
    (("--vendor", "acme"), "--vendor belongs to --to cmsis, not to cmake"),
    (("--arch", "x64"), "--arch belongs to --to mpy, not to cmake"),
    (("--url", "example.org"), "--url example.org: is no address"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[" ".join(options) for options, _ in BAD])
def test_bad_option(options: tuple[str, ...], message: str, compiled: Path, tmp_path: Path) -> None:
    done = driftc("export", compiled / "kws", "--to", "cmake", *options, cwd=tmp_path, code=2)
    assert done.stderr.startswith(f"driftc: {message}")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_unknown_target(compiled: Path, tmp_path: Path) -> None:
    done = driftc("export", compiled / "kws", "--to", "keil", cwd=tmp_path, code=2)
    assert done.stderr.startswith("driftc: --to keil: no such target; known are arduino, cmake, ")


def test_folder_that_driftc_did_not_write(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    done = driftc("export", "mine", "--to", "cmake", cwd=tmp_path, code=2)
    assert done.stderr.startswith("driftc: mine: not a folder that driftc compile wrote")


def test_folder_of_which_something_is_missing(compiled: Path, tmp_path: Path) -> None:
    for name, text in content(compiled / "kws").items():
        (tmp_path / "kws" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kws" / name).write_bytes(text)
    (tmp_path / "kws" / "kws_weights.h").unlink()
    done = driftc("export", "kws", "--to", "cmake", cwd=tmp_path, code=2)
    assert done.stderr == "driftc: kws: kws_weights.h is missing; compile the model again\n"
    record = tmp_path / "kws" / "driftc.json"
    record.write_text(record.read_text().replace('"interface"', '"outerface"'))
    done = driftc("export", "kws", "--to", "cmake", cwd=tmp_path, code=2)
    assert (
        done.stderr
        == "driftc: kws: driftc.json or report.json is damaged or of another driftc; compile the model again\n"
    )
    assert not (tmp_path / "cmake").exists()


def test_export_of_an_export(compiled: Path, tmp_path: Path) -> None:
    export(compiled, "kws", "cmake", tmp_path)
    done = driftc("export", "kws", "--to", "cmake", cwd=tmp_path, code=2)
    assert done.stderr.startswith("driftc: kws: is an export already; give the folder that driftc compile wrote")


def test_place_that_is_not_an_exports(compiled: Path, tmp_path: Path) -> None:
    place = tmp_path / "kws"
    place.mkdir()
    (place / "main.c").write_text("mine\n")
    done = driftc("export", compiled / "kws", "--to", "cmake", "-o", place, cwd=tmp_path, code=2)
    assert "holds main.c, which driftc did not write" in done.stderr
    assert content(place) == {"main.c": b"mine\n"}
    before = content(compiled / "kws")
    done = driftc("export", compiled / "kws", "--to", "cmake", "-o", compiled / "kws", cwd=tmp_path, code=2)
    assert "is a folder that driftc compile wrote; name another folder for -o" in done.stderr
    assert content(compiled / "kws") == before


def test_archive_that_is_not_an_exports(compiled: Path, tmp_path: Path) -> None:
    (tmp_path / "kws-1.0.0.zip").write_text("mine\n")
    done = driftc("export", compiled / "kws", "--to", "cmake", "-o", "kws", "--archive", cwd=tmp_path, code=2)
    assert "kws-1.0.0.zip: exists and is no archive that driftc wrote" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["kws-1.0.0.zip"]


def test_author_without_a_mail() -> None:
    assert Settings(author="Ada").author_name == "Ada"
    assert Settings(author="Ada").author_mail is None
    assert Settings(author="Ada L. <ada@x.org>").author_name == "Ada L."
    assert Settings(author="Ada L. <ada@x.org>").author_mail == "ada@x.org"
