"""Engines that count instructions."""

from __future__ import annotations

import pytest

from driftc.simulator.engines import engine


def counting(core: str = "cortex-m4") -> str:
    """An engine that counts instructions; the test skips where there is none."""
    reasons = []
    for name in ("unicorn", "qemu"):
        absent = engine(name).missing_for(core)
        if absent is None:
            return name
        reasons.append(absent)
    pytest.skip("; ".join(reasons))
