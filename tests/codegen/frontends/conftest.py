"""The reference's interpreter that says what folded operators compute."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from oracle import Oracle


@pytest.fixture(scope="session")
def litert() -> Iterator[Oracle]:
    oracle = Oracle("ai_edge_litert")
    if (reason := oracle.missing()) is not None:
        pytest.skip(reason)
    yield oracle
    oracle.close()
