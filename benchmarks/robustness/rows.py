"""The rows of the table: each a way to make a classifier of the task's network, asked one sample at a time.

| row | |
| --- | --- |
| none | the int8 model: what all others are compared with |
| static | the control: fitted as `calibrated`, but with every gain 0, so that nothing is done on the device |
| full | each sample's own statistics alone |
| fixed, iabn, lean, lean-mean, calibrated | driftc's methods, in fixed point |
| rank4 | `calibrated` with --adapt-rank 4 |
| float | `calibrated`'s constants in float32: the int8 model's weights, nothing rounded |
| float64 | the int8 network of `calibrated` with statistics and affine step in float64 |

All but the last two are the generated C on the host, which `driftc verify` holds to the specification and to the cores.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from exact import in_float, in_float64
from numpy.typing import NDArray
from task import Samples, Task

import driftc
from driftc.codegen.adaptation import calibrated

ROWS = ("none", "static", "full", "fixed", "iabn", "lean", "calibrated", "float", "rank4")

Classes = NDArray[np.int64]
Classifier = Callable[[Samples], Classes]


def models_of(rows: Iterable[str], folder: Path) -> list[list[str]]:
    """Models that these rows need and that are not there yet, in groups: each needs those of the groups before."""
    needed = dict.fromkeys(_model(row) for row in rows)
    if "full" in needed:
        needed["fixed"] = None
    missing = [row for row in needed if not _place(row, folder).is_dir()]
    return [[row for row in missing if row != "full"], [row for row in missing if row == "full"]]


def make(row: str, task: Task, folder: Path) -> None:
    """Compile the model of `row`, whose own needs are there."""
    with TemporaryDirectory() as place:
        data = Path(place, "calibration.npz")
        np.savez(data, x=task.calibration)
        _compile(row, task, data, folder).write(_place(row, folder))


def classifier(row: str, folder: Path) -> Classifier:
    """What `row` says of samples; its model is there."""
    made = driftc.Compiled.load(_place(_model(row), folder))
    real = {"float": in_float, "float64": in_float64}.get(row)

    def classes(x: Samples) -> Classes:
        with TemporaryDirectory() as place:
            data = Path(place, "asked.npz")
            np.savez(data, x=x)
            return real(made, data) if real is not None else _classes(made.simulate(data, engine="host").outputs)

    return classes


def _classes(outputs: Any) -> Classes:
    return np.array([int(np.argmax(output[0].reshape(-1))) for output in outputs])


def _model(row: str) -> str:
    return "calibrated" if row in ("float", "float64") else row


def _place(row: str, folder: Path) -> Path:
    return folder / "models" / row


def _compile(row: str, task: Task, data: Path, folder: Path) -> driftc.Compiled:
    quantised = task.model.suffix == ".tflite"
    how: dict[str, Any] = {"name": "model", "planner": "greedy", "measure": False}
    if row in ("none", "full"):
        how["calibrate"] = None if quantised else data
    if row == "none":
        return driftc.compile(task.model, **how)
    if row == "full":
        return driftc.compile(task.model, adapt_constants=_full(folder), **how)
    learnt = {"static": {}, "calibrated": {}, "rank4": {"adapt_rank": 4}}
    how["adapt_layers"] = task.layers
    how |= {"adapt": "calibrated", "augment": task.augment, **learnt[row]} if row in learnt else {"adapt": row}
    gains = calibrated.GAINS
    calibrated.GAINS = row != "static"
    try:
        return driftc.compile(task.model, calibrate=data, **how)
    finally:
        calibrated.GAINS = gains


def _full(folder: Path) -> Path:
    """The constants of `fixed`, with every gain 1."""
    known = json.loads((_place("fixed", folder) / "adaptation.json").read_text())
    for layer in known["layers"].values():
        for gain, constant in (("dm", "cm"), ("dv", "cv")):
            layer[gain], layer[constant] = [1.0] * len(layer[gain]), [0.0] * len(layer[gain])
    path = folder / "full.json"
    path.write_text(json.dumps(known))
    return path
