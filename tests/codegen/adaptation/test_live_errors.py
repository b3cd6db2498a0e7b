"""What the user may do wrong with layers that are normalised live."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_models import adaptation, samples_of
from models import autoencoder_model

from driftc.codegen.adaptation.adapt import chosen
from driftc.codegen.adaptation.constants import Constants
from driftc.codegen.api import compile
from driftc.codegen.errors import DataError, DriftcError, ModelError, UsageError
from driftc.codegen.lower import lower
from driftc.codegen.operators.adapt.live import Live
from driftc.codegen.options import Options


def calibration(folder: Path, path: Path, count: int) -> Path:
    graph = lower(path, Options()).graph
    file = folder / "calibration.npz"
    np.savez(file, x=np.concatenate([sample[0] for sample in samples_of(graph, count)]))
    return file


def test_fixed_through_the_api(model: Path, tmp_path: Path) -> None:
    made = compile(model, adapt="fixed", calibrate=calibration(tmp_path, model, 16), adapt_layers="0.5", measure=False)
    live = [operator for operator in made.lowered.graph.operators if isinstance(operator, Live)]
    able = chosen(lower(model, Options()).model, "all")
    assert [operator.name for operator in live] == able[: round(len(able) / 2)]
    assert "16 calibration samples; below 500" in made.notes[0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"adapt": "fixed"}, UsageError, "needs --calibrate"),
        ({"adapt": "fast"}, UsageError, "unknown method; driftc has calibrated, fixed, iabn, lean"),
        ({"adapt": "fixed", "adapt_layers": "nowhere"}, UsageError, "no layer 'nowhere'; it could be "),
        ({"adapt": "fixed", "adapt_layers": "dense"}, UsageError, "dense: its map is 1 x 1"),
        ({"adapt": "fixed", "adapt_layers": "1.5"}, UsageError, "above 0 and at most 1"),
        ({"adapt": "fixed", "adapt_rank": 4}, UsageError, "-rank 4: the method fixed learns nothing"),
        ({"adapt": "iabn", "adapt_clean": 0.5}, UsageError, "--adapt-clean 0.5: the method iabn learns nothing"),
        ({"adapt": "calibrated", "adapt_clean": -1.0}, UsageError, "--adapt-clean -1: is from 0 to 1000"),
        ({"adapt": "calibrated", "adapt_rank": 0}, UsageError, "--adapt-rank 0: is from 1 to 16"),
        ({"adapt": "calibrated", "adapt_rank": 17}, UsageError, "--adapt-rank 17: is from 1 to 16"),
        ({"adapt_rank": 4}, UsageError, "--adapt-rank 4: is for constants that --adapt learns"),
    ],
)
def test_bad_use(model: Path, tmp_path: Path, options: dict[str, Any], error: type[DriftcError], message: str) -> None:
    if options != {"adapt": "fixed"}:
        options = {**options, "calibrate": calibration(tmp_path, model, 16)}
    with pytest.raises(error, match=message):
        compile(model, measure=False, **options)


def test_too_few_samples(model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="15 calibration samples; 16 are needed"):
        compile(model, measure=False, adapt="fixed", calibrate=calibration(tmp_path, model, 15))


def test_a_model_without_maps(tmp_path: Path) -> None:
    path = tmp_path / "ad.tflite"
    path.write_bytes(autoencoder_model())
    with pytest.raises(ModelError, match="no layer can be normalised live: dense_1: its map is 1 x 1"):
        compile(path, measure=False, adapt="fixed", calibrate=calibration(tmp_path, path, 16))


def test_constants_of_another_model(model: Path, tmp_path: Path) -> None:
    found = adaptation(model, 0.3)
    (tmp_path / "other.json").write_text(replace(found, sha256="0" * 64).as_text())
    with pytest.raises(UsageError, match="was made for another model"):
        compile(model, measure=False, adapt_constants=tmp_path / "other.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"driftc_adaptation": 1, "layers": {"a": {"dm": [1]}}}'])
def test_damaged_constants(model: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(DataError, match=r"bad\.json: "):
        compile(model, measure=False, adapt_constants=tmp_path / "bad.json")


def test_constants_are_checked() -> None:
    ones = {name: [1.0, 1.0] for name in ("dm", "cm", "dv", "cv", "gamma", "beta", "eps", "mean", "var", "reach")}
    assert Constants.from_json(ones).dm.tolist() == [1.0, 1.0]
    for form in ({"trust": "power"}, {"linear": 1}, {"linear": True, "trust": "much"}, {"linear": True, "rate": 2.0}):
        with pytest.raises(ValueError, match="form: "):
            Constants.from_json({**ones, "form": form})
    rank: dict[str, Any] = {
        **{"down": [[1.0] * 4] * 3, "start": [1.0] * 3, "up": [[1.0] * 3] * 4},
        **{name: [1.0, 1.0] for name in ("mean", "deviation", "log_mean", "log_deviation")},
    }
    found = Constants.from_json({**ones, "rank": rank}).rank
    assert found is not None
    assert found.as_json() == rank
    for name, value in (("up", [[1.0] * 4] * 3), ("start", [1.0]), ("deviation", [1.0, 0.0]), ("mean", [1.0, np.inf])):
        with pytest.raises(ValueError, match="rank: "):
            Constants.from_json({**ones, "rank": {**rank, name: value}})
    with pytest.raises(ValueError, match="form: the linear form has one dv for the whole layer"):
        Constants.from_json({**ones, "dv": [0.1, 0.2], "form": {"linear": True}})
    for wrong in ({**ones, "form": {"linear": True}}, {name: [1.0] for name in ones}):
        with pytest.raises(ValueError, match="rank: "):
            Constants.from_json({**wrong, "rank": rank})
    for name, value in (("eps", [0.0, 1.0]), ("var", [-1.0, 1.0]), ("cm", [float("nan"), 0.0]), ("dv", [1.0])):
        with pytest.raises(ValueError):
            Constants.from_json({**ones, name: value})
