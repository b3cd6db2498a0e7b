"""Images: a ResNet-8 that was trained on five classes of CIFAR-10 learns the other five."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from kept import kept
from numpy.typing import NDArray
from tasks import DATA, Draw, Int8, Task, features

import driftc

KNOWN, CLASSES = 5, 10
SAMPLES = 20  # of each new class
TRAINED, POOL, TESTED, CALIBRATION = 1200, 100, 100, 500  # of each class; calibration in all
EPOCHS, BATCH, RATE = 8, 64, 2e-3
SHAPE_OF = DATA / "mlperf_tiny/models/ic/pretrainedResnet.h5"  # MLPerf Tiny's network: its weights are not used


def images(name: str, count: int, labels: range, first: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """`count` of each class, sorted by class, of the shared file; uint8 [n, 32, 32, 3]."""
    from PIL import Image

    with np.load(DATA / "cifar10" / f"{name}_jpeg.npz") as file:
        jpeg, offset, y = file["jpeg"], file["offset"], file["y"].astype(np.int64)
    chosen = np.concatenate([np.flatnonzero(y == label)[first : first + count] for label in labels])
    stored = (jpeg[offset[i] : offset[i + 1]].tobytes() for i in chosen)
    return np.stack([np.asarray(Image.open(io.BytesIO(one))) for one in stored]), y[chosen]


def trained(x: NDArray[np.uint8], y: NDArray[np.int64], seed: int = 0) -> Any:
    """The Keras model, seeded: each image mirrored or not, and moved by up to four pixels."""
    import tensorflow as tf
    from tensorflow import keras

    keras.utils.set_random_seed(seed)
    whole = keras.models.clone_model(keras.models.load_model(SHAPE_OF, compile=False))
    pooled = whole.layers[-1].input
    model = keras.Model(whole.input, keras.layers.Dense(KNOWN, activation="softmax", name="object")(pooled))
    steps = EPOCHS * -(-len(y) // BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(RATE, steps)
    model.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy", metrics=["accuracy"])

    def moved(image: Any, label: Any) -> tuple[Any, Any]:
        padded = tf.pad(tf.cast(image, tf.float32), [[4, 4], [4, 4], [0, 0]])
        return tf.image.random_flip_left_right(tf.image.random_crop(padded, (32, 32, 3))), label

    data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(y), seed=seed).map(moved).batch(BATCH)
    model.fit(data, epochs=EPOCHS, verbose=2)
    return model


def new_objects(out: Path) -> Task:
    base, label = images("train", TRAINED, range(KNOWN))
    depends = (trained, KNOWN, EPOCHS, BATCH, RATE, SHAPE_OF, base, label)
    path = kept(out / "objects.keras", depends, lambda path: trained(base, label).save(path))
    some = np.random.default_rng(0).permutation(len(label))[:CALIBRATION]
    base, label = base[some], label[some]
    np.savez(out / "objects.npz", x=base.astype(np.float32), y=label)
    compiled = driftc.compile(
        path, calibrate=out / "objects.npz", learn="classifier", learn_classes=CLASSES,
        learn_store=SAMPLES * (CLASSES - KNOWN) * (64 + 1), measure=False,
    )  # fmt: skip

    def of(name: str, x: NDArray[np.uint8]) -> Any:
        return features(compiled, x.astype(np.float32), out / f"objects_{name}.npy")

    pool, offered = images("train", POOL, range(KNOWN, CLASSES))
    old, old_label = images("test", TESTED, range(KNOWN))
    new, new_label = images("test", TESTED, range(KNOWN, CLASSES))
    found, old_features, new_features = of("pool", pool), of("old", old), of("new", new)

    def draws(count: int) -> Iterator[Draw]:
        for number in range(count):
            random = np.random.default_rng(number)
            picked = [random.permutation(np.flatnonzero(offered == c))[:SAMPLES] for c in range(KNOWN, CLASSES)]
            chosen = random.permutation(np.concatenate(picked))
            tests = np.arange(len(old) + len(new)) + len(pool)
            yield Draw(
                found[chosen], offered[chosen], (old_features, old_label), (new_features, new_label),
                (chosen, tests[: len(old)], tests[len(old) :]),
            )  # fmt: skip

    def cuts() -> Int8:
        every = np.concatenate([pool, old, new]).astype(np.float32)
        return features(compiled, every, out / "objects_cut.npy", cut=True)

    described = f"{KNOWN} classes of CIFAR-10 learn {CLASSES - KNOWN} more, {SAMPLES} images each"
    return Task(described, compiled, out / "objects.npz", (of("known", base), label), draws, cache(cuts))
