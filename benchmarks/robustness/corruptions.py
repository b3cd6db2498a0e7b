"""The common corruptions of Hendrycks and Dietterich (2019) for 32 x 32 images, severities 1 to 5.

Parameters are those published for CIFAR-10-C, the implementation is driftc's own: figures are near those of CIFAR-10-C
and not the same (resampling, motion blur and rounding differ in detail). frost needs photographs that are not here:
saturate, one of the paper's extra kinds, takes its place. Every function takes and gives float64 [H, W, 3] in 0..1 and
a seeded generator.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]
Random = np.random.Generator
AUGMENTED = ("gaussian_noise", "defocus_blur", "brightness", "contrast")  # kinds near those that are fitted on


def corrupted(images: NDArray[np.uint8], kind: str, severity: int, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 [n, H, W, 3] with corruption `kind` at `severity` 1..5; each image has a generator of its own."""
    function, levels = KINDS[kind]
    found = np.empty_like(images)
    for number, image in enumerate(images):
        random = np.random.default_rng((seed, severity, number))
        result = function(image / 255.0, random, levels[severity - 1])
        found[number] = np.clip(np.rint(result * 255), 0, 255)
    return found


def _gaussian_noise(x: Image, random: Random, c: float) -> Image:
    return x + random.normal(0, c, x.shape)


def _shot_noise(x: Image, random: Random, c: float) -> Image:
    return random.poisson(x * c) / c


def _impulse_noise(x: Image, random: Random, c: float) -> Image:
    hit = random.random(x.shape)
    return np.where(hit < c / 2, 0.0, np.where(hit < c, 1.0, x))


