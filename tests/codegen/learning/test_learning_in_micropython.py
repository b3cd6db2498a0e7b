"""Learning from Python on a device: a native module, on this machine and on an emulated board."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import driftc
from exported import tools
from learning_models import learning, samples
from micropython import ARM, on_board, on_this_machine

from driftc.codegen.compiled import Compiled
from driftc.simulator.learning import MANY, Event, Kind, Specification

SCRIPT = """
import net
def fails(function, *arguments):
    try:
        function(*arguments)
    except ValueError as problem:
        print(problem)
n = net.Network()
fails(n.learn_add, 0)
fails(n.learn_step)
for x, label in TAUGHT:
    n.invoke(x)
    n.learn_add(label)
fails(n.learn_add, 6)
steps, left = 1, n.learn_step()
fails(n.learn_forget, 0)
fails(n.learn_result)
while left:
    steps, left = steps + 1, n.learn_step()
print(steps, n.learn_result())
print(list(n.invoke(TAUGHT[0][0])))
saved = n.save_state()
n.learn_forget(-1)
n.load_state(saved)
print(list(n.invoke(TAUGHT[0][0])))
n.learn_forget(5)
"""


def expected(found: Compiled, taught: dict[str, np.ndarray]) -> str:
    """What SCRIPT prints, by the specification."""
    specification = Specification(found.lowered)
    for x, y in zip(taught["x"], taught["y"], strict=True):
        specification(Event(Kind.ADD, int(y), (x.reshape(1, 8),)))
    steps = 1
    while specification(Event(Kind.STEP, 1)).left > 0:
        steps += 1
    report = specification(Event(Kind.FORGET, 99)).answer[2:].tolist()
    out = specification(Event(Kind.INFER, 0, (taught["x"][:1],))).outputs[0].reshape(-1).tolist()
    assert specification(Event(Kind.STEP, MANY)).status < 0
    return (
        "learn: no inference yet\nlearn: too few new samples\n"
        "learn: no class of that number, nor room for it\n"
        "learn: an inference or learning is under way\nlearn: an inference or learning is under way\n"
        f"{steps} {tuple(report)}\n{out}\n{out}\n"
    )


@pytest.mark.parametrize("options", [{"learn_passes": 3}, {"learn": "mean"}], ids=["classifier", "mean"])
def test_native_module(tmp_path: Path, options: dict[str, Any]) -> None:
    tree = tools() / "micropython"
    found = learning(tmp_path, core="cortex-m3", **options)
    found.write(tmp_path / "net")
    driftc(
        "export", "net", "--to", "mpy", "-o", "package", "--micropython", tree, "--arch", "x64", "--arch", "armv7m",
        cwd=tmp_path,
    )  # fmt: skip
    taught = samples(24, 6)
    pairs = [(bytes(x.tobytes()), int(y)) for x, y in zip(taught["x"], taught["y"], strict=True)]
    script = f"TAUGHT = {pairs!r}\n{SCRIPT}"
    printed = expected(found, taught)
    program = tools() / "micropython-unix" / "micropython"
    assert on_this_machine(program, tmp_path / "package" / "x64_6.3", script) == printed
    files = tmp_path / "files"
    files.mkdir()
    shutil.copy(tmp_path / "package" / "armv7m_6.3" / "net.mpy", files)
    assert on_board(ARM, files, script) == printed
