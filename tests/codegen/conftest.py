"""The references' interpreters, one child process each for the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from oracle import Kind, Oracle


def _opened(kind: Kind) -> Iterator[Oracle]:
    oracle = Oracle(kind)
    if (reason := oracle.missing()) is not None:
        pytest.skip(reason)
    yield oracle
    oracle.close()


@pytest.fixture(scope="session")
def tflm() -> Iterator[Oracle]:
    yield from _opened("tflm")


@pytest.fixture(scope="session")
def litert() -> Iterator[Oracle]:
    yield from _opened("ai_edge_litert")
