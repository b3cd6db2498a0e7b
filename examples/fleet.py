"""Ten devices behind worse and worse cameras, and one server that learns from what they send up.

    python examples/fleet.py [FOLDER] [--broker HOST[:PORT]] [--rounds 3] [--uploads 24] [--epochs 8]

Shapes are drawn; a small network learns them and is compiled with --adapt calibrated and --upload, a larger one is the
teacher. Each device looks through its own camera, the first through a good one: less contrast, a cast, blur and noise
in ten steps. A round: every device sends --uploads images up, the server learns from all of them and sends one signed
update, which the devices check and take. The devices are the generated C, on this machine. Uploads and packets are
files in FOLDER (default: build/fleet), or go through the MQTT broker, for instance one that `mosquitto -p 1883` has
started. Needs the extras keras, elastic and plot, and a C compiler or the extra sim.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import driftc
from driftc.codegen.compiled import Compiled
from driftc.codegen.elastic import packet
from driftc.codegen.elastic.given import raw, rounds_of
from driftc.codegen.elastic.server import Policy, largest_payload
from driftc.codegen.elastic.signed import key_of
from driftc.codegen.elastic.store import Store
from driftc.codegen.elastic.student import Raw, Student
from driftc.codegen.elastic.transports.folder import Folder
from driftc.codegen.elastic.transports.transport import Transport
from driftc.codegen.elastic.wire import UP, UPDATE, Topic
from driftc.codegen.errors import DriftcError
from driftc.codegen.frontends.extras import load_extra
from driftc.codegen.samples import load
from driftc.simulator.fleet.devices import Devices
from driftc.simulator.fleet.fleet import Fleet
from driftc.simulator.fleet.run import Attended, ends
from driftc.simulator.fleet.ways import Way
from driftc.simulator.shipped import Shipped

SIZE, SHAPES, DEVICES, SEED = 20, ("disk", "square", "triangle", "cross", "ring", "bars"), 10, 7

Images = NDArray[np.uint8]  # [n, SIZE, SIZE, 3]


def drawn(count: int, seed: int) -> tuple[Images, NDArray[np.int64]]:
    """Shapes of any colour, size and place on grounds of another, and which they are."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(SHAPES), count)
    y, x = np.mgrid[:SIZE, :SIZE]
    found = np.empty((count, SIZE, SIZE, 3))
    for number, label in enumerate(labels):
        size = random.uniform(4.5, 8)
        a, b = (x - random.uniform(8, 12)) / size, (y - random.uniform(8, 12)) / size
        inside = {
            "disk": a**2 + b**2 < 1,
            "square": np.maximum(abs(a), abs(b)) < 0.9,
            "triangle": (b < 0.8) & (abs(a) < (b + 1) / 1.8),
            "cross": (np.minimum(abs(a), abs(b)) < 0.3) & (np.maximum(abs(a), abs(b)) < 1),
            "ring": abs(a**2 + b**2 - 0.75) < 0.35,
            "bars": (np.maximum(abs(a), abs(b)) < 1) & (np.sin(7 * a) > 0),
        }[SHAPES[label]]
        ground, colour = random.uniform(0, 255, (2, 3))
        while abs(ground - colour).max() < 90:
            colour = random.uniform(0, 255, 3)
        found[number] = np.where(inside[..., None], colour, ground)
    return np.clip(found + random.normal(0, 6, found.shape), 0, 255).astype(np.uint8), labels.astype(np.int64)


def seen(images: Images, camera: int, seed: int = 0) -> Images:
    """Through the camera 0, a good one, to DEVICES - 1."""
    share, random = camera / (DEVICES - 1), np.random.default_rng((SEED, camera, seed))
    x = images.astype(np.float64)
    blurred = sum(np.roll(x, (dy, dx), (1, 2)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)) / 9
    x = x + 0.6 * share * (blurred - x)
    x = 128 + (1 - 0.7 * share) * (x - 128) + share * np.array([45.0, 10.0, -45.0])
    return np.clip(x + random.normal(0, 14 * share, x.shape), 0, 255).astype(np.uint8)


def trained(images: Images, labels: NDArray[np.int64], widths: tuple[int, ...], epochs: int) -> Any:
    """A Keras model of convolutions with batch normalisation."""
    from tensorflow import keras

    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    x = inputs = keras.Input((SIZE, SIZE, 3))
    for number, width in enumerate(widths):
        x = layers.Conv2D(width, 3, strides=1 + number % 2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Dense(len(SHAPES), activation="softmax")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(images.astype(np.float32), labels, epochs=epochs, batch_size=32, verbose=0)
    return model


class Files(Way):
    """The devices' end of a shared folder."""

    def __init__(self, place: Path, model_id: bytes) -> None:
        self._place, self._number, self._last = place, 0, b""
        self._update = place / str(Topic(model_id, packet.ALL_DEVICES, UPDATE))

    def post(self, topic: Topic, payload: bytes) -> None:
        path = self._place / str(topic)
        if topic.kind == UP:
            path, self._number = path / f"{self._number:08}", self._number + 1
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}")
        part.write_bytes(payload)
        part.replace(path)

    def packets(self) -> list[bytes]:
        content = self._update.read_bytes() if self._update.is_file() else self._last
        fresh, self._last = content != self._last, content
        return [content] if fresh else []

    def close(self) -> None:
        """Nothing is held."""


