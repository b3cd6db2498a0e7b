"""What is said of a model's batch, in one line."""

from __future__ import annotations

from collections.abc import Mapping


def batch_notes(batches: Mapping[str, int | None]) -> tuple[str, ...]:
    """Of inputs by name that are compiled for a batch of 1, and have another one in the model; None: it is open."""
    found = []
    for given in dict.fromkeys(batches.values()):
        names = ", ".join(f"'{name}'" for name, batch in batches.items() if batch == given)
        stands = "is open in the model" if given is None else f"is {given} in the model"
        found.append(f"the batch of {names} {stands}; compiled for 1")
    return tuple(found)
