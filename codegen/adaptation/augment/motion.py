"""motion: what happens to an accelerometer or gyroscope that another person wears: turned, drifting, offset, noisy.

Channels are axes by threes (x, y, z of one sensor after another) in real values of one scale for the three; all sensors
of a window are turned alike.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from driftc.codegen.adaptation.augment.kind import Copies, Floats, Kind, Random, frames, one_or_two

AXES = 3
LIKELY = 9  # channels at most, unless the user says so
TURN = np.pi / 3
NOISE = (0.05, 1.5)  # of a sensor's spread


def turned(x: Floats, random: Random, spread: Floats) -> Floats:
    """The sensor's frame, about any axis, by up to 60 degrees."""
    axis = random.normal(size=AXES)
    x_, y, z = axis / max(float(np.linalg.norm(axis)), 1e-9)
    cross = np.array([[0, -z, y], [z, 0, -x_], [-y, x_, 0]])
    angle = random.uniform(0, TURN)
    matrix = np.eye(AXES) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross  # Rodrigues
    return np.asarray((x.reshape(len(x), -1, AXES) @ matrix.T).reshape(x.shape), np.float32)


def gain(x: Floats, random: Random, spread: Floats) -> Floats:
    """Each sensor's own, its axes a little apart, drifting over the window."""
    sensors = x.shape[1] // AXES
    start = np.repeat(random.uniform(0.6, 1.4, sensors), AXES) * random.uniform(0.9, 1.1, x.shape[1])
    drift = 1 + random.uniform(-0.2, 0.2) * np.linspace(0, 1, len(x))[:, None]
    return np.asarray(x * start * drift, np.float32)


def bias(x: Floats, random: Random, spread: Floats) -> Floats:
    return np.asarray(x + spread * random.normal(0, random.uniform(0.1, 0.6), x.shape[1]), np.float32)


def noise(x: Floats, random: Random, spread: Floats) -> Floats:
    """Little as often as much: it may be more than a sensor that hardly moves shows, such as gravity taken off."""
    level = np.exp(random.uniform(*np.log(NOISE)))
    return np.asarray(x + spread * random.normal(0, level, x.shape), np.float32)


def _made(samples: Floats, zero: float) -> Copies:
    size = frames((1, *samples.shape[1:]))
    assert size is not None
    values = samples.reshape(-1, size[1] // AXES, AXES)
    spread = np.repeat(values.std(axis=(0, 2)), AXES).astype(np.float32)  # of each sensor
    ways = [partial(way, spread=spread) for way in (turned, gain, bias, noise)]

    def copies(chosen: Floats, random: Random) -> Floats:
        real = chosen.reshape(-1, *size) - np.float32(zero)
        after = one_or_two(ways, real, random) + np.float32(zero)
        return np.asarray(np.clip(after, 0, 1).reshape(chosen.shape), np.float32)

    return copies


def _takes(shape: tuple[int, ...]) -> bool:
    size = frames(shape)
    return size is not None and size[0] > 1 and size[1] % AXES == 0


def _likely(shape: tuple[int, ...]) -> bool:
    size = frames(shape)
    return size is not None and _takes(shape) and size[1] <= LIKELY < size[0]


KIND = Kind("[1, T, C], [1, T, 1, C], [1, 1, T, C] or [1, T, C, 1] with C axes by threes", _takes, _likely, _made)
