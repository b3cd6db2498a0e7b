"""Estimated cycles of one inference, by statement of the program: as much of it counted as can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from driftc.boards import load as load_board
from driftc.boards.cores import load_core
from driftc.codegen.options import Options
from driftc.codegen.plan.cost import cycles, instructions
from driftc.codegen.plan.plan import Plan
from driftc.codegen.report.measured import Measured

Json = dict[str, Any]
BY = {
    "events": "instructions counted by kind, weighed",
    "instructions": "counted instructions, as long each as those of such kernels are on average,",
    "plan": "the instructions that the planner expects, none counted, weighed",
}


@dataclass(frozen=True)
class Estimate:
    """Cycles of each statement; None where they are known together only."""

    core: str
    by: str  # of BY
    total: int
    steps: tuple[int, ...] | None
    waiting: int | None  # of them for flash; None: its wait states were not counted
    clock_hz: int | None  # the board's

    def as_json(self) -> Json:
        timing = load_core(self.core).timing
        assert timing is not None
        return {
            "total": self.total,
            "waiting": self.waiting,
            "clock_hz": self.clock_hz,
            "milliseconds": None if self.clock_hz is None else 1e3 * self.total / self.clock_hz,
            "by": self.by,
            "source": timing.source,
            "assumed": list(timing.assumed),
        }


def estimate(plan: Plan, core: str, options: Options, measured: Measured | None) -> Estimate | None:
    """None where nothing is known of how long the core's instructions take."""
    if load_core(core).timing is None:
        return None
    board = load_board(options.board) if options.board else None
    clock = board.clock_hz if board else None
    if measured and measured.cycles:
        steps = measured.cycles if plan.fed is None else None
        return Estimate(core, "events", sum(measured.cycles), steps, measured.waiting, clock)
    expected = [(cycles((statement,), core), instructions((statement,))) for statement in plan.program]
    if measured and measured.instructions and plan.fed is None:
        steps = tuple(
            round(count * long / many) for count, (long, many) in zip(measured.instructions, expected, strict=True)
        )
        return Estimate(core, "instructions", sum(steps), steps, None, clock)
    if measured and measured.instructions:
        share = sum(long for long, _ in expected) / sum(many for _, many in expected)
        return Estimate(core, "instructions", round(sum(measured.instructions) * share), None, None, clock)
    steps = tuple(round(long) for long, _ in expected)
    return Estimate(core, "plan", sum(steps), steps if plan.fed is None else None, None, clock)
