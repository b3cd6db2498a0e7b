"""Plans with one unit of the test's choosing, and that they compute what their Graph says."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from models import ModelBuilder

from driftc.codegen.errors import ModelError
from driftc.codegen.graph import Graph
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.codegen.plan.check import check
from driftc.codegen.plan.plan import Plan
from driftc.codegen.plan.propose import arrange, untiled
from driftc.codegen.plan.search import Candidate
from driftc.simulator.reference import PlanRun, run_graph


def graph_of(builder: ModelBuilder) -> Graph | None:
    """The lowered Graph; None where it is nothing but views."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "net.tflite"
        path.write_bytes(builder.build())
        try:
            return lower(path, Options(planner="greedy")).graph
        except ModelError:
            return None


def with_unit(graph: Graph, candidate: Candidate) -> Plan:
    """The Plan in which what `candidate` names is computed in parts, and all else whole."""
    units = untiled(graph)
    unit = candidate.make()
    assert unit is not None
    return arrange(graph, [*units[: candidate.first], unit, *units[candidate.stop :]], "greedy")


def assert_equals(graph: Graph, plan: Plan) -> None:
    """The Plan reads only what is live, and gives every tensor's bytes."""
    check(plan)
    random = np.random.default_rng(5)
    inputs = [random.integers(-128, 128, tensor.shape).astype(np.int8) for tensor in graph.inputs]
    values = run_graph(graph, inputs)
    outputs, layers = PlanRun(plan, poison=0xA5).run(inputs)
    for tensor, output in zip(plan.output_tensors, outputs, strict=True):
        np.testing.assert_array_equal(output, values[tensor.name].reshape(output.shape))
    for tensor, layer in zip(plan.layers, layers, strict=True):
        np.testing.assert_array_equal(layer, values[tensor.name].reshape(layer.shape))
