"""Learning from Python on a device: a native module, on this machine and on an emulated board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning_models import adapts, learning, samples
from micropython import printed_by

from driftc.codegen.compiled import Compiled
from driftc.simulator.learning import MANY, Event, Kind, MetaSpecification, Specification

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


ADAPTS = """
import net
n = net.Network()
try:
    n.adapt()
except ValueError as problem:
    print(problem)
for x in GIVEN:
    out = list(n.invoke(x))
    print(out, n.adapt())
saved = n.save_state()
n.reset()
print(list(n.invoke(GIVEN[0])))
n.load_state(saved)
print(list(n.invoke(GIVEN[0])))
"""


@pytest.mark.parametrize("options", [{"learn_passes": 3}, {"learn": "mean"}], ids=["classifier", "mean"])
def test_native_module(tmp_path: Path, options: dict[str, Any]) -> None:
    found = learning(tmp_path, core="cortex-m3", **options)
    taught = samples(24, 6)
    pairs = [(bytes(x.tobytes()), int(y)) for x, y in zip(taught["x"], taught["y"], strict=True)]
    printed = expected(found, taught)
    assert printed_by(tmp_path, found, f"TAUGHT = {pairs!r}\n{SCRIPT}") == (printed, printed)


def test_it_adapts(tmp_path: Path) -> None:
    """Each decision and what became of it, by the specification; reset, saved and loaded."""
    found = adapts(tmp_path, core="cortex-m3", learn_rate=0.05)
    random = np.random.default_rng(0)
    x = random.integers(-128, 128, (60, 1, 1, 3)) + random.integers(-20, 21, (60, 4, 5, 3))
    given = np.clip(x, -128, 127).astype(np.int8)
    specification, lines = MetaSpecification(found.lowered), ["adapt: no inference yet"]
    for sample in given:
        out = specification(Event(Kind.INFER, 0, (sample[None],))).outputs[0].reshape(-1).tolist()
        lines.append(f"{out} {specification(Event(Kind.AGAIN)).status}")
    assert any(line.endswith("] 1") for line in lines)
    first = Event(Kind.INFER, 0, (given[:1],))
    fresh, learnt = (part(first).outputs[0].reshape(-1) for part in (MetaSpecification(found.lowered), specification))
    assert not np.array_equal(fresh, learnt)
    lines += [str(fresh.tolist()), str(learnt.tolist())]
    printed = "\n".join(lines) + "\n"
    script = f"GIVEN = {[bytes(sample.tobytes()) for sample in given]!r}\n{ADAPTS}"
    assert printed_by(tmp_path, found, script) == (printed, printed)
