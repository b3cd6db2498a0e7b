"""The road from a model file to a Plan: frontend, passes, planner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from driftc.codegen.adaptation.adapt import adapt
from driftc.codegen.adaptation.constants import Adaptation
from driftc.codegen.elastic.parameters import ALL, Parameters, updatable
from driftc.codegen.elastic.upload import Upload, holding, uploading
from driftc.codegen.errors import ModelError, UsageError
from driftc.codegen.frontends import refuse_other_files
from driftc.codegen.graph import Graph
from driftc.codegen.learning.learned import Learned, lent, prepared, sharing
from driftc.codegen.learning.lesson import Lesson, Meta
from driftc.codegen.learning.room import plan_step
from driftc.codegen.names import model_name
from driftc.codegen.options import Options
from driftc.codegen.passes import PASSES, passed
from driftc.codegen.passes.match import match_litert
from driftc.codegen.plan.check import check
from driftc.codegen.plan.choose import Choice, Goal, choose
from driftc.codegen.plan.feed import as_fed, fed
from driftc.codegen.plan.place import ALIGN, aligned
from driftc.codegen.plan.plan import Plan

STACK = 512  # bytes of a board's RAM that are kept for the stack before it is known
SUFFIXES = (".tflite",)
CORE = "cortex-m4"  # where neither a core nor a board is named
FLOAT_STAGES = ("import", "fold", "activate", "quantize")  # of a float model, before it is lowered
STAGES = ("frontend", "match", "adapt", "learn", *PASSES, "updatable", "plan", "backward")


@dataclass(frozen=True, eq=False)
class Lowered:
    """The stages that others look at.

    `source` is the Graph as the file has it, `model` the same with the rounding that `--match` asks for and with the
    layers live that `adaptation` names, `graph` what the passes left of it, `plan` what the C is made from, and
    `choice` how it was chosen.
    """

    source: Graph
    model: Graph
    graph: Graph
    plan: Plan
    adaptation: Adaptation | None = None
    choice: Choice | None = None
    learned: Learned | None = None
    parameters: Parameters | None = None  # that a server's packets change
    upload: Upload | None = None  # how samples are chosen that are worth sending

    @property
    def real_inputs(self) -> set[str]:
        """Inputs of `graph` that are real values in the file, quantised by its own first operators."""
        pairs = zip(self.graph.inputs, self.source.inputs, strict=True)
        return {tensor.name for tensor, given in pairs if given.dtype == np.float32}


def read(path: Path, options: Options, title: str | None = None) -> tuple[Graph, Graph]:
    """The Graph as the file has it, and with the rounding that `--match` asks for."""
    title = title or path.name
    if path.suffix not in SUFFIXES:
        refuse_other_files(path, title)
        raise UsageError(f"{title}: driftc reads {', '.join(SUFFIXES)} files, and float models with --calibrate")
    from driftc.codegen.frontends.tflite.load import load

    source = load(path, model_name(options.name or Path(title).stem), title)
    try:
        return source, match_litert(source) if options.match == "litert" else source
    except ModelError as error:
        raise error.within(title) from None


def lower(
    path: Path,
    options: Options,
    watch: Callable[[str, Graph | Plan], None] | None = None,
    title: str | None = None,
    adaptation: Adaptation | None = None,
    lesson: Lesson | Meta | None = None,
) -> Lowered:
    """Read and plan `path`, with the layers live that `adaptation` names, and the layer learning that `lesson` is of.

    `watch` sees the result of each stage of STAGES by name.
    `title` is the file's name in comments and messages, and the C prefix's source, where `path` is a copy.
    """
    see = watch or (lambda stage, result: None)
    title = title or path.name
    source, model = read(path, options, title)
    see("frontend", source)
    see("match", model)
    try:
        if adaptation is not None:
            model = adapt(model, adaptation)
            see("adapt", model)
        upload: Upload | None = None
        if options.upload is not None:
            model, upload = uploading(model, options)
        step: Graph | None = None
        if lesson is not None:
            model, step = prepared(model, lesson)
            see("learn", model)
        graph = passed(model, options.keep_constant, see)
        tailed = lesson is not None and (bool(lesson.layers) if isinstance(lesson, Lesson) else lesson.parts > 1)
        if tailed and step is not None:  # with layers of the model in it
            step = passed(step, options.keep_constant)
        if upload is not None and not upload.copies:
            graph = holding(graph)
        known: Parameters | None = None
        wanted = options.updatable or (ALL if upload is not None else None)
        if wanted is not None:
            if lesson is not None:
                raise UsageError(f"{title}: --updatable does not go with --learn: what learnt would not fit any more")
            graph, known = updatable(graph, wanted)
            see("updatable", graph)
    except ModelError as error:
        raise error.within(title) from None
    if not any(not operator.view for operator in graph.operators):
        raise ModelError(f"{title}: the model computes nothing; every operator only renames its input")
    memories = memories_of(options.board)
    whole, fed_input = planned(graph, options)
    states = sum(aligned(state.tensor.bytes) for state in graph.states)
    states += 0 if known is None else known.ram_bytes
    goal = goal_of(options, memories, states)
    choice = choose(whole, options.planner, goal, memories, core_of(options))
    if fed_input is not None:
        choice = replace(choice, point=replace(choice.point, plan=as_fed(choice.point.plan, graph, fed_input)))
    check(choice.point.plan)
    see("plan", choice.point.plan)
    learned = None
    if lesson is not None and step is not None:
        step = sharing(step, choice.point.plan)
        planner = "greedy" if tailed else options.planner  # proofs for so many maps can take minutes
        found = plan_step(step, planner, core_of(options), options.learn_ram)
        plan = found.plan
        check(plan)
        see("backward", plan)
        learned = Learned(lesson, step, found, lent(choice.point.plan, plan), choice.point.plan.arena_bytes)
        choice = replace(choice, point=replace(choice.point, plan=with_room(choice.point.plan, plan.arena_bytes)))
    return Lowered(source, model, graph, choice.point.plan, adaptation, choice, learned, known, upload)


def with_room(plan: Plan, bytes: int) -> Plan:
    """`plan` with a first region that something else can use between two inferences."""
    first, *others = plan.regions
    return replace(plan, regions=(replace(first, bytes=max(first.bytes, bytes)), *others))


def goal_of(options: Options, memories: list[tuple[str, int]], states: int = 0) -> Goal:
    """What the Plan is chosen for: the RAM asked for, else the board's but for a stack and the bytes of states."""
    room = max((size for _, size in memories), default=0)
    limit = options.ram or (max(room - STACK - states, ALIGN) if room else None)
    minimize = "ram" if options.feed is not None and options.ram is None else options.minimize
    return Goal(limit, options.ram is not None, minimize, options.overhead, options.flash_for_speed)


def planned(graph: Graph, options: Options) -> tuple[Graph, int | None]:
    """The Graph that is planned, and which input of `graph` arrives row by row in it."""
    return (graph, None) if options.feed is None else fed(graph)


def core_of(options: Options) -> str:
    """The core that the C is made for: the one asked for, the board's, or cortex-m4."""
    if options.core is not None or options.board is None:
        return options.core or CORE
    from driftc.boards import load as load_board

    return load_board(options.board).core


def memories_of(board: str | None) -> list[tuple[str, int]]:
    """Name and bytes of each RAM of the board, the preferred one first."""
    if board is None:
        return []
    from driftc.boards import load as load_board

    return [(ram.name, ram.bytes) for ram in load_board(board).ram]
