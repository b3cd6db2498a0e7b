"""What moves elements and computes nothing."""

from __future__ import annotations

from typing import Any

from driftc.codegen.frontends.keras.walk import Walk, layer, pair, values
from driftc.codegen.tensor import Tensor

AUGMENTATIONS = (
    *("Brightness", "ColorDegeneration", "ColorJitter", "Contrast", "ElasticTransform", "Erasing", "Flip"),
    *("GaussianBlur", "Grayscale", "Hue", "Invert", "Perspective", "Posterization", "Rotation", "Saturation"),
    *("Sharpness", "Shear", "Translation", "Zoom"),
)


@layer(
    "ActivityRegularization",
    "AlphaDropout",
    "AugMix",
    "CutMix",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "MixUp",
    "RandAugment",
    "SpatialDropout1D",
    "SpatialDropout2D",
    *(f"Random{kind}" for kind in AUGMENTATIONS),
)
def only_in_training(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return x


@layer("ZeroPadding1D", "ZeroPadding2D")
def zero_padding(walk: Walk, of: Any, x: Tensor) -> Tensor:
    amounts = of.padding if len(x.shape) == 4 else [of.padding]
    return walk.builder.pad(of.name, x, ((0, 0), *(pair(amount) for amount in amounts), (0, 0)))


@layer("Cropping1D", "Cropping2D")
def cropping(walk: Walk, of: Any, x: Tensor) -> Tensor:
    amounts = of.cropping if len(x.shape) == 4 else [of.cropping]
    inner = [range(a, n - b) for (a, b), n in zip(amounts, x.shape[1:-1], strict=True)]
    return walk.builder.slice(of.name, x, [range(1), *inner, range(x.shape[-1])])


@layer("CenterCrop")
def center_crop(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Of images that are at least as large."""
    starts = [(n - wanted) // 2 for n, wanted in zip(x.shape[1:3], (of.height, of.width), strict=True)]
    if min(starts) < 0:
        walk.refuse(of, f"crops {list(x.shape[1:3])} to {of.height} x {of.width}")
    inner = [range(first, first + n) for first, n in zip(starts, (of.height, of.width), strict=True)]
    return walk.builder.slice(of.name, x, [range(1), *inner, range(x.shape[3])])


@layer("UpSampling1D")
def up_sampling_1d(walk: Walk, of: Any, x: Tensor) -> Tensor:
    steps, channels = x.shape[1:]
    image = walk.builder.reshape(f"{of.name}/image", x, (1, 1, steps, channels))
    y = walk.builder.resize(of.name, image, (1, steps * int(of.size)), half_pixel_centers=True)
    return walk.builder.reshape(f"{of.name}/steps", y, (1, *y.shape[2:]))


@layer("UpSampling2D")
def up_sampling_2d(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Interpolated 'nearest' or 'bilinear'."""
    rows, pixels = pair(of.size)
    return _resized(walk, of, x, (x.shape[1] * rows, x.shape[2] * pixels))


@layer("Resizing")
def resizing(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Interpolated 'nearest' or 'bilinear', without keeping the aspect ratio."""
    if of.crop_to_aspect_ratio or getattr(of, "pad_to_aspect_ratio", False):
        walk.refuse(of, "keeps the aspect ratio, which driftc does not read: resize without it")
    if getattr(of, "antialias", False):
        walk.refuse(of, "antialias is not supported")
    return _resized(walk, of, x, (int(of.height), int(of.width)))


def _resized(walk: Walk, of: Any, x: Tensor, size: tuple[int, int]) -> Tensor:
    if of.interpolation not in ("nearest", "bilinear"):
        walk.refuse(of, f"interpolation '{of.interpolation}'; driftc reads 'nearest' and 'bilinear'")
    bilinear = of.interpolation == "bilinear"
    return walk.builder.resize(of.name, x, size, bilinear=bilinear, half_pixel_centers=True)


@layer("RepeatVector")
def repeat_vector(walk: Walk, of: Any, x: Tensor) -> Tensor:
    row = walk.builder.reshape(f"{of.name}/row", x, (1, 1, x.shape[1]))
    return walk.builder.tile(of.name, row, (1, int(of.n), 1))


@layer("Flatten")
def flatten(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.reshape(of.name, x, (1, -1))


@layer("Reshape")
def reshape(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.reshape(of.name, x, (1, *of.target_shape))


@layer("Permute")
def permute(walk: Walk, of: Any, x: Tensor) -> Tensor:
    return walk.builder.transpose(of.name, x, (0, *of.dims))


@layer("Embedding")
def embedding(walk: Walk, of: Any, x: Tensor) -> Tensor:
    """Of an input of the model, which is int32 then."""
    return walk.builder.look_up(of.name, x, values(of.embeddings))
