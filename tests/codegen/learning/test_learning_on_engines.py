"""Learning, step by step, is the same on every engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_models import classifier, learning, samples
from learnt import compared
from models import keyword_model

import driftc
from driftc.codegen.compiled import Compiled
from driftc.simulator.engines import engine
from driftc.simulator.learning import Event, Kind, Specification, run

CORES = ("cortex-m0plus", "cortex-m4", "cortex-m33", "cortex-m55", "rv32imc")


@pytest.mark.parametrize("guard", [True, False])
@pytest.mark.parametrize("per_row", [True, False])
def test_on_this_machine(tmp_path: Path, per_row: bool, guard: bool) -> None:
    """With ASan and UBSan where the compiler has them."""
    found = learning(tmp_path, classifier(per_row=per_row), learn_guard=guard, learn_passes=3)
    sanitize = found.program().target.cc != "zig"
    assert compared(found, "host", sanitize=sanitize) > 250


@pytest.mark.parametrize("core", CORES)
def test_on_emulated_cores(tmp_path: Path, core: str) -> None:
    found = learning(tmp_path, core=core, learn_passes=2, learn_store=12 * 13)
    name = "unicorn" if core in ("cortex-m0plus", "cortex-m4", "cortex-m33") else "qemu"
    assert compared(found, name) > 200


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("border", ["float32", "uint8"])
def test_other_types_at_the_border(tmp_path: Path, border: str, softmax: bool) -> None:
    (tmp_path / "net.tflite").write_bytes(classifier(border=border, softmax=softmax))
    known = samples(60, 4)
    real = (known["x"].astype(np.float32) - 3) * np.float32(0.05)
    np.savez(tmp_path / "known.npz", x=known["x"].view(np.uint8) ^ 128 if border == "uint8" else real, y=known["y"])
    found = driftc.compile(
        tmp_path / "net.tflite", calibrate=tmp_path / "known.npz", learn="classifier", learn_classes=6,
        learn_passes=2, measure=False,
    )  # fmt: skip
    alike = learning(tmp_path, classifier(softmax=softmax), learn_passes=2)
    first, second = found.lowered.learned, alike.lowered.learned
    assert first is not None
    assert second is not None
    assert np.array_equal(first.classifier.references, second.classifier.references)
    assert compared(found, "host") > 250


def test_what_adapts_learns_too(tmp_path: Path) -> None:
    found = keywords(tmp_path, adapt="fixed", adapt_layers="conv")
    assert found.lowered.adaptation is not None
    compared(found, "host")


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_layer(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Classes and features of any number, any zero point, rates from next to nothing to the largest."""
    known = data.draw(st.integers(2, 4), label="known")
    length = data.draw(st.integers(1, 19), label="length")
    zero = data.draw(st.sampled_from([-128, -1, 0, 127]), label="zero")
    model = classifier(known, length, data.draw(st.integers(0, 99)), softmax=data.draw(st.booleans()), zero=zero)
    rate = data.draw(st.sampled_from([1e-4, 0.03, 1.0]), label="rate")
    found = learning(
        tmp_path_factory.mktemp("net"), model, known, learn_rate=rate, learn_passes=2,
        learn_keep=data.draw(st.integers(1, 6)), learn_store=(length + 1) * data.draw(st.integers(2, 30)),
    )  # fmt: skip
    compared(found, "host")


def test_verify_compares_it(tmp_path: Path) -> None:
    found = learning(tmp_path, learn_passes=2)
    result = found.verify(random=2, engines=["numpy", "host"], learn=True)
    assert result.bit_exact
    assert result.events is not None and result.events > 200


def test_a_byte_that_differs_is_found(tmp_path: Path) -> None:
    """The C of the folder is changed: the order of learning is no longer that of the specification."""
    learning(tmp_path, learn_passes=2).write(tmp_path / "net")
    path = tmp_path / "net" / "driftc_learner.h"
    path.write_text(path.read_text().replace("*state ^= *state << 13;", "*state ^= *state << 12;"))
    result = Compiled.load(tmp_path / "net").verify(random=2, engines=["host"], learn=True)
    assert not result.bit_exact
    assert result.first_difference is not None and result.first_difference.engine == "host"


def test_inference_goes_on_between_steps(tmp_path: Path) -> None:
    """Until learning is done the model decides as before, and its inferences do not disturb it."""
    found = learning(tmp_path, learn_passes=2)
    new = samples(8, 2, first=4)
    adds = [Event(Kind.ADD, int(y), (x.reshape(1, 8),)) for x, y in zip(new["x"], new["y"], strict=True)]
    x = (new["x"][:1],)
    plain = [*adds, Event(Kind.STEP, 1 << 20), Event(Kind.INFER, 0, x)]
    mixed = [*adds, *[event for _ in range(40) for event in (Event(Kind.STEP, 3), Event(Kind.INFER, 0, x))]]
    specification = Specification(found.lowered)
    before = specification(Event(Kind.INFER, 0, x)).outputs[0]
    outcomes = [outcome for outcome, _ in run(engine("host"), found.program(), found.lowered, mixed)]
    during = [o.outputs[0] for o, event in zip(outcomes, mixed, strict=True) if event.kind is Kind.INFER]
    assert np.array_equal(during[0], before)
    last = list(run(engine("host"), found.program(), found.lowered, plain))[-1][0]
    assert outcomes[-2].left > 0 or np.array_equal(during[-1], last.outputs[0])


def test_row_fed(tmp_path: Path) -> None:
    compared(keywords(tmp_path, feed="rows"), "host")


def keywords(tmp_path: Path, **options: Any) -> Compiled:
    """A keyword spotter that learns."""
    (tmp_path / "kws.tflite").write_bytes(keyword_model(channels=8))
    random = np.random.default_rng(0)
    np.savez(tmp_path / "k.npz", x=random.integers(-128, 128, (36, 49, 10, 1), dtype=np.int8), y=np.arange(36) % 12)
    return driftc.compile(
        tmp_path / "kws.tflite", calibrate=tmp_path / "k.npz", learn="classifier", learn_classes=13, learn_passes=1,
        measure=False, **options,
    )  # fmt: skip
