"""A DS-CNN for spoken digits, batch normalisation intact, trained on the Free Spoken Digit Dataset in minutes.

    python examples/ds_cnn_fsdd.py fsdd_8k_int16.npz ds_cnn.keras --samples calibration.npz
    driftc compile ds_cnn.keras --calibrate calibration.npz --adapt --augment spectrum

The file holds recordings back to back: int16 `audio` at 8 kHz, `offset` [n + 1], `digit`, `speaker` and `take` [n],
and the names `speakers`. Two of the six speakers are not trained on, nor are the first `HELD_OUT` takes of the others.
The network takes log-mel spectra (logmel.py), level and all. Needs `tensorflow`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from logmel import BANDS, FRAMES, RATE, SAMPLES, Sound, logmel
from numpy.typing import NDArray

UNSEEN = ("theo", "yweweler")  # speakers; the other four are trained on
HELD_OUT = 16  # takes 0..15 of every digit and speaker
DIGITS = 10
CHANNELS, BLOCKS = 40, 3
EPOCHS, BATCH, RATE_START = 30, 32, 4e-3
SHIFT = RATE // 10  # samples by which an utterance is moved while training, at most

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Utterances:
    """`sound` float32 [n, SAMPLES], full scale -1..1; `speech` [n]: samples of it that were recorded, in the middle."""

    sound: Sound
    speech: Indices
    digit: Indices
    speaker: NDArray[np.str_]
    take: Indices

    def __getitem__(self, chosen: Any) -> Utterances:
        return Utterances(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.digit)


def load(path: Path) -> Utterances:
    """Each recording in the middle of a second of silence; of longer ones the middle."""
    with np.load(path) as file:
        audio, offset, names = file["audio"], file["offset"].astype(np.int64), file["speakers"]
        digit, speaker, take = (file[name].astype(np.int64) for name in ("digit", "speaker", "take"))
    sound = np.zeros((len(digit), SAMPLES), np.float32)
    for row, start, end in zip(sound, offset[:-1], offset[1:], strict=True):
        spare = SAMPLES - (end - start)
        start, end = start + max(-spare // 2, 0), end - max(-spare - -spare // 2, 0)
        first = max(spare // 2, 0)
        row[first : first + end - start] = audio[start:end] / np.float32(32768)
    return Utterances(sound, np.minimum(np.diff(offset), SAMPLES), digit, names[speaker], take)


def trained_on(every: Utterances) -> Utterances:
    return every[~np.isin(every.speaker, UNSEEN) & (every.take >= HELD_OUT)]


def network(spectra: NDArray[np.float32]) -> Any:
    """The Keras model, untrained, but it knows mean and spread of `spectra` [n, FRAMES, BANDS, 1]."""
    from tensorflow import keras

    layers = keras.layers

    def normalised(x: Any, name: str) -> Any:
        return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x))

    inputs = keras.Input((FRAMES, BANDS, 1), name="logmel")
    x = layers.Rescaling(1 / spectra.std(), -spectra.mean() / spectra.std(), name="scaled")(inputs)
    x = layers.Conv2D(CHANNELS, (10, 4), strides=2, padding="same", use_bias=False, name="conv")(x)
    x = normalised(x, "conv")
    for block in range(1, BLOCKS + 1):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"depthwise_{block}")(x)
        x = normalised(x, f"depthwise_{block}")
        x = layers.Conv2D(CHANNELS, 1, use_bias=False, name=f"pointwise_{block}")(x)
        x = normalised(x, f"pointwise_{block}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    return keras.Model(inputs, layers.Dense(DIGITS, activation="softmax", name="digit")(x))


def moved(sound: Sound, random: np.random.Generator) -> Sound:
    """Each earlier or later by up to SHIFT samples, silence behind it."""
    padded = np.pad(sound, ((0, 0), (SHIFT, SHIFT)))
    starts = random.integers(0, 2 * SHIFT + 1, len(sound))
    return np.stack([row[start : start + SAMPLES] for row, start in zip(padded, starts, strict=True)])


def trained(every: Utterances, epochs: int = EPOCHS, seed: int = 0) -> Any:
    """The Keras model, trained on all of these utterances; the same for the same seed."""
    from tensorflow import keras

    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    model = network(logmel(every.sound))
    steps = -(-len(every) // BATCH) * epochs
    rate = keras.optimizers.schedules.CosineDecay(RATE_START, steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    for epoch in range(epochs):
        spectra = logmel(moved(every.sound, random))
        found = model.fit(spectra, every.digit, BATCH, epochs=1, verbose=0)
        print(f"epoch {epoch + 1} of {epochs}: loss {found.history['loss'][0]:.3f}", flush=True)
    return model


def accuracy(model: Any, these: Utterances) -> float:
    return float((model.predict(logmel(these.sound), verbose=0).argmax(axis=1) == these.digit).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, help=".npz of recordings")
    parser.add_argument("output", type=Path, help=".keras to write")
    parser.add_argument("--samples", type=Path, help=".npz to write: the spectra that were trained on")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    every = load(given.recordings)
    training = trained_on(every)
    model = trained(training, given.epochs)
    model.save(given.output)
    if given.samples is not None:
        np.savez(given.samples, x=logmel(training.sound))
    known = ~np.isin(every.speaker, UNSEEN)
    print(f"held-out takes of the speakers trained on: {accuracy(model, every[known & (every.take < HELD_OUT)]):.1%}")
    print(f"speakers not trained on: {accuracy(model, every[~known]):.1%}")
    print(f"wrote {given.output}")


if __name__ == "__main__":
    main()
