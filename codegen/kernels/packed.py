"""Orders in which kernels of convolutions keep weights in flash, and in which CONV_ERRORS reads the same arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from driftc.codegen.kernels.dsp.twins import order_of, twins
from driftc.codegen.kernels.mve.vectors import packed
from driftc.codegen.tensor import Array

FILTERS = 4  # at once, in all but the plain order


def _blocked(rows: Array) -> Array:
    return np.ascontiguousarray(rows.reshape(-1, FILTERS, rows.shape[1]).transpose(0, 2, 1))


def _twins(rows: Array) -> Array:
    return twins(rows.astype(np.int64), order_of((rows.shape[1],)))


def _vectors(rows: Array) -> Array:
    return packed(rows, (rows.shape[1],))


# Name -> the order, of filters in rows, and what the channels that a filter reads must divide by.
ORDERS: dict[str, tuple[Callable[[Array], Array], int]] = {
    "blocked": (_blocked, 4),
    "twins": (_twins, 4),
    "vectors": (_vectors, 16),
}


def in_order(order: str, filters: Array) -> Array | None:
    """int8 [O, rows, pixels, D] as a kernel of this order has them; None where it is none for such filters."""
    if order == "plain":
        return filters
    make, divisor = ORDERS[order]
    if filters.shape[0] % FILTERS or filters.shape[3] % divisor:
        return None
    return make(filters.reshape(len(filters), -1))
