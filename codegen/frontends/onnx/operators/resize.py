"""Images of another size: which pixels ONNX takes, in TFLite's terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.frontends.axes.value import Value
from driftc.codegen.frontends.onnx.node import Node
from driftc.codegen.frontends.onnx.walk import operator
from driftc.codegen.operators.resize.resize import LARGEST

Places = NDArray[np.float64]
# Where point i of the output lies in the input: of i, the scale, and how many points both have.
COORDINATES: Mapping[str, Callable[[Places, float, int, int], Places]] = {
    "align_corners": lambda i, scale, n, m: i * ((n - 1) / (m - 1) if m > 1 else 0.0),
    "asymmetric": lambda i, scale, n, m: i / scale,
    "half_pixel": lambda i, scale, n, m: (i + 0.5) / scale - 0.5,
    "half_pixel_symmetric": lambda i, scale, n, m: (n - n * (m / (n * scale))) / 2 + (i + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda i, scale, n, m: (i + 0.5) / scale - 0.5 if m > 1 else 0.0 * i,
    "tf_half_pixel_for_nn": lambda i, scale, n, m: (i + 0.5) / scale,
}
ROUNDED: Mapping[str, Callable[[Places], Places]] = {
    "ceil": np.ceil,
    "floor": np.floor,
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
}
GRIDS: Mapping[str, dict[str, bool]] = {
    "align_corners": {"align_corners": True},
    "asymmetric": {},
    "half_pixel": {"half_pixel_centers": True},
    "half_pixel_symmetric": {"half_pixel_centers": True},
    "pytorch_half_pixel": {"half_pixel_centers": True},
}


@operator("Resize", "Upsample")
def resize(node: Node) -> Value:
    """Nearest or linear, of rows and pixels."""
    x, mode = node.value(0), node.attribute("mode", b"nearest").decode()
    if mode not in ("nearest", "linear") or node.attribute("antialias", 0):
        node.refuse(f"mode '{mode}', or with antialias; driftc reads 'nearest' and 'linear'")
    size, scales = _sizes(node, x)
    if not all(0 < n <= LARGEST for n in size):
        node.refuse(f"resizes to {size}; driftc makes 1 to {LARGEST} of an axis")
    old = node.kind == "Upsample"
    grid = "asymmetric" if old else node.attribute("coordinate_transformation_mode", b"half_pixel").decode()
    if grid not in COORDINATES or (mode == "linear" and grid not in GRIDS):
        node.refuse(f"coordinates '{grid}' of mode '{mode}'; driftc reads {', '.join(COORDINATES)} (the last: nearest)")
    axes = list(zip(scales, x.shape[2:], size, strict=True))
    if mode == "nearest":
        name = "floor" if old else node.attribute("nearest_mode", b"round_prefer_floor").decode()
        if name not in ROUNDED:
            node.refuse(f"nearest_mode '{name}'; driftc reads {', '.join(ROUNDED)}")
        found = [ROUNDED[name](COORDINATES[grid](np.arange(m, dtype=np.float64), s, n, m)) for s, n, m in axes]
        places = [np.clip(taken, 0, n - 1).astype(np.int64) for taken, (_, n, _) in zip(found, axes, strict=True)]
        return node.to.nearest(node.label, x, places)
    if grid != "align_corners" and any(abs(s * n - m) > 1e-3 for s, n, m in axes):
        node.refuse(f"scales {scales} do not make {size} of {list(x.shape[2:])} exactly; give sizes, or whole scales")
    if grid == "pytorch_half_pixel" and any(m == 1 < n for _, n, m in axes):
        node.refuse("makes one row or pixel of several; driftc reads that with align_corners or half_pixel")
    return node.to.resize(node.label, x, size, bilinear=True, **GRIDS[grid])


def _sizes(node: Node, x: Value) -> tuple[list[int], list[float]]:
    """Rows and pixels of what Resize and Upsample give, and the scale of each."""
    last = len(node.inputs) - 1
    sizes = node.integers(3, "sizes") if last == 3 else None
    scales: Any = node.attribute("scales", None)
    if sizes is None and scales is None:
        scales = node.constant(1 if node.kind == "Upsample" else min(last, 2)).reshape(-1)
    axes = [int(n) % x.rank for n in node.attribute("axes", range(x.rank))]
    found, factors = list(x.shape), [1.0] * x.rank
    for place, axis in enumerate(axes):
        n = x.shape[axis]
        found[axis] = sizes[place] if sizes is not None else int(np.floor(n * np.float32(scales[place])))
        factors[axis] = found[axis] / n if sizes is not None else float(scales[place])
    if found[:2] != list(x.shape[:2]) or node.attribute("keep_aspect_ratio_policy", b"stretch") != b"stretch":
        node.refuse(f"resizes {list(x.shape)} to {found}; driftc reads rows and pixels, each to its own size")
    return found[2:], factors[2:]
