"""What a stream taught, drawn: the lines are the numbers that are printed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from commands import driftc as command
from float_models import needs
from learning_models import adapts, learning, samples

from driftc.codegen.errors import ToolError
from driftc.codegen.frontends import extras
from driftc.codegen.report.plot import check_plot, plot_adapted
from driftc.simulator.adapting import Adapted, Block


def words(svg: Path) -> list[str]:
    """Texts, which matplotlib names beside their outlines."""
    return re.findall(r"<!-- (.*?) -->", svg.read_text(encoding="utf-8"))


def heights(svg: Path, points: int) -> list[list[float]]:
    """Of each line of so many points: where its points are, upwards."""
    lines = re.findall(r'<g id="line2d_\d+">\s*<path d="(M [^"]*)"', svg.read_text(encoding="utf-8"))
    found = [[-float(y) for y in re.findall(r"[ML] [-\d.]+ ([-\d.]+)", line)] for line in lines]
    return [line for line in found if len(line) == points]


@needs("matplotlib", "plot")
def test_a_stream_without_labels(tmp_path: Path) -> None:
    blocks = tuple(Block(100, share, 0.5, 3, 0) for share in (0.5, 0.75, 1.0))
    adapted = Adapted("host", "cortex-m4", Block(300, 0.75, 0.5, 9, 0), blocks, 1, None, None)
    plot_adapted(adapted, tmp_path / "drawn.svg")
    assert {"adapting", "without", "samples of the stream", "right, %"} <= set(words(tmp_path / "drawn.svg"))
    rising, flat = heights(tmp_path / "drawn.svg", 3)[:2]  # the legend's follow
    assert rising[2] - rising[1] == pytest.approx(rising[1] - rising[0]) and rising[1] > rising[0]
    assert flat == pytest.approx([rising[0]] * 3)


@needs("matplotlib", "plot")
def test_on_the_command_line(tmp_path: Path) -> None:
    learning(tmp_path).write(tmp_path / "learns")
    np.savez(tmp_path / "new.npz", **samples(24, 6))
    options = ["--learn", "new.npz", "--learn-every", "8", "--engine", "host", "--plot", "learnt.svg"]
    command("simulate", "learns", *options, cwd=tmp_path)
    assert {"old", "new", "mean", "samples learnt"} <= set(words(tmp_path / "learnt.svg"))
    assert len(heights(tmp_path / "learnt.svg", 4)) == 3
    adapts(tmp_path).write(tmp_path / "adapts")
    x = np.random.default_rng(0).integers(-128, 128, (30, 4, 5, 3)).astype(np.int8)
    np.savez(tmp_path / "stream.npz", x=x, y=np.arange(30) % 5)
    options = ["--stream", "stream.npz", "--stream-block", "10", "--engine", "host", "--plot", "stream.png", "--json"]
    command("simulate", "adapts", *options, cwd=tmp_path)
    assert (tmp_path / "stream.png").read_bytes().startswith(b"\x89PNG")
    for given, problem in (
        (["--plot", "x.svg"], "belongs to --learn or --stream"),
        (["--stream", "stream.npz", "--plot", "x.gif"], "must end in .svg"),
        (["--stream", "stream.npz", "--plot", "none/x.svg"], "no folder none"),
    ):
        assert problem in command("simulate", "adapts", *given, cwd=tmp_path, code=2).stderr


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(extras, "import_module", absent)
    with pytest.raises(ToolError, match=r'--plot: needs matplotlib: pip install "driftc\[plot\]"'):
        check_plot(tmp_path / "x.svg")