def plot(rows: list[list[float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for number, values in enumerate(rows):
        label = "as compiled" if number == 0 else f"after round {number}"
        axes.plot(range(1, DEVICES + 1), values, marker="o", label=label, color=str(0.75 - 0.75 * number / len(rows)))
    axes.set(xlabel="device, the last has the worst camera", ylabel="accuracy", ylim=(0, 1.02))
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def prepared(folder: Path, epochs: int) -> Compiled:
    """The networks and what the server is given, made once."""
    images, labels = drawn(3000, SEED)
    np.savez(folder / "train.npz", x=images, y=labels)
    if not (folder / "key").is_file():
        (folder / "key").write_bytes(os.urandom(32))
    if not (folder / "device").is_dir():
        trained(images, labels, (12, 16, 24), epochs).save(folder / "shapes.keras")
        trained(images, labels, (24, 32, 48, 48), epochs).save(folder / "teacher.keras")
        made = driftc.compile(
            folder / "shapes.keras",
            calibrate=folder / "train.npz",
            adapt="calibrated",
            upload="random",
            upload_share=1.0,  # all that a device sees
            upload_budget=1 << 20,
            measure=False,
        )
        made.write(folder / "device")
    return Compiled.load(folder / "device")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[1] / "build" / "fleet"
    parser.add_argument("folder", type=Path, nargs="?", default=default)
    parser.add_argument("--broker", metavar="HOST[:PORT]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--uploads", type=int, default=24, help="of each device in a round")
    parser.add_argument("--epochs", type=int, default=8)
    given = parser.parse_args()
    load_extra("matplotlib", "plot", "examples/fleet.py")  # before what takes time
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)
    compiled = prepared(folder, given.epochs)
    student = Student.of(compiled.lowered)
    key = key_of(folder / "key")

    def read(images: Images) -> Raw:
        np.savez(folder / "seen.npz", x=images)
        return raw(load(folder / "seen.npz", student.graph.inputs), student)

    place = folder / f"run-{time.strftime('%Y%m%d-%H%M%S')}"
    place.mkdir()
    way: Way = Files(place, student.model_id)
    transport: Transport = Folder(student.model_id, largest_payload(student), place)
    if given.broker is not None:
        from driftc.codegen.elastic.transports.mqtt import Broker

        transport, way = ends(student, Broker(given.broker))
    store = Store(f"sqlite:///{place / 'server.db'}", student.model_id, given.uploads)
    rounds = rounds_of(student, folder / "teacher.keras", folder / "train.npz")
    policy = Policy(given.uploads * DEVICES, seed=SEED)
    server = Attended(student, rounds, store, transport, key, policy, lambda line: print(f"  server: {line}"))
    images, labels = drawn(150, SEED + 1)
    tests = [read(seen(images, camera)) for camera in range(DEVICES)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        devices = Devices(Shipped.of(compiled.program(), None), key, student.parameters.packet_bytes, pool)
        fleet = Fleet(devices, DEVICES, student.model_id, True, SEED, way)

        def accuracy() -> list[float]:
            return [float(np.mean(decided == labels)) for decided in fleet.decisions(tests)]

        rows = [accuracy()]
        for number in range(given.rounds):
            streams = []
            for camera in range(DEVICES):
                fresh, _ = drawn(given.uploads, SEED + 100 * (number + 1) + camera)
                streams.append(read(seen(fresh, camera, number + 1)))
            fleet.see(streams)
            fleet.take(server.settle(way, fleet.traffic.uploads))
            rows.append(accuracy())
    way.close()
    server.close()
    store.close()
    print("\n" + f"{'device':>12}" + "".join(f"{n + 1:>8}" for n in range(DEVICES)) + f"{'mean':>8}")
    for number, values in enumerate(rows):
        title = "as compiled" if number == 0 else f"round {number}"
        print(f"{title:>12}" + "".join(f"{value:>8.1%}" for value in [*values, float(np.mean(values))]))
    plot(rows, folder / "fleet.png")
    print(f"\nplot: {folder / 'fleet.png'}")


if __name__ == "__main__":
    try:
        main()
    except DriftcError as problem:
        sys.exit(f"fleet: {problem}")
