"""What was counted on the emulated core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Measured:
    """Code, stack and instructions by step on the program's core."""

    code_bytes: int
    stack_bytes: int
    instructions: tuple[int, ...] | None  # of each step; None where no engine here counts for this core
    how: dict[str, Any] = field(default_factory=dict)  # compiler, version, flags, core, engine
    cycles: tuple[int, ...] | None = None  # of each step, estimated; None where the engine only counts instructions
    waiting: int | None = None  # of them for flash; None where that was not counted

    @classmethod
    def from_json(cls, report: Mapping[str, Any], steps: int) -> Measured | None:
        """What report.json says of a program of `steps` steps; None where it was not measured, or is damaged."""
        flash, counts, how = report.get("flash"), report.get("steps"), report.get("measured_with")
        code = flash.get("code") if isinstance(flash, dict) else None
        stack = report.get("stack_bytes")
        if not isinstance(code, int) or not isinstance(stack, int) or not isinstance(how, dict):
            return None
        waiting = report.get("step_waiting")
        return cls(
            code,
            stack,
            _counts(counts, steps),
            how,
            _counts(report.get("step_cycles"), steps),
            waiting if type(waiting) is int else None,
        )


def _counts(found: object, steps: int) -> tuple[int, ...] | None:
    """A list of so many numbers, or None."""
    if not isinstance(found, list) or len(found) != steps or not all(type(count) is int for count in found):
        return None
    return tuple(found)
