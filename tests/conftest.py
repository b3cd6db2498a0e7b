"""What needs an absent tool or the shared data calls `pytest.skip`; with DRIFTC_REQUIRE=1, as in CI, that is a failure.

What cannot be tested on a machine for another reason (as root, say) has a `skipif` mark, which stays a skip.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: pytest runs a process per core already

import pytest
from commands import compiled_keyword_model
from hypothesis import settings

if os.environ.get("DRIFTC_REQUIRE") == "1":
    settings.load_profile("ci")  # the same examples in each run of CI; others are drawn at every desk


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if os.environ.get("DRIFTC_REQUIRE") == "1" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if reason.removeprefix("Skipped: ") not in [mark.kwargs.get("reason") for mark in item.iter_markers("skipif")]:
            report.outcome = "failed"
            report.longrepr = f"DRIFTC_REQUIRE=1, but: {reason}"
    return report


@pytest.fixture(scope="session")
def kws(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with kws.tflite and kws/, compiled by the command line without measuring. Read only."""
    return compiled_keyword_model(tmp_path_factory.mktemp("kws"))
