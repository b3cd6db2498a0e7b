"""What was made of a Lesson."""

from __future__ import annotations

from dataclasses import dataclass

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

    def learner(self) -> Learner:
        """As compiled, in NumPy."""
        return Learner(self.lesson, self.graph)
