"""Tasks one after another: what is held, and what the table tells of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from benchmark_modules import benchmark_module
from float_models import needs

pytestmark = [needs("torch", "torch"), needs("h5py", "keras"), needs("PIL", "benchmarks"), needs("scipy", "benchmarks")]


@pytest.fixture
def forgetting(monkeypatch: pytest.MonkeyPatch) -> Any:
    with benchmark_module(monkeypatch, "forgetting", "learning", "robustness") as found:
        yield found


def test_what_is_told(forgetting: Any) -> None:
    """Three tasks: the second lost 0.2 once the third was learnt, the first 0.1 with the second and 0.2 with it."""
    scores = np.array([[0.9, 0.5, 0.5], [0.8, 0.9, 0.5], [0.6, 0.7, 0.8], [0.1, 0.2, 0.6]])
    found = dict(zip(forgetting.COLUMNS[2:], forgetting.told(scores), strict=True))
    assert found == pytest.approx(
        {
            "new": 0.85, "old": 0.65, "forgotten": 0.25, "all classes at once": 0.3, "of them old": 0.15,
            "of them new": 0.6,
        }
    )  # fmt: skip


def test_channels_that_mattered_are_held(forgetting: Any) -> None:
    """Those of the largest sums of each task, in absolute value; logits and these channels alone count."""
    import torch

    class Maps:
        def __init__(self, loud: int) -> None:
            self.loud = loud

        def block(self, x: Any) -> tuple[Any, ...]:
            found = torch.ones(len(x), 20, 2, 2)
            found[:, self.loud] = -9.0
            found[:, self.loud + 1 : self.loud + 3] = 3.0
            return torch.zeros(len(x), 4), found, found.flip(1)

    x = torch.zeros(7, 1)
    once = forgetting._matter(Maps(2), x, [torch.zeros(0), torch.zeros(0)])
    assert [sorted(found.tolist()) for found in once] == [[2, 3, 4], [15, 16, 17]]
    twice = forgetting._matter(Maps(4), x, once)
    assert [sorted(found.tolist()) for found in twice] == [[2, 3, 4, 5, 6], [13, 14, 15, 16, 17]]
    logits, first, second = Maps(2).block(x)
    moved = logits + 1, first.clone(), second.clone()
    moved[1][:, 10] += 5
    assert float(forgetting._away(moved, (logits, first, second), twice)) == 28
    moved[1][:, 2] += 1
    assert float(forgetting._away(moved, (logits, first, second), twice)) == 28 + 7 * 4
