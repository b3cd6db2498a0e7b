"""No map and no learning rate that META_UPDATE admits lets a product overflow int64."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from learning_models import adapts

from driftc.codegen.errors import ModelError
from driftc.codegen.operators.learn.meta import UNITY
from driftc.codegen.operators.learn.meta_update import LARGEST_EXPONENT, LARGEST_GAIN, MetaUpdate


def update_of(folder: Path) -> MetaUpdate:
    learned = adapts(folder).lowered.learned
    assert learned is not None
    return next(op for op in learned.graph.operators if isinstance(op, MetaUpdate))


@pytest.mark.parametrize("shift", [28, 33, 41, 42, 50])
def test_the_largest_map(tmp_path: Path, shift: int) -> None:
    """At the bound the largest values there are move a gain to the end that they point to; beyond it is refused."""
    left = max(LARGEST_EXPONENT - shift, 0)
    pixels = ((1 << 62) - 1 >> 14 + left) // (255 * 32767)
    operator = replace(update_of(tmp_path), pixels=pixels, gain=(32767, shift))
    operator.check()
    with pytest.raises(ModelError, match=f"a map of {pixels + 1} values and so high a learning rate.*--learn-rate"):
        replace(operator, pixels=pixels + 1).check()
    for sign, ended in ((1, -LARGEST_GAIN), (-1, LARGEST_GAIN - 1)):
        given = [np.zeros(tensor.shape, np.int64) for tensor in operator.inputs]
        given[0][:] = UNITY
        given[2][:] = min(255 * pixels, 2**31 - 1)
        given[3][:] = sign * (2**31 - 1)
        given[4][:] = 25, 1
        gains = operator.spec(*given)[0]
        assert np.all(gains == ended)
