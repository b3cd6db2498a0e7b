"""Motion: sensors that are turned, drift, are noisy or slow, on people unseen.

The network is that of examples/har_cnn.py, trained on five subjects of UCI HAR. The shared data are its official test
subjects, nine of them, and no others: two of the four that are left are `dev`, for tuning, two are `table`. Clean sets:
`unseen`, those people's windows as they are, and `later`, what the five did after what was trained on. Calibration: the
windows that were trained on.

Shifts act on two sensors, accelerometer and gyroscope, of each window by itself: what the accelerometer measures is
total acceleration, body acceleration is that without what is slower than 0.3 Hz. Each window has a generator of its
own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from task import DATA, Task

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples"))  # behind ours, for names are the same

import har_cnn

FILE = "uci_har/uci_har_test.npz"
SPLITS = {"dev": (13, 18), "table": (20, 24)}  # subjects
RATE = 50.0  # Hz
BODY, GYRO, TOTAL = slice(0, 3), slice(3, 6), slice(6, 9)

Window = NDArray[np.float64]  # [128, 9], as in examples/har_cnn.py
Random = np.random.Generator


# --- the data ---


def load(model: Path, split: str, count: int) -> Task:
    """`count` windows of the split's subjects at random, the same every time, and the clean sets."""
    every = har_cnn.load(DATA / FILE)
    before, later = har_cnn.split(every)
    mine = np.flatnonzero(np.isin(every.subject, SPLITS[split]))
    unseen = every[np.random.default_rng(0).permutation(mine)[:count]]
    return Task(
        model=model,
        calibration=before.x,
        clean={"unseen": (unseen.x, unseen.y), "later": (later.x, later.y)},
        shifted=lambda kind, severity: corrupted(unseen.x, kind, severity),
        kinds=tuple(KINDS),
        augmented=AUGMENTED,
        augment="motion",
    )


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
