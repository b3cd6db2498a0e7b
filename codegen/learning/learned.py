"""What was made of a Lesson."""

from __future__ import annotations

from dataclasses import dataclass

from driftc.codegen.emit.emit import constant_bytes
from driftc.codegen.emit.function import functions
from driftc.codegen.graph import Graph
from driftc.codegen.learning.learner import Learner
from driftc.codegen.learning.lesson import Lesson
from driftc.codegen.plan.plan import Plan


@dataclass(frozen=True, eq=False)
class Learned:
    """What learns on the device: `graph` and `plan` are a step of its backward pass."""

    lesson: Lesson
    graph: Graph
    plan: Plan

    @property
    def constant_bytes(self) -> int:
        """In flash: what the backward pass reads, and the references."""
        return sum(constant_bytes(functions(self.plan), guest=True).values()) + self.lesson.constant_bytes

    def learner(self) -> Learner:
        """As compiled, in NumPy."""
        return Learner(self.lesson, self.graph)
