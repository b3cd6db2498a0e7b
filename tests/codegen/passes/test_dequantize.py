"""Constants as the reals that they stand for; scales that are of another tensor are refused (found by the fuzzer)."""

from __future__ import annotations

import numpy as np
import pytest

from driftc.codegen.errors import ModelError
from driftc.codegen.passes.dequantize import dequantized
from driftc.codegen.tensor import Quantization, Tensor


def weights(scale: list[float], axis: int | None) -> Tensor:
    data = np.array([[1, -2], [100, 4], [0, 127]], np.int8)
    quantization = Quantization(np.array(scale, np.float32), np.zeros(len(scale), np.int64), axis)
    return Tensor("w", data.shape, data.dtype, quantization, data, "weights")


def test_real_values_along_an_axis() -> None:
    assert dequantized(weights([0.5], None)).data.tolist() == [[0.5, -1], [50, 2], [0, 63.5]]  # type: ignore[union-attr]
    assert dequantized(weights([1, 2, 4], 0)).data.tolist() == [[1, -2], [200, 8], [0, 508]]  # type: ignore[union-attr]
    assert dequantized(weights([1, 2], 1)).data.tolist() == [[1, -4], [100, 8], [0, 254]]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("scale", "axis", "said"),
    [
        ([1, 2], 0, r"'weights': has 2 scales along axis 0 of \[3, 2\]"),
        ([1, 2], 5, r"has 2 scales along axis 5"),
        ([1, 2], -1, r"has 2 scales along axis -1"),
        ([3.4e38], None, "stands for values that no float32 holds"),
    ],
)
def test_scales_of_another_tensor(scale: list[float], axis: int | None, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        dequantized(weights(scale, axis))
