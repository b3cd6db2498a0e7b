"""The output folder: written whole or not at all, and nothing else is touched."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from driftc.codegen import folder
from driftc.codegen.errors import UsageError
from driftc.codegen.files import aside, exchange, write_file
from driftc.codegen.folder import RECORD, read_record, write_folder

OLD: dict[str, str | bytes] = {
    "a.c": "old\n",
    "sub/b.h": "old\n",
    RECORD: json.dumps({"files": ["a.c", "sub/b.h", RECORD]}),
}
NEW: dict[str, str | bytes] = {
    "a.c": "new\n",
    "c.bin": b"\0\1",
    "sub/deep/d.h": "ü\r\n",
    RECORD: json.dumps({"files": ["a.c"]}),
}


def content(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def expected(files: dict[str, Any]) -> dict[str, bytes]:
    return {name: text if isinstance(text, bytes) else text.encode() for name, text in files.items()}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder that driftc wrote, alone in its parent."""
    write_folder(tmp_path / "parent" / "out", OLD)
    return tmp_path / "parent" / "out"


def alone(out: Path) -> bool:
    """Nothing was left beside it."""
    return [path.name for path in out.parent.iterdir()] == [out.name]


def test_new_folder(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "a b ü" / "out"
    write_folder(out, NEW)
    assert content(out) == expected(NEW)
    assert alone(out)
    assert out.stat().st_mode & 0o777 == 0o777 & ~_umask()


def test_old_folder_is_replaced_whole(out: Path) -> None:
    write_folder(out, NEW)
    assert content(out) == expected(NEW)
    assert alone(out)


def test_relative_path(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(out.parent)
    write_folder(Path("out"), NEW)
    assert content(out) == expected(NEW)


def test_link_to_a_folder(out: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(out)
    write_folder(link, NEW)
    assert link.is_symlink()
    assert content(out) == expected(NEW)


def test_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_folder(tmp_path / "out", NEW)
    assert content(tmp_path / "out") == expected(NEW)


def test_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="out: is a file; name a folder"):
        write_folder(tmp_path / "out", NEW)
    assert (tmp_path / "out").read_text() == "mine"
    with pytest.raises(UsageError, match=r"out/sub: cannot be written"):
        write_folder(tmp_path / "out" / "sub", NEW)


@pytest.mark.parametrize("name", ["notes.txt", "sub/mine.c", ".git", "new/file"])
def test_foreign_files_are_left_alone(out: Path, name: str) -> None:
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text("mine")
    before = content(out)
    with pytest.raises(UsageError, match=f"holds {name}, which driftc did not write"):
        write_folder(out, NEW)
    assert content(out) == before


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"files": 5}', '{"files": [1, {}]}', "\xff", '{"files": null}'])
def test_folder_with_a_damaged_record_is_foreign(out: Path, record: str) -> None:
    (out / RECORD).write_bytes(record.encode("latin-1"))
    before = content(out)
    with pytest.raises(UsageError, match=r"which driftc did not write"):
        write_folder(out, NEW)
    assert content(out) == before


def test_folder_of_another_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("mine")
    with pytest.raises(UsageError, match=r"holds x\.py"):
        write_folder(tmp_path, NEW)
    assert content(tmp_path) == {"x.py": b"mine"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_parent_that_cannot_be_written(out: Path) -> None:
    out.parent.chmod(0o555)
    try:
        with pytest.raises(UsageError, match="cannot be written: Permission denied"):
            write_folder(out, NEW)
    finally:
        out.parent.chmod(0o755)
    assert content(out) == expected(OLD)


def test_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match="loop: cannot be written"):
        write_folder(tmp_path / "loop", NEW)


@pytest.mark.parametrize("method", ["write_text", "write_bytes", "mkdir", "rename"])
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_failure_at_any_moment(
    tmp_path: Path, method: str, failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th call fails, for every n: the old folder, or the new one, and nothing beside it."""
    genuine: Callable[..., Any] = getattr(Path, method)
    monkeypatch.setattr(folder, "exchange", lambda a, b: method != "rename" and exchange(a, b))
    for number in range(20):
        out = tmp_path / f"{method}{number}" / "out"
        write_folder(out, OLD)
        calls = 0

        def failing(self: Path, *arguments: Any, at: int = number, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at + 1:
                raise failure
            return genuine(self, *arguments, **options)

        monkeypatch.setattr(Path, method, failing)
        try:
            write_folder(out, NEW)
            finished = True
        except UsageError as error:
            assert "No space left on device" in str(error)
            finished = False
        except KeyboardInterrupt:
            finished = False
        finally:
            monkeypatch.setattr(Path, method, genuine)
        assert content(out) == expected(NEW if finished else OLD)
        assert alone(out)
        if finished:
            assert calls > 0
            assert number > 0
            break
    else:
        pytest.fail("never finished")


def test_full_disk_without_an_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *arguments: Any, **options: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UsageError, match=r"out: cannot be written: No space left on device"):
        write_folder(tmp_path / "out", NEW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["empty", "sub/empty/deeper"])
def test_empty_folders_are_left_alone(out: Path, name: str) -> None:
    """They went with what driftc had written."""
    (out / name).mkdir(parents=True)
    with pytest.raises(UsageError, match=f"holds {name.split('/deeper')[0]}, which driftc did not write"):
        write_folder(out, NEW)
    assert (out / name).is_dir()


@pytest.mark.parametrize("name", ["link", "sub/link", "a.c"])
@pytest.mark.parametrize("target", [".", "none", "elsewhere"])
def test_links_are_left_alone(out: Path, name: str, target: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine").write_text("mine")
    (out / name).unlink(missing_ok=True)
    (out / name).symlink_to(tmp_path / target)
    with pytest.raises(UsageError, match=rf"holds {name} \(a link\), which driftc did not write"):
        write_folder(out, NEW)
    assert (out / name).is_symlink()
    assert (tmp_path / "elsewhere" / "mine").is_file()


def killed(place: Path, out: Path) -> Path:
    """A folder as a process that is no more left it beside `out`."""
    found = place.with_name(aside(out).replace(f"-{os.getpid()}-", f"-{_no_process()}-") + "abcd_123")
    place.rename(found)
    return found


def _no_process() -> int:
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return int(child.stdout)


def test_what_a_killed_run_left_is_cleared(out: Path) -> None:
    (out.parent / "place" / "new" / "sub").mkdir(parents=True)
    (out.parent / "place" / "new" / "a.c").write_text("half")
    killed(out.parent / "place", out)
    write_folder(out, NEW)
    assert content(out) == expected(NEW)
    assert alone(out)


def test_folder_that_a_killed_run_had_set_aside_comes_back(out: Path) -> None:
    """Without a call that swaps, a kill between two renames leaves none."""
    (out.parent / "place").mkdir()
    out.rename(out.parent / "place" / "old")
    killed(out.parent / "place", out)
    (out.parent / f".{out.name}-1-abcd_123").mkdir()  # of a process that is at work
    (out.parent / f".{out.name}-2-mine").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        write_folder(out, {"a/b": "", "a": ""})
    assert content(out) == expected(OLD)
    assert {path.name for path in out.parent.iterdir()} == {"out", ".out-1-abcd_123", ".out-2-mine"}


def test_swap_leaves_no_moment_without_a_folder(out: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    if exchange(out, tmp_path / "other"):
        assert (tmp_path / "other" / "a.c").is_file()
        assert not list(out.iterdir())
    assert not exchange(out, tmp_path / "none")


def test_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk left an empty or a cut file in the place of the old one."""
    path = tmp_path / "model.tflite"
    write_file(path, b"old")
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UsageError, match=r"model\.tflite: cannot be written: No space left on device"):
            write_file(path, b"new")
    assert content(tmp_path) == {"model.tflite": b"old"}
    (tmp_path / "place").write_bytes(b"cut")
    killed(tmp_path / "place", path)
    (tmp_path / "link").symlink_to("model.tflite")
    write_file(tmp_path / "link", lambda file: file.write(b"new"))
    assert content(tmp_path) == {"model.tflite": b"new", "link": b"new"}
    with pytest.raises(UsageError, match=r"none/x: cannot be written: No such file"):
        write_file(tmp_path / "none" / "x", b"")


def test_long_names(tmp_path: Path) -> None:
    write_folder(tmp_path / ("x" * 250), NEW)
    with pytest.raises(UsageError, match="cannot be written: File name too long"):
        write_folder(tmp_path / ("x" * 300), NEW)


def test_record(out: Path, tmp_path: Path) -> None:
    assert read_record(out)["files"] == ["a.c", "sub/b.h", RECORD]
    for damage in ("", "{", "[]", "5", "\xff"):
        (tmp_path / RECORD).write_bytes(damage.encode("latin-1"))
        with pytest.raises(UsageError, match=r"driftc\.json is (missing or )?damaged"):
            read_record(tmp_path)
    with pytest.raises(UsageError, match="not a folder that driftc compile wrote"):
        read_record(tmp_path / "none")
    assert folder.RECORD in content(out)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
