"""What benchmarks make once: by what it depends on, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmark_modules import benchmark_module


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Any:
    with benchmark_module(monkeypatch, "kept", "learning") as found:
        yield found.kept


def test_made_once_for_what_it_depends_on(kept: Any, tmp_path: Path) -> None:
    made = []

    def make(path: Path) -> None:
        made.append(path)
        path.write_text(str(len(made)))

    (tmp_path / "given").write_text("a")
    x = np.arange(6)
    first = ("text", 1, x, tmp_path / "given", test_made_once_for_what_it_depends_on)
    assert [kept(tmp_path / "out" / "net.txt", first, make).read_text() for _ in range(2)] == ["1", "1"]
    others = (("text", 2, *first[2:]), ("text", 1, x.reshape(2, 3), *first[3:]), ("text", 1, x + 1, *first[3:]))
    assert [kept(tmp_path / "out" / "net.txt", other, make).read_text() for other in others] == ["2", "3", "4"]
    (tmp_path / "given").write_text("b")
    assert kept(tmp_path / "out" / "net.txt", first, make).read_text() == "5"
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".txt"] * 5


def test_nothing_is_half_made(kept: Any, tmp_path: Path) -> None:
    def fails(path: Path) -> None:
        path.mkdir()
        (path / "part").write_text("a")
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        kept(tmp_path / "net", (), fails)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_another_made_meanwhile(kept: Any, tmp_path: Path) -> None:
    def slow(path: Path) -> None:
        path.mkdir()
        (path / "file").write_text("slow")
        other = tmp_path / path.name
        if not other.exists():
            other.mkdir()
            (other / "file").write_text("fast")

    assert (kept(tmp_path / "net", ("a",), slow) / "file").read_text() == "fast"
    assert len(list(tmp_path.iterdir())) == 1
