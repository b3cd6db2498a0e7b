"""Calibration data that cannot be right is refused, with what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float_models import Net, residual, samples

from driftc.codegen.errors import DataError
from driftc.codegen.graph import Graph
from driftc.codegen.quantize import calibration

GOOD = samples(600)


def nan() -> np.ndarray[Any, Any]:
    array = GOOD.copy()
    array[7, 0, 0, 0] = np.nan
    return array


BAD: dict[str, tuple[np.ndarray[Any, Any], str]] = {
    "shape": (GOOD[:, :5], r"'image' has shape \[600, 5, 10, 3\]; expected \[samples, 12, 10, 3\]"),
    "one value": (np.array(3.0), r"has shape \[\]"),
    "raw bytes": (np.zeros((600, 12, 10, 3), np.int8), "is int8; a float model is calibrated with real values"),
    "integers": (np.zeros((600, 12, 10, 3), np.int64), "is int64"),
    "words": (np.full((600, 12, 10, 3), "x"), "is <U1"),
    "nan": (nan(), "holds NaN or infinite values, first in sample 7"),
    "empty": (GOOD[:0], "is empty"),
    "few": (GOOD[:15], "15 samples are too few to calibrate with; give 500 or more"),
    "constant": (np.zeros_like(GOOD), "holds 0 everywhere"),
    "too large": (GOOD * 255, "are not on the scale .* 'norm_0' expects them about .* times smaller; --input-divisor"),
    "too small": (GOOD / 255, "are not on the scale .* times as large; give values 0..255"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name: str, tmp_path: Path) -> None:
    array, message = BAD[name]
    np.savez(tmp_path / "bad.npz", x=array)
    with pytest.raises(DataError, match=message):
        calibration.load(tmp_path / "bad.npz", residual())


def test_accepted_in_every_form(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, GOOD.shape).astype(np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)
    found = calibration.load(tmp_path / "pixels.npy", residual(), divisor=127.5)
    assert np.allclose(found.inputs[0], pixels / np.float32(127.5))
    assert found.notes == ("calibrated: 600 samples of pixels.npy, values 0 to 2",)
    np.savez(tmp_path / "named.npz", image=GOOD.astype(np.float64)[:, np.newaxis], y=np.zeros(600, int))
    assert np.array_equal(calibration.load(tmp_path / "named.npz", residual()).inputs[0], GOOD)


def test_channels_first_are_turned_and_said(tmp_path: Path) -> None:
    found = calibration.check(residual(), [GOOD.transpose(0, 3, 1, 2)], "first.npz")
    assert np.array_equal(found.inputs[0], GOOD)
    assert found.notes[1] == "'image': the samples are channels first; taken as [samples, 12, 10, 3]"


def test_few_are_warned_of() -> None:
    (_, note) = calibration.check(residual(), [GOOD[:16]], "few.npz").notes
    assert note == "warning: 16 calibration samples are few; 500 or more give steadier ranges"


def test_scale_is_not_judged_without_normalisation() -> None:
    net = Net()
    graph: Graph = net.graph([net.convolve(net.input("image", (1, 12, 10, 3)), 4)])
    assert len(calibration.check(graph, [GOOD * 255], "large.npz")) == 600


def test_some_are_spread_over_all() -> None:
    found = calibration.check(residual(), [GOOD], "x.npz").first(3)
    assert np.array_equal(found[0], GOOD[[0, 299, 599]])


def test_several_inputs_must_agree() -> None:
    net = Net()
    a, b = (net.input(name, (1, 4)) for name in "ab")
    graph = net.graph([net.plus(a, b)])
    with pytest.raises(DataError, match="different numbers of samples: 'a' 20, 'b' 30"):
        calibration.check(graph, [samples(20, shape=(4,)), samples(30, shape=(4,))], "x.npz")


def test_divisor() -> None:
    with pytest.raises(DataError, match="must be above 0"):
        calibration.check(residual(), [GOOD], "x.npz", divisor=0)
