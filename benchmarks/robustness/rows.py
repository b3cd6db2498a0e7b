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
from collections.abc import Callable
from pathlib import Path
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


def classifier(row: str, task: Task, folder: Path) -> Classifier:
    """What `row` says of samples; what it needs is made once and kept in `folder`."""
    if row in ("float", "float64"):
        run = in_float if row == "float" else in_float64
        return lambda x: run(_compiled("calibrated", task, folder), _file(x, folder))
    made = _compiled(row, task, folder)
    return lambda x: _classes(made.simulate(_file(x, folder), engine="host").outputs)


def _classes(outputs: Any) -> Classes:
    return np.array([int(np.argmax(output[0].reshape(-1))) for output in outputs])


def _file(x: Samples, folder: Path) -> Path:
    data = folder / "asked.npz"
    np.savez(data, x=x)
    return data


def _compiled(row: str, task: Task, folder: Path) -> driftc.Compiled:
    place = folder / "models" / row
    if not place.is_dir():
        data = folder / "calibration.npz"
        np.savez(data, x=task.calibration)
        _compile(row, task, data, folder).write(place)
    return driftc.Compiled.load(place)


def _compile(row: str, task: Task, data: Path, folder: Path) -> driftc.Compiled:
    quantised = task.model.suffix == ".tflite"
    how: dict[str, Any] = {"name": "model", "planner": "greedy", "measure": False}
    if row in ("none", "full"):
        how["calibrate"] = None if quantised else data
    if row == "none":
        return driftc.compile(task.model, **how)
    if row == "full":
        return driftc.compile(task.model, adapt_constants=_full(task, folder), **how)
    learnt = {"static": {}, "calibrated": {}, "rank4": {"adapt_rank": 4}}
    how["adapt_layers"] = task.layers
    how |= {"adapt": "calibrated", "augment": task.augment, **learnt[row]} if row in learnt else {"adapt": row}
    gains = calibrated.GAINS
    calibrated.GAINS = row != "static"
    try:
        return driftc.compile(task.model, calibrate=data, **how)
    finally:
        calibrated.GAINS = gains


def _full(task: Task, folder: Path) -> Path:
    """The constants of `fixed`, with every gain 1."""
    _compiled("fixed", task, folder)
    known = json.loads((folder / "models" / "fixed" / "adaptation.json").read_text())
    for layer in known["layers"].values():
        for gain, constant in (("dm", "cm"), ("dv", "cv")):
            layer[gain], layer[constant] = [1.0] * len(layer[gain]), [0.0] * len(layer[gain])
    path = folder / "full.json"
    path.write_text(json.dumps(known))
    return path
