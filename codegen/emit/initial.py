"""What NAME_reset does, and what tells the saved state of one model from that of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from driftc.codegen.names import Names, comment, identifier
from driftc.codegen.plan.plan import Plan, StateBuffer

ID_BYTES = 8


@dataclass(frozen=True)
class InitialState:
    """One state in NAME_reset: bytes [offset, offset + bytes) of its region."""

    label: str
    offset: int
    bytes: int
    fill: int  # the byte that all are, where there is no array
    array: str  # the constant array that holds the initial value, or nothing


def initial_states(states: Sequence[StateBuffer]) -> tuple[InitialState, ...]:
    names = Names()
    found = []
    for state in states:
        content = state.initial.tobytes()
        alike = len(set(content)) <= 1
        array = "" if alike else names.unique(f"initial_{identifier(state.label, 'state')}")
        label = comment(state.label.split(";")[0])
        found.append(InitialState(label, state.before.offset, len(content), content[0] if alike else 0, array))
    return tuple(found)


def state_id(plan: Plan, model: str) -> bytes:
    """Of a saved state: the model's SHA-256 (`model`, in hex), and where in the region which values lie."""
    layout = [model] + [
        f"{state.before.offset} {state.before.dtype.name} {list(state.before.shape)}" for state in plan.states
    ]
    return sha256("\n".join(layout).encode()).digest()[:ID_BYTES]