def _disk(radius: float, alias: float) -> Image:
    """A disk, smoothed a little, as the defocus kernel."""
    from scipy.ndimage import gaussian_filter

    size = 3 if radius <= 8 else 5
    reach = np.arange(-8, 9) if radius <= 8 else np.arange(-int(radius), int(radius) + 1)
    a, b = np.meshgrid(reach, reach)
    kernel = (a**2 + b**2 <= radius**2).astype(np.float64)
    smooth = gaussian_filter(kernel / kernel.sum(), sigma=alias, truncate=(size // 2) / alias)
    return np.asarray(smooth / smooth.sum())


def _defocus_blur(x: Image, random: Random, c: tuple[float, float]) -> Image:
    from scipy.ndimage import convolve

    return np.stack([convolve(x[..., n], _disk(*c), mode="mirror") for n in range(3)], axis=-1)


def _glass_blur(x: Image, random: Random, c: tuple[float, int, int]) -> Image:
    from scipy.ndimage import gaussian_filter

    sigma, delta, turns = c
    x = np.asarray(gaussian_filter(x, (sigma, sigma, 0)))
    height, width = x.shape[:2]
    for _ in range(turns):
        for row in range(height - delta, delta, -1):
            for column in range(width - delta, delta, -1):
                dx, dy = random.integers(-delta, delta, 2)
                other = row + dy, column + dx
                if other[0] < height and other[1] < width and row < height and column < width:
                    x[row, column] = x[other]  # as published: its swap of views copies the neighbour over both
    return np.asarray(gaussian_filter(x, (sigma, sigma, 0)))


def _motion_blur(x: Image, random: Random, c: tuple[int, float], turned: float = 0.0) -> Image:
    """Along a line at a random angle around `turned` degrees, weights falling off as ImageMagick's."""
    from scipy.ndimage import shift

    radius, sigma = c
    angle = np.deg2rad(turned + random.uniform(-45, 45))
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    moved = (shift(x, (s * np.sin(angle), s * np.cos(angle), 0), order=1, mode="nearest") for s in steps)
    return np.asarray(sum(w * m for w, m in zip(weights, moved, strict=True)))


def _zoomed(x: Image, factor: float) -> Image:
    from scipy.ndimage import zoom

    size = x.shape[0]
    kept = int(np.ceil(size / factor))
    top = (size - kept) // 2
    large = zoom(x[top : top + kept, top : top + kept], (factor, factor, 1), order=1)
    trim = (large.shape[0] - size) // 2
    return np.asarray(large[trim : trim + size, trim : trim + size])


def _zoom_blur(x: Image, random: Random, c: tuple[float, ...]) -> Image:
    return np.asarray((x + sum(_zoomed(x, factor) for factor in c)) / (len(c) + 1))


def _plasma(size: int, decay: float, random: Random) -> Image:
    """A square of fractal noise in 0..1 by the diamond-square algorithm; `size` is a power of two."""
    field = np.zeros((size, size))
    step, wild = size, 100.0
    while step >= 2:
        half = step // 2
        corners = field[0:size:step, 0:size:step]
        sums = corners + np.roll(corners, -1, 0)
        sums += np.roll(sums, -1, 1)
        field[half:size:step, half:size:step] = sums / 4 + wild**2 * random.uniform(-1, 1, sums.shape)
        centres = field[half:size:step, half:size:step]
        corners = field[0:size:step, 0:size:step]
        across = corners + np.roll(corners, -1, 1) + centres + np.roll(centres, 1, 0)
        field[0:size:step, half:size:step] = across / 4 + wild**2 * random.uniform(-1, 1, across.shape)
        down = corners + np.roll(corners, -1, 0) + centres + np.roll(centres, 1, 1)
        field[half:size:step, 0:size:step] = down / 4 + wild**2 * random.uniform(-1, 1, down.shape)
        step, wild = half, wild / decay
    field -= field.min()
    return np.asarray(field / field.max())


def _fog(x: Image, random: Random, c: tuple[float, float]) -> Image:
    most = x.max()
    thick = x + c[0] * _plasma(32, c[1], random)[: x.shape[0], : x.shape[1], None]
    return np.asarray(thick * most / (most + c[0]))


def _snow(x: Image, random: Random, c: tuple[float, float, float, float, int, float, float]) -> Image:
    mean, deviation, factor, threshold, radius, sigma, share = c
    flakes = _zoomed(np.repeat(random.normal(mean, deviation, x.shape[:2])[..., None], 3, axis=-1), factor)
    flakes = np.clip(np.where(flakes < threshold, 0.0, flakes), 0, 1)
    flakes = _motion_blur(flakes, random, (radius, sigma), -90.0)
    grey = x @ np.array([0.299, 0.587, 0.114])
    pale = share * x + (1 - share) * np.maximum(x, grey[..., None] * 1.5 + 0.5)
    return np.asarray(pale + flakes + np.rot90(flakes, 2))


def _hsv(x: Image, change: Callable[[Image], Image]) -> Image:
    from matplotlib.colors import hsv_to_rgb, rgb_to_hsv

    return np.asarray(hsv_to_rgb(np.clip(change(rgb_to_hsv(np.clip(x, 0, 1))), 0, 1)))


def _brightness(x: Image, random: Random, c: float) -> Image:
    return _hsv(x, lambda hsv: hsv + np.array([0, 0, c]))


def _saturate(x: Image, random: Random, c: tuple[float, float]) -> Image:
    return _hsv(x, lambda hsv: hsv * np.array([1, c[0], 1]) + np.array([0, c[1], 0]))


def _contrast(x: Image, random: Random, c: float) -> Image:
    mean = x.mean(axis=(0, 1), keepdims=True)
    return np.asarray((x - mean) * c + mean)


def _elastic(x: Image, random: Random, c: tuple[float, float, float]) -> Image:
    """A random affine map of three points, then a smooth random displacement."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    height, width = x.shape[:2]
    alpha, sigma, affine = c
    centre, reach = np.array([height, width]) // 2, min(height, width) // 3
    points = np.array([centre + reach, [centre[0] + reach, centre[1] - reach], centre - reach], np.float64)
    moved = points + random.uniform(-affine, affine, points.shape)
    rows = np.column_stack([moved, np.ones(3)])
    matrix = np.linalg.solve(rows, points)  # from the result back to the source
    y, xs = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    flat = np.column_stack([y.ravel(), xs.ravel(), np.ones(height * width)])
    source = (flat @ matrix).T.reshape(2, height, width)
    for axis in range(2):
        wild = gaussian_filter(random.uniform(-1, 1, (height, width)), max(sigma, 1e-3), mode="reflect", truncate=3)
        source[axis] += wild * alpha
    return np.stack([map_coordinates(x[..., n], source, order=1, mode="reflect") for n in range(3)], axis=-1)


def _pixelate(x: Image, random: Random, c: float) -> Image:
    from PIL import Image as Pillow

    size = int(x.shape[1] * c), int(x.shape[0] * c)
    small = Pillow.fromarray((np.clip(x, 0, 1) * 255).astype(np.uint8)).resize(size, Pillow.Resampling.BOX)
    return np.asarray(small.resize((x.shape[1], x.shape[0]), Pillow.Resampling.NEAREST), np.float64) / 255


def _jpeg(x: Image, random: Random, c: int) -> Image:
    from PIL import Image as Pillow

    stored = io.BytesIO()
    Pillow.fromarray((np.clip(x, 0, 1) * 255).astype(np.uint8)).save(stored, "JPEG", quality=c)
    return np.asarray(Pillow.open(stored), np.float64) / 255


def _steps(stop: float) -> tuple[float, ...]:
    return tuple(float(factor) for factor in np.arange(1, stop, 0.01))


KINDS: dict[str, tuple[Callable[..., Image], tuple[object, ...]]] = {
    "gaussian_noise": (_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": (_shot_noise, (500, 250, 100, 75, 50)),
    "impulse_noise": (_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus_blur": (_defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))),
    "glass_blur": (_glass_blur, ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))),
    "motion_blur": (_motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))),
    "zoom_blur": (_zoom_blur, tuple(_steps(stop) for stop in (1.06, 1.11, 1.16, 1.21, 1.26))),
    "snow": (
        _snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    "saturate": (_saturate, ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))),
    "fog": (_fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    "brightness": (_brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (_contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "elastic": (_elastic, ((0, 0, 2.56), (1.6, 6.4, 2.24), (2.56, 1.92, 1.92), (3.2, 1.28, 1.6), (3.2, 0.96, 0.96))),
    "pixelate": (_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg": (_jpeg, (80, 65, 58, 50, 40)),
}
