"""Accuracy under shift, motion: sensors that are turned, drift, are noisy or slow, on people unseen; by the compiled C.

    python benchmarks/robustness_motion.py [--windows 300] [--severity 5] [--split dev|table] [--methods none,fixed,...]
                                           [--out build/robustness_motion]

The network is that of examples/har_cnn.py, trained on five subjects of UCI HAR. The shared data are its official test
subjects, nine of them, and no others: two of the four that are left are `dev`, for tuning, two are `table`. Clean sets:
`unseen`, those people's windows as they are, and `later`, what the five did after what was trained on. Calibration: the
windows that were trained on.

Shifts act on two sensors, accelerometer and gyroscope, of each window by itself: what the accelerometer measures is
total acceleration, body acceleration is that without what is slower than 0.3 Hz. Each window has a generator of its
own. Needs the extras keras and sim, and DRIFTC_DATA.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import driftc

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))  # the network lives there

import har_cnn

DATA = Path(os.environ.get("DRIFTC_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
FILE = "uci_har/uci_har_test.npz"
SPLITS = {"dev": (13, 18), "table": (20, 24)}  # subjects
METHODS = ("none", "fixed", "iabn", "lean", "calibrated")
CLEAN = ("unseen", "later")
RATE = 50.0  # Hz
BODY, GYRO, TOTAL = slice(0, 3), slice(3, 6), slice(6, 9)

Window = NDArray[np.float64]  # [128, 9], as in examples/har_cnn.py
Random = np.random.Generator
Right = NDArray[np.bool_]


# --- the data ---


@dataclass(frozen=True)
class Sets:
    """float32 windows and labels by name; `calibration` has no labels."""

    test: dict[str, tuple[NDArray[np.float32], NDArray[np.int64]]]
    calibration: NDArray[np.float32]


def load(split: str, windows: int) -> Sets:
    """`windows` of the split's subjects at random, the same every time, and the clean sets."""
    every = har_cnn.load(DATA / FILE)
    before, later = har_cnn.split(every)
    mine = np.flatnonzero(np.isin(every.subject, SPLITS[split]))
    unseen = every[np.random.default_rng(0).permutation(mine)[:windows]]
    return Sets({"unseen": (unseen.x, unseen.y), "later": (later.x, later.y)}, before.x)


def model(folder: Path) -> Path:
    """The trained .keras file, made once and kept in `folder`."""
    path = folder / "har_cnn.keras"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        har_cnn.trained(har_cnn.split(har_cnn.load(DATA / FILE))[0]).save(path)
    return path


# --- the shifts ---


def corrupted(windows: NDArray[np.float32], kind: str, severity: int, seed: int = 0) -> NDArray[np.float32]:
    """float32 [n, 128, 9] with shift `kind` at `severity` 1..5."""
    function, levels = KINDS[kind]
    found = np.empty_like(windows)
    for number, window in enumerate(windows):
        random = np.random.default_rng((seed, severity, number))
        found[number] = function(window.astype(np.float64), random, levels[severity - 1])
    return found


def _rotation(x: Window, random: Random, degrees: float) -> Window:
    """The device is worn turned, about a random axis by up to `degrees`."""
    from scipy.spatial.transform import Rotation

    axis = random.normal(size=3)
    turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * random.uniform(0, degrees), degrees=True)
    return np.asarray(x.reshape(-1, 3, 3) @ turn.as_matrix().T).reshape(x.shape)


def _gain(x: Window, random: Random, most: float) -> Window:
    """Each sensor's own, which goes from one value to another during the window."""
    start, end = 1 + random.uniform(-most, most, (2, 2))
    gains = start + (end - start) * np.linspace(0, 1, len(x))[:, None]  # of accelerometer and gyroscope
    return x * np.repeat(gains[:, [0, 1, 0]], 3, axis=1)


def _bias(x: Window, random: Random, level: float) -> Window:
    """`level` g and twice as many rad/s, of each axis. Body acceleration has lost it: it does not move."""
    moved = np.zeros(9)
    moved[TOTAL], moved[GYRO] = random.normal(0, level, 3), random.normal(0, 2 * level, 3)
    return x + moved


def _noise(x: Window, random: Random, level: float) -> Window:
    """White, `level` g and twice as many rad/s."""
    added = np.empty_like(x)
    added[:, TOTAL] = added[:, BODY] = random.normal(0, level, (len(x), 3))
    added[:, GYRO] = random.normal(0, 2 * level, (len(x), 3))
    return x + added


def _band_limited(x: Window, random: Random, hertz: float) -> Window:
    """The sensor's own low-pass filter, of second order, is set to `hertz`."""
    from scipy.signal import butter, sosfilt, sosfilt_zi

    sections = butter(2, hertz, fs=RATE, output="sos")
    return np.asarray(sosfilt(sections, x, axis=0, zi=sosfilt_zi(sections)[:, :, None] * x[0])[0])


