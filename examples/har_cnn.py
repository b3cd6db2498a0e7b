"""A small CNN for human activity recognition (UCI HAR), batch normalisation intact, trained here in a minute.

    python examples/har_cnn.py uci_har_test.npz har_cnn.keras
    driftc compile har_cnn.keras --calibrate train.npz --adapt --augment motion

The file has `x` float32 [windows, 128, 9] at 50 Hz (body acceleration in g, angular velocity in rad/s, total
acceleration in g; x, y, z of each), `y` 0..5 and `subject`. It trains on the first part of each activity of `SUBJECTS`:
what they did later is unseen, and so are all other subjects. Needs the extra keras.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUBJECTS = (2, 4, 9, 10, 12)  # trained on
TRAINED = 0.8  # of the windows of each of their activities, the first
CHANNELS = (24, 32, 48, 64)
STRIDES = (2, 2, 1, 1)
WIDTH = 5  # of each convolution, in frames
EPOCHS, BATCH, RATE = 40, 64, 2e-3


@dataclass(frozen=True, eq=False)
class Windows:
    """x float32 [windows, 128, 9], y int64 [windows], subject uint8 [windows]."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    subject: NDArray[np.uint8]

    def __getitem__(self, chosen: Any) -> Windows:
        return Windows(self.x[chosen], self.y[chosen], self.subject[chosen])


def load(path: Path) -> Windows:
    with np.load(path) as file:
        return Windows(file["x"], file["y"].astype(np.int64), file["subject"])


def split(windows: Windows) -> tuple[Windows, Windows]:
    """Of `SUBJECTS`: what is trained on, and what they did later. Windows overlap by half: one between is left out."""
    before = np.zeros(len(windows.y), np.bool_)
    after = before.copy()
    for subject in SUBJECTS:
        for activity in np.unique(windows.y):
            found = np.flatnonzero((windows.subject == subject) & (windows.y == activity))
            cut = round(TRAINED * len(found))
            before[found[:cut]] = True
            after[found[cut + 1 :]] = True
    return windows[before], windows[after]


def network(classes: int) -> Any:
    """Input [128, 9], output the probability of each class."""
    from tensorflow import keras

    layers = keras.layers
    given = keras.Input((128, 9), name="window")
    x = layers.Reshape((128, 1, 9), name="image")(given)
    for number, (channels, stride) in enumerate(zip(CHANNELS, STRIDES, strict=True), 1):
        x = layers.Conv2D(channels, (WIDTH, 1), stride, padding="same", use_bias=False, name=f"conv_{number}")(x)
        x = layers.BatchNormalization(name=f"norm_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
    x = layers.Dropout(0.5, name="dropout")(layers.GlobalAveragePooling2D(name="pool")(x))
    return keras.Model(given, layers.Dense(classes, activation="softmax", name="activity")(x))


def trained(windows: Windows, epochs: int = EPOCHS, seed: int = 0) -> Any:
    """The Keras model, seeded."""
    from tensorflow import keras

    keras.utils.set_random_seed(seed)
    model = network(int(windows.y.max()) + 1)
    steps = epochs * -(-len(windows.y) // BATCH)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps))
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(windows.x, windows.y, batch_size=BATCH, epochs=epochs, verbose=0)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("windows", type=Path, help=".npz of the windows")
    parser.add_argument("output", type=Path, help=".keras to write")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    before, after = split(load(given.windows))
    model = trained(before, given.epochs, given.seed)
    model.save(given.output)
    _, accuracy = model.evaluate(after.x, after.y, verbose=0)
    print(f"wrote {given.output}: {accuracy:.1%} of what the same subjects did later")


if __name__ == "__main__":
    main()
