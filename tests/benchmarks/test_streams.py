"""The streams that networks learn from: each holds what its name says."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from benchmark_modules import benchmark_module
from float_models import needs

KINDS, EACH = 3, 120


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Any:
    with benchmark_module(monkeypatch, "streams", "learning", "robustness") as found:
        yield found


def longest(values: Any) -> int:
    return max(len(list(run)) for _, run in groupby(values))


@needs("PIL", "benchmarks")
@needs("scipy", "benchmarks")
def test_orders(streams: Any) -> None:
    labels = np.tile(np.arange(EACH) % 4, KINDS)
    found = list(streams.orders(labels, KINDS, 2))
    assert [name for name, _ in found] == ["random", "blocks", "shuffled", "shuffled blocks"] * 2
    for name, order in found:
        assert sorted(order.tolist()) == list(range(KINDS * EACH))
        kinds, given = order // EACH, labels[order]
        assert bool((np.diff(kinds) >= 0).all()) == (name in ("random", "blocks"))
        assert (longest(given) >= 30) == ("blocks" in name)
    parts = streams.in_blocks(np.arange(EACH), labels, np.random.default_rng(0), 10)
    assert longest(labels[parts]) % 10 == 0


@needs("PIL", "benchmarks")
@needs("scipy", "benchmarks")
def test_hostile_images(streams: Any) -> None:
    found = streams.hostile(30, (4, 5, 3))
    assert found.shape == (30, 4, 5, 3)
    spread = np.ptp(found.reshape(30, -1), axis=1)
    assert not spread[:20].any() and (spread[20:] > 200).all()
    assert set(found[10:20].reshape(-1).tolist()) == {0, 255}


@needs("PIL", "benchmarks")
@needs("scipy", "benchmarks")
def test_paired_gains(streams: Any) -> None:
    assert streams.paired([np.array([1, 0, 0, 0]), np.array([0, 0, 0, 0])]) == "+12.5 +- 12.5"
