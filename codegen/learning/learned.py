"""What was made of a Lesson."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.graph import Graph
from driftc.codegen.learning.learner import Learner
from driftc.codegen.learning.lesson import Lesson
from driftc.codegen.plan.plan import Plan


@dataclass(frozen=True, eq=False)
class Learned:
    """What learns on the device: `graph` and `plan` are a step of its backward pass.

    `zero` is what a feature is when it is 0, `span` int8 [C] the largest weight that a new class's row begins with.
    """

    lesson: Lesson
    graph: Graph
    plan: Plan
    zero: int
    span: NDArray[np.int8]

    def learner(self) -> Learner:
        """As compiled, in NumPy."""
        return Learner(self.lesson, self.graph, self.zero, self.span)
