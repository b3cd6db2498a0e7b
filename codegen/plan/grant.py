"""Which layers get kernels with larger constants, within the bytes of flash that may be spent for speed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from driftc.codegen.graph import Graph
from driftc.codegen.kernels import kernels
from driftc.codegen.kernels.kernel import Kernel
from driftc.codegen.operators.base import Operator
from driftc.codegen.plan.call import static_calls
from driftc.codegen.plan.plan import Plan
from driftc.codegen.plan.propose import untiled, views_of
from driftc.codegen.plan.select import SAVED, by_operator, choose, cost_of, serves
from driftc.codegen.plan.unit import drafted

KEPT = 4096  # sums of grants that are looked at together


@dataclass(frozen=True)
class Grant:
    """`bytes` of flash more for layer `operator` by `kernel`, and about how many `cycles` that saves."""

    operator: str
    kernel: str
    bytes: int
    cycles: int

    @property
    def pair(self) -> tuple[str, str]:
        """As `kernels` takes them."""
        return self.operator, self.kernel


def offers(graph: Graph, core: str | None) -> list[Grant]:
    """What could be granted: all that saves more than an estimate may err by, beside the cheapest other kernel."""
    usual, views = kernels(core), views_of(graph)
    calls = [call for unit in untiled(graph) for call in drafted(unit, views)]
    chosen = choose(calls, usual, room=1 << 40)
    found = []
    for operator, kinds in by_operator(calls).items():
        usually = cost_of(chosen[operator], kinds, chosen[operator].timing)
        for kernel in kernels(core, None):
            if kernel.granted and serves(kernel, kinds):
                saved = usually - cost_of(kernel, kinds, kernel.timing)
                size = _constants(kernel, operator) - _constants(chosen[operator], operator)
                if saved > SAVED:
                    found.append(Grant(operator.name, kernel.name, max(size, 0), round(saved)))
    return found


def best(offered: Iterable[Grant], limit: int) -> tuple[Grant, ...]:
    """At most one for each layer, within `limit` bytes in all, that save the most; of equals those of fewest bytes.

    Where `limit` is above `KEPT` bytes, sums of nearly as many bytes are taken for one.
    """
    layers: dict[str, list[Grant]] = {}
    for grant in offered:
        layers.setdefault(grant.operator, []).append(grant)
    front: list[_Sum] = [_Sum(0, 0, ())]  # of sums the best at their bytes, the fewest bytes first
    for grants in layers.values():
        more = [
            _Sum(known.bytes + grant.bytes, known.cycles + grant.cycles, (*known.grants, grant))
            for known in front
            for grant in grants
            if known.bytes + grant.bytes <= limit
        ]
        front = _undominated([*front, *more], -(-limit // KEPT))
    return front[-1].grants


def unused(grants: Iterable[Grant], plan: Plan) -> set[Grant]:
    """Those of whose kernels `plan` has no use: a call in parts, or an arena without room for their scratch."""
    used = {(call.operator.name, call.kernel.name) for call in static_calls(plan.program)}
    return {grant for grant in grants if grant.pair not in used}


@dataclass(frozen=True)
class _Sum:
    bytes: int
    cycles: int
    grants: tuple[Grant, ...]


def _undominated(sums: Sequence[_Sum], step: int) -> list[_Sum]:
    """Those that save more than all of fewer bytes; of those within the same `step` bytes the best."""
    found: dict[int, _Sum] = {}
    most = -1
    for each in sorted(sums, key=lambda each: (each.bytes, -each.cycles)):
        if each.cycles > most:
            found[each.bytes // max(step, 1)], most = each, each.cycles
    return list(found.values())


def _constants(kernel: Kernel, operator: Operator) -> int:
    return sum(data.nbytes for data in kernel.constants(operator).values())
