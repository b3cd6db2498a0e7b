"""A network under a shift, with and without adaptation on the device: trained, compiled, run and plotted from nothing.

    python examples/under_shift.py [FOLDER] [--epochs 12] [--count 300]        (default: build/under_shift)

The words of keywords.py; a small DS-CNN with batch normalisation; a microphone that is quieter, dull and noisy, in five
steps. driftc compiles the network twice, as it is and with --adapt, and both are the generated C on the host, a word at
a time. Needs the extras sim, keras and benchmarks (matplotlib).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from keywords import BANDS, FRAMES, WORDS, utterances
from numpy.typing import NDArray

import driftc

STEPS = 5
SEED = 3

Spectra = NDArray[np.float32]  # [n, FRAMES, BANDS, 1]


def trained(spectra: Spectra, labels: NDArray[np.int64], epochs: int) -> Any:
    """The Keras model: one convolution, two depthwise separable blocks, batch normalisation behind each convolution."""
    from tensorflow import keras

    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    x = inputs = keras.Input((FRAMES, BANDS, 1))

    def normalised(x: Any) -> Any:
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))

    x = normalised(layers.Conv2D(24, (10, 4), strides=2, padding="same", use_bias=False)(x))
    for _ in range(2):
        x = normalised(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
        x = normalised(layers.Conv2D(24, 1, use_bias=False)(x))
    x = layers.Dense(len(WORDS), activation="softmax")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(spectra, labels, epochs=epochs, batch_size=32, verbose=0)
    return model


def shifted(spectra: Spectra, step: int) -> Spectra:
    """As a worse microphone gives them, 0 (as they are) to STEPS: quieter, fewer highs, a noise floor; log spectra."""
    if step == 0:
        return spectra
    random = np.random.default_rng((SEED, step))
    share = step / STEPS
    heard = spectra - 1.2 * share - 1.5 * share * np.linspace(0, 1, BANDS)[:, None]
    floor = 2.5 * (share - 1) + random.normal(0, 0.3, spectra.shape)
    return np.asarray(np.logaddexp(heard, floor), np.float32)


def accuracy(made: driftc.Compiled, folder: Path, spectra: Spectra, labels: NDArray[np.int64]) -> float:
    """Of the C on the host, a word at a time."""
    np.savez(folder / "words.npz", x=spectra)
    found = made.simulate(folder / "words.npz", engine="host")
    return float(np.mean([int(np.argmax(output[0])) for output in found.outputs] == labels))


def plot(rows: dict[str, list[float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for name, values in rows.items():
        axes.plot(range(STEPS + 1), values, marker="o", label=name)
    axes.set(xlabel="shift (0: as trained)", ylabel="accuracy", ylim=(0, 1.02))
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[1] / "build" / "under_shift"
    parser.add_argument("folder", type=Path, nargs="?", default=default)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--count", type=int, default=300, help="words that each step is tried on")
    given = parser.parse_args()
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)
    spectra, labels = utterances(2000, SEED)
    trained(spectra, labels, given.epochs).save(folder / "words.keras")
    np.savez(folder / "train.npz", x=spectra)
    print(f"in {folder}: words.keras, and train.npz with what it was trained on")
    options: dict[str, Any] = {"calibrate": folder / "train.npz", "measure": False}
    made = {
        "as it is": driftc.compile(folder / "words.keras", name="words", **options),
        "--adapt": driftc.compile(
            folder / "words.keras", name="words_adapted", adapt="calibrated", augment="spectrum", **options
        ),
    }
    clean, truth = utterances(given.count, SEED + 1)
    rows = {
        name: [accuracy(each, folder, shifted(clean, n), truth) for n in range(STEPS + 1)]
        for name, each in made.items()
    }
    print("\n" + "".join(f"{text:>10}" for text in ("shift", *rows)))
    for n in range(STEPS + 1):
        print(f"{n:>10}" + "".join(f"{values[n]:>10.1%}" for values in rows.values()))
    plot(rows, folder / "under_shift.png")
    print(f"\nplot: {folder / 'under_shift.png'}")


if __name__ == "__main__":
    main()
