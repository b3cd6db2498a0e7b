"""A classifier of motion from an accelerometer alone, made in seconds, without TensorFlow; run on a recorded file.

    python examples/motion.py uci_har_test.npz [FOLDER]        (default: build/motion)

The file is that of har_cnn.py. Of its channels the total acceleration is taken, as one cheap sensor gives it: windows
of 128 samples at 50 Hz. The network is three convolutions with random filters whose last layer is fitted to `SUBJECTS`
by least squares; the recording is of somebody else.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from apps import host_program, output
from har_cnn import Windows, load
from keywords import classifier
from models import CalibratedBuilder, Node
from numpy.typing import NDArray

import driftc

NAMES = ("walking", "upstairs", "downstairs", "sitting", "standing", "lying")
SUBJECTS = (2, 4, 9, 10, 12, 13, 18, 20)  # trained on
WEARER = 24  # of the recording
LENGTH = 24  # windows of each activity in it


def network(windows: Windows, seed: int = 1) -> bytes:
    """The .tflite file; its input is [1, 128, 1, 3] in g."""
    net = CalibratedBuilder(seed)
    x = windows.x[:, :, None, 6:].astype(float)
    low, high = float(x.min()), float(x.max())
    scale = (high - low) / 255
    node = Node(net.model.input("acceleration", (1, 128, 1, 3), scale=scale, zero_point=round(-128 - low / scale)), x)
    node = net.conv_2d(node, 32, (7, 1), stride=(2, 1), name="conv_1")
    node = net.conv_2d(node, 48, (5, 1), stride=(2, 1), name="conv_2")
    node = net.conv_2d(node, 64, (5, 1), stride=(2, 1), name="conv_3")
    node = net.average_pool_2d(node, (8, 1), name="pool")
    return net.build(classifier(net, node, windows.y, len(NAMES), "activity"))


def recording(windows: Windows) -> tuple[NDArray[np.int16], list[str]]:
    """Thousandths of g [samples, 3] of one activity after the other, and which. Windows overlap by half."""
    parts, names = [], []
    for activity in (3, 0, 1, 5):
        found = windows.x[windows.y == activity][:LENGTH, :, 6:]
        parts += [window[:64] for window in found[:-1]] + [found[-1]]
        names.append(NAMES[activity])
    return np.rint(np.concatenate(parts) * 1000).astype(np.int16), names


def make(windows: Windows, folder: Path) -> list[str]:
    """The compiled network in FOLDER/motion, FOLDER/recording.raw, and what is done in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "motion.tflite").write_bytes(network(windows[np.isin(windows.subject, SUBJECTS)]))
    driftc.compile(folder / "motion.tflite", class_names=NAMES, measure=False).write(folder / "motion")
    samples, names = recording(windows[windows.subject == WEARER])
    (folder / "recording.raw").write_bytes(samples.astype("<i2").tobytes())
    return names


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for path in sys.argv[1:2]:
        if not Path(path).exists():
            sys.exit(f"{path}: no such file")
    default = Path(__file__).resolve().parents[1] / "build" / "motion"
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else default
    names = make(load(Path(sys.argv[1])), folder)
    program = host_program(Path(__file__).parent / "motion", folder / "motion", folder)
    print("recorded:", ", ".join(names))
    print("heard:   ", ", ".join(output(program, (folder / "recording.raw").read_bytes()).split()))


if __name__ == "__main__":
    main()
