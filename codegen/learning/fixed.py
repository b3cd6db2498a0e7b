"""Real factors as integers and a shift."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mantissas(real: NDArray[np.float64], most: int) -> tuple[NDArray[np.int32], int]:
    """Positive numbers as int32 below 2^15 with one right shift, 1 to `most`. Raises ValueError out of range."""
    shift = 15 - int(np.frexp(real.max())[1])
    if not shift >= 1:
        raise ValueError(f"{real.max():g} is too large")
    shift = min(shift, most)
    found = np.rint(real * 2.0**shift)
    if found.max() >= 1 << 15:
        shift -= 1
        found = np.rint(real * 2.0**shift)
    if found.min() < 1 or shift < 1:
        raise ValueError(f"{real.min():g} is too small")
    return found.astype(np.int32), shift
