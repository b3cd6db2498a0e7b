"""Frameworks that put channels first: their axes on one side, NHWC on the other. Shared by ONNX and PyTorch."""

from __future__ import annotations

from driftc.codegen.frontends.axes.einsum import Einsum
from driftc.codegen.frontends.axes.normalization import Normalization

__all__ = ["ChannelsFirst"]


class ChannelsFirst(Einsum, Normalization):
    """The operators of FloatBuilder in the framework's axes."""
