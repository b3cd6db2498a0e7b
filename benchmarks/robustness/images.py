"""Images: the common corruptions on the shared CIFAR-10 data.

Split: images 0..4999 of a fixed permutation of the JPEG test set are `dev`, for tuning; `table` is the rest.
Calibration: 3,000 of the shared lossless training images; the other 1,000 are a clean set, as are ic01's 200 and the
JPEG images. frost needs photographs and is replaced by saturate.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from corruptions import AUGMENTED, KINDS, corrupted
from numpy.typing import NDArray
from task import DATA, Task

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples"))  # behind ours, for names are the same

RESNET20 = "extra_models/pytorch_cifar10"
HELD_OUT = 1000

Images = NDArray[np.uint8]


def resnet8(folder: Path) -> Path:
    """Float, seven BatchNorm layers."""
    return DATA / "mlperf_tiny/models/ic/pretrainedResnet.h5"


def folded(folder: Path) -> Path:
    """The same in int8, BatchNorm folded by somebody else."""
    return DATA / "mlperf_tiny/models/ic/pretrainedResnet_quant.tflite"


def resnet20(folder: Path) -> Path:
    """Float, 19 BatchNorm layers, as ONNX; made once and kept in `folder`."""
    path = folder / "resnet20.onnx"
    if not path.is_file():
        import onnx
        from resnet20 import resnet20 as made

        (arrays,) = (DATA / RESNET20).glob("*.npz")
        with np.load(arrays) as file:
            onnx.save(made({name.removeprefix("module."): file[name] for name in file.files}), path)
    return path


def load(model: Path, split: str, count: int, fold: int = 0) -> Task:
    """The first `count` of the split, and the clean sets; `fold`: which quarter of the lossless images is held out."""
    order = np.random.default_rng(0).permutation(10_000)
    x, y = _jpeg((order[:5000] if split == "dev" else order[5000:])[:count])
    with np.load(DATA / "cifar10/train4000_lossless.npz") as file:
        lossless, labels = file["x"], file["y"].astype(np.int64)
    kept = np.random.default_rng(1).permutation(len(lossless))
    with np.load(DATA / "mlperf_tiny/ic01/ic01.npz") as file:
        small = file["x"], file["y"].astype(np.int64)
    kept = np.roll(kept, -fold * HELD_OUT)
    held = kept[:HELD_OUT]
    return Task(
        model=model,
        calibration=lossless[kept[HELD_OUT:]],
        clean={"jpeg": (x, y), "lossless": (lossless[held], labels[held]), "ic01": small},
        shifted=lambda kind, severity: corrupted(x, kind, severity),
        kinds=tuple(KINDS),
        augmented=AUGMENTED,
        augment="image",
    )


def _jpeg(chosen: NDArray[np.int64]) -> tuple[Images, NDArray[np.int64]]:
    from PIL import Image

    with np.load(DATA / "cifar10/test_jpeg.npz") as file:
        jpeg, offset, labels = file["jpeg"], file["offset"], file["y"].astype(np.int64)
    stored = (jpeg[offset[i] : offset[i + 1]].tobytes() for i in chosen)
    return np.stack([np.asarray(Image.open(io.BytesIO(one))) for one in stored]), labels[chosen]
