"""Worker processes: what they find is the same for any number of them, and a run that was cut goes on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import driftc, driftc_json
from models import residual_model
from part_work import doubled

from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import UsageError
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.codegen.samples import Samples
from driftc.simulator import parts
from driftc.simulator.parts import cut, in_parts


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", 3)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "net.tflite"
    path.write_bytes(residual_model())
    options = Options(name="net", planner="greedy")
    Compiled(path.read_bytes(), options, lower(path, options)).write(tmp_path / "net")
    return tmp_path


def test_parts_cover_all_and_sequences_stay_whole() -> None:
    samples = Samples([(np.full(1, n, np.int8),) for n in range(11)], [(None,)] * 11, np.arange(11))
    found = cut(samples, keeps_state=False)
    assert [(part.first, len(part.samples)) for part in found] == [(0, 3), (3, 3), (6, 3), (9, 2)]
    assert [int(v[0][0]) for part in found for v in part.samples.quantized] == list(range(11))
    assert [int(n) for part in found for n in part.samples.labels] == list(range(11))  # type: ignore[union-attr]
    rows = Samples(samples.quantized, samples.real, starts=frozenset({0, 2, 7, 8}))
    found = cut(rows, keeps_state=True)
    assert [(part.first, len(part.samples), sorted(part.samples.starts)) for part in found] == [
        (0, 7, [0, 2]),
        (7, 4, [0, 1]),
    ]


def test_verify_finds_the_same(place: Path) -> None:
    net = Compiled.load(place / "net")
    names = ["numpy", "host"]
    alone = net.verify(random=8, engines=names)
    found = [net.verify(random=8, engines=names, workers=count) for count in (1, 2, 3)]
    assert alone.bit_exact and alone.samples == 11
    assert [each.as_json() for each in found] == [alone.as_json()] * 3
    assert all(each.notes == alone.notes for each in found)


@pytest.mark.parametrize("wrong", [1, 7])
def test_verify_stops_at_the_first_difference(wrong: int, place: Path) -> None:
    """C that is wrong for samples that begin with two 77."""
    source = place / "net" / "net.c"
    text = source.read_text()
    found = re.search(r"case 0:\n +stem\(ram0 \+ (\d+)", text)
    assert found is not None
    at = int(found[1])
    spoil = f"case 0:\n if (ram0[{at}] == 77 && ram0[{at + 1}] == 77) ram0[{at + 2}] ^= 64;\n"
    source.write_text(text.replace("case 0:\n", spoil, 1))
    net = Compiled.load(place / "net")
    (entry,) = net.lowered.graph.inputs
    x = np.zeros((11, *entry.shape[1:]), np.int8)
    x.reshape(11, -1)[[wrong, 9], :2] = 77
    np.savez(place / "x.npz", x=x)
    names = ["numpy", "host"]
    alone = net.verify(place / "x.npz", engines=names)
    assert alone.first_difference is not None and alone.first_difference.sample == wrong
    for count in (1, 2, 3):
        spread = net.verify(place / "x.npz", engines=names, workers=count)
        assert spread == alone


def test_simulate_gives_the_same(place: Path) -> None:
    net = Compiled.load(place / "net")
    alone = net.simulate(random=8, engine="host")
    for count in (1, 2, 3):
        found = net.simulate(random=8, engine="host", workers=count)
        assert found.as_json() == alone.as_json()
        pairs = zip(found.outputs, alone.outputs, strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs)


def test_a_run_that_was_cut_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = Samples([(np.full(1, n, np.int8),) for n in range(11)], [(None,)] * 11)
    every = cut(samples, keeps_state=False)
    (tmp_path / "fails").touch()
    with pytest.raises(UsageError, match="the third part fails"):
        list(in_parts(doubled, tmp_path, every, 1, ["test", str(tmp_path)]))
    before = {path.name.split("-")[1] for path in tmp_path.glob("did-*")}
    assert {"0", "3"} <= before
    (tmp_path / "fails").unlink()
    for path in tmp_path.glob("did-*"):
        path.unlink()
    assert list(in_parts(doubled, tmp_path, every, 2, ["test", str(tmp_path)])) == [0, 6, 12, 18]
    again = {path.name.split("-")[1] for path in tmp_path.glob("did-*")}
    assert "6" in again and not {"0", "3"} & again


def test_the_commands(place: Path) -> None:
    for command in (("verify", "--engine", "numpy", "--engine", "host"), ("simulate", "--engine", "host")):
        name, *more = command
        found: list[Any] = [
            driftc_json(name, "net", *more, "--random", "70", *workers, cwd=place)
            for workers in ((), ("--workers", "1"), ("--workers", "3"))
        ]
        assert found[0] == found[1] == found[2] and found[0]["samples"] == 73
    for name, option in (("verify", ("--save-tensors", "t.npz")), ("simulate", ("--on", "gdb://x:1"))):
        assert "--workers" in driftc(name, "net", *option, "--workers", "2", cwd=place, code=2).stderr
