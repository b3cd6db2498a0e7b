"""What was made of a Lesson, and of the model that learns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from driftc.codegen.emit.emit import constants
from driftc.codegen.emit.function import functions
from driftc.codegen.errors import DataError, ModelError, UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.kernels.packed import ORDERS, in_order
from driftc.codegen.learning.backward import backward
from driftc.codegen.learning.ecotta import MetaLearner, adaptive, meta_step, place_of
from driftc.codegen.learning.learner import Learner
from driftc.codegen.learning.lesson import Lesson, Means, Meta
from driftc.codegen.learning.mean_step import mean_step
from driftc.codegen.learning.room import StepPlan
from driftc.codegen.learning.tail import named_tail
from driftc.codegen.learning.trainable import learnable, trainable, widened
from driftc.codegen.operators.base import Operator
from driftc.codegen.operators.learn.conv_errors import ConvErrors
from driftc.codegen.operators.learn.map_meta import MetaMap
from driftc.codegen.plan.plan import Plan
from driftc.codegen.tensor import Array


def prepared(model: Graph, lesson: Lesson | Meta) -> tuple[Graph, Graph]:
    """The model that learns, and a step of learning on its states. Raises ModelError, DataError."""
    if isinstance(lesson, Meta):
        place = place_of(model)
        _check_same(model, lesson, place.pool.name, not lesson.running or len(lesson.centres) == place.features)
        made = adaptive(model, lesson)
        return made, meta_step(made, place, lesson)
    model = widened(model, lesson.reach)
    layer, tail = learnable(model), None
    if lesson.layers:
        try:
            tail = named_tail(model, lesson.layers, lesson.sample)
            if max(lesson.held, default=0) >= tail.layers[0].channels:
                raise KeyError("held")
        except (KeyError, ModelError):
            raise _another(model) from None
    length = layer.weights.shape[1] if tail is None else tail.sample.size
    fits = lesson.known == layer.channels and (not lesson.labels.size or lesson.references.shape[1] == length)
    fits = fits and (not isinstance(lesson, Means) or lesson.means.shape[1] == length)
    _check_same(model, lesson, layer.name, fits)
    made = trainable(model, lesson, tail)
    if isinstance(lesson, Means):
        return made, mean_step(made)
    return made, backward(made, layer, lesson, tail)


def _another(model: Graph) -> DataError:
    return DataError(f"{model.source}: what it is to learn with is another model's; compile it again with --learn")


def _check_same(model: Graph, lesson: Lesson | Meta, layer: str, fits: bool) -> None:
    if lesson.sha256 != model.sha256 or lesson.layer != layer or not fits:
        raise _another(model)


def sharing(step: Graph, plan: Plan) -> Graph:
    """`step` with the weights of the way back in the order in which the kernels of `plan` have them, where it is one of
    those that are known.
    """
    there: dict[str, list[Array]] = {}
    for function in functions(plan):
        there.setdefault(function.op.name, []).extend(function.constants.values())
    operators: list[Operator] = []
    for operator in step.operators:
        if isinstance(operator, ConvErrors) and operator.groups == 1:
            for order in ("plain", *ORDERS):
                wanted = in_order(order, operator.weights)
                known = there.get(operator.layer.name, ())
                if wanted is not None and any(np.array_equal(wanted.reshape(-1), data.reshape(-1)) for data in known):
                    operator = replace(operator, order=order)
                    break
        operators.append(operator)
    return step.with_operators(operators)


def lent(plan: Plan, step: Plan) -> dict[str, str]:
    """Arrays that the C of `step` can read where that of `plan` has them, and what that calls them: frozen layers are
    in both, and errors flow back by the weights of others.
    """
    host = {array.content: array.name for array in reversed(constants(functions(plan)))}
    guest = constants(functions(step), guest=True)
    return {array.name: host[array.content] for array in guest if array.content in host}


@dataclass(frozen=True, eq=False)
class Learned:
    """What learns on the device: `graph` is a step of it, `step` how that is planned."""

    lesson: Lesson | Meta
    graph: Graph
    step: StepPlan
    lent: dict[str, str]  # arrays in flash that the step reads where the model has them, and what it calls them
    inference_bytes: int  # of the arena, that an inference needs

    @property
    def plan(self) -> Plan:
        """Of a step."""
        return self.step.plan

    @property
    def constant_bytes(self) -> int:
        """In flash: what the step alone reads, and the references."""
        own = (a.bytes for a in constants(functions(self.plan), guest=True) if a.name not in self.lent)
        return sum(own) + self.lesson.constant_bytes

    @property
    def ends(self) -> list[str]:
        """Of a meta network: what each part ends with, the pool's input last."""
        found = [op.inputs[0] for op in self.graph.operators if isinstance(op, MetaMap)]
        return [tensor.label or tensor.name for tensor in found]

    @property
    def api(self) -> str:
        """NAME_learn or NAME_adapt: what the calls begin with."""
        return "adapt" if isinstance(self.lesson, Meta) else "learn"

    def c_files(self, name: str) -> tuple[str, str]:
        """Of the model `name`."""
        return f"{name}_{self.api}.c", f"{self.plan.name}.c"

    @property
    def classifier(self) -> Lesson:
        """Raises UsageError where what learns takes no labels."""
        if isinstance(self.lesson, Meta):
            raise UsageError(f"{self.graph.source}: was compiled with --learn ecotta, which takes no labels")
        return self.lesson

    def learner(self) -> Learner:
        """Of --learn classifier, as compiled, in NumPy. Raises UsageError."""
        return Learner(self.classifier, self.graph)

    def meta_learner(self) -> MetaLearner:
        """Of --learn ecotta, as compiled, in NumPy."""
        return MetaLearner(self.graph)
