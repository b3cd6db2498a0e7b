"""Graph -> Graph, one module a pass; no pass knows another. `PASSES` is their order for an int8 model."""

from __future__ import annotations

from collections.abc import Callable

from driftc.codegen.graph import Graph
from driftc.codegen.passes.border import border
from driftc.codegen.passes.compose import compose
from driftc.codegen.passes.constant import constant
from driftc.codegen.passes.dilate import dilate
from driftc.codegen.passes.fuse import fuse
from driftc.codegen.passes.one_channel import one_channel
from driftc.codegen.passes.pads import pads
from driftc.codegen.passes.state import state
from driftc.codegen.passes.tabulate import tabulate
from driftc.codegen.passes.views import views

PASSES: dict[str, Callable[[Graph], Graph]] = {
    "tabulate": tabulate,
    "border": border,
    "dilate": dilate,
    "one_channel": one_channel,
    "pads": pads,
    "fuse": fuse,
    "compose": compose,
    "state": state,
    "constant": constant,
    "views": views,
}


def passed(graph: Graph, keep_constant: bool, see: Callable[[str, Graph], None] | None = None) -> Graph:
    """`graph` after all passes, but for "constant" if so; `see` is shown what each of them leaves."""
    for name, transform in PASSES.items():
        if name == "constant" and keep_constant:
            continue
        graph = transform(graph)
        graph.check()
        if see is not None:
            see(name, graph)
    return graph