def _decimated(x: Window, random: Random, keep: int) -> Window:
    """Read `keep` times less often and held in between."""
    first = int(random.integers(keep))
    return x[np.maximum((np.arange(len(x)) - first) // keep * keep + first, 0)]


def _lost(x: Window, random: Random, share: float) -> Window:
    """`share` of the packets of 8 readings do not arrive; the last reading that did is held."""
    packets = np.arange(len(x)) // 8
    arrived = (random.random(packets[-1] + 1) >= share)[packets]
    arrived[0] = True
    return x[np.maximum.accumulate(np.where(arrived, np.arange(len(x)), 0))]


KINDS: dict[str, tuple[Callable[..., Window], tuple[float, ...]]] = {
    "rotation": (_rotation, (10, 20, 30, 45, 60)),
    "gain": (_gain, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "bias": (_bias, (0.03, 0.06, 0.1, 0.15, 0.2)),
    "noise": (_noise, (0.02, 0.05, 0.1, 0.15, 0.25)),
    "band_limited": (_band_limited, (10, 7, 5, 3.5, 2.5)),
    "decimated": (_decimated, (2, 3, 4, 6, 8)),
    "lost": (_lost, (0.1, 0.2, 0.3, 0.4, 0.5)),
}
AUGMENTED = ("rotation", "gain", "bias", "noise")  # kinds near those that are fitted on


# --- the driver ---


def compiled(method: str, sets: Sets, folder: Path) -> driftc.Compiled:
    """The network with `method`, made once and kept in `folder`."""
    place = folder / method
    if not place.is_dir():
        path = model(folder)
        data = folder / "calibration.npz"
        np.savez(data, x=sets.calibration)
        how: dict[str, Any] = {} if method == "none" else {"adapt": method}
        how |= {"augment": "motion"} if method == "calibrated" else {}
        driftc.compile(path, calibrate=data, name="har", planner="greedy", measure=False, **how).write(place)
    return driftc.Compiled.load(place)


def right(made: driftc.Compiled, windows: NDArray[np.float32], labels: NDArray[np.int64], folder: Path) -> Right:
    """Which windows the C classifies rightly."""
    data = folder / "asked.npz"
    np.savez(data, x=windows)
    found = made.simulate(data, engine="host")
    return np.asarray([int(np.argmax(output[0].reshape(-1))) for output in found.outputs] == labels)


def reduction(source: Right, adapted: Right) -> tuple[float, float]:
    """Relative error reduction over [kinds, windows] and its standard error, windows being what is drawn."""
    before, after = 1.0 - source.mean(axis=0), 1.0 - adapted.mean(axis=0)
    ratio = after.mean() / before.mean()
    spread = np.std(after - ratio * before, ddof=1) / np.sqrt(len(before)) / before.mean()
    return float(1 - ratio), float(spread)


@click.command()
@click.option("--windows", default=300, show_default=True, help="Of the split, for each kind.")
@click.option("--severity", type=click.IntRange(1, 5), default=5, show_default=True)
@click.option("--split", type=click.Choice(sorted(SPLITS)), default="dev", show_default=True)
@click.option("--methods", default=",".join(METHODS), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/robustness_motion"), show_default=True)
def main(windows: int, severity: int, split: str, methods: str, out: Path) -> None:
    sets = load(split, windows)
    x, y = sets.test["unseen"]
    shifted = {kind: corrupted(x, kind, severity) for kind in KINDS}
    table = Table(box=None, pad_edge=False, title=f"{split}, {len(y)} windows a kind, severity {severity}")
    unseen = [n for n, kind in enumerate(KINDS) if kind not in AUGMENTED]
    for column in ("method", "accuracy", "error reduction", f"{len(unseen)} not augmented", *CLEAN, *KINDS):
        table.add_column(column, justify="left" if column == "method" else "right")
    source: Right | None = None
    for method in methods.split(","):
        made = compiled(method, sets, out)
        found = np.stack([right(made, shifted[kind], y, out) for kind in KINDS])
        if method == "none":
            source = found
        gains = ["-", "-"]
        if source is not None and method != "none":
            pairs = [reduction(source, found), reduction(source[unseen], found[unseen])]
            gains = [f"{gain:.1%} ± {error:.1%}" for gain, error in pairs]
        clean = [f"{right(made, *sets.test[name], out).mean():.1%}" for name in CLEAN]
        table.add_row(method, f"{found.mean():.1%}", *gains, *clean, *(f"{row.mean():.1%}" for row in found))
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
