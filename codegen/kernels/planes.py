"""Depthwise convolution a channel at a time: its input, with what lies around it, is copied to a plane first.

Where a plane would be too large, some rows of the output at a time: the rows that two strips share are moved.
"""

from __future__ import annotations

import numpy as np

from driftc.codegen.kernels.walk import Walk
from driftc.codegen.operators.convolution.depthwise_conv_2d import DepthwiseConv2D


def plane_rows(op: DepthwiseConv2D, rows: int) -> int:
    """Rows of the plane from which `rows` rows of the output come."""
    return (rows - 1) * op.stride[0] + (op.kernel[0] - 1) * op.dilation[0] + 1


def plane_width(op: DepthwiseConv2D) -> int:
    return (op.outputs[0].hwc[1] - 1) * op.stride[1] + (op.kernel[1] - 1) * op.dilation[1] + 1


def strip_of(op: DepthwiseConv2D, rows: int, most: int) -> int:
    """Rows of the output that are made at a time, of `rows` in all, so that a plane has at most `most` rows."""
    fit = max((most - plane_rows(op, 1)) // op.stride[0] + 1, 1)
    return -(-rows // -(-rows // fit))


def plane_walk(op: DepthwiseConv2D, strip: int) -> Walk:
    """Channel by channel, strip by strip, each read before it is written; a row is read once."""
    height, width, channels = op.inputs[0].hwc
    rows, pixels, _ = op.outputs[0].hwc
    strips = -(-rows // strip)
    last = np.arange(1, strips + 1) * strip * op.stride[0] + plane_rows(op, 1) - op.stride[0] - op.padding[0]
    loaded = np.minimum(np.searchsorted(last, np.arange(height), side="right"), strips - 1)
    read = loaded[:, None, None] + strips * np.arange(channels)
    made = np.arange(rows)[:, None, None] // strip
    written = made + strips * (np.arange(op.channels) // op.multiplicity)
    return Walk(
        (np.broadcast_to(read, (height, width, channels)).astype(np.int64),),
        (np.broadcast_to(written, (rows, pixels, op.channels)).astype(np.int64),),
    )
