"""Human activities: a new person, a few windows of each activity."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import har_cnn
import numpy as np
from kept import kept
from tasks import DATA, Draw, Int8, Task, features

import driftc

PERSONS = (13, 18, 20, 24)  # of the shared data those that examples/har_cnn.py is not trained on
WINDOWS = 5  # of each activity
FILE = DATA / "uci_har" / "uci_har_test.npz"


def new_persons(out: Path) -> Task:
    """Windows come from the first half of what a person did of each activity; the test is the second, old what the five
    of the training did later. Windows overlap by half: one in the middle is left out."""
    every = har_cnn.load(FILE)
    before, after = har_cnn.split(every)
    path = kept(
        out / "activities.keras", (har_cnn, before.x, before.y), lambda path: har_cnn.trained(before).save(path)
    )
    np.savez(out / "activities.npz", x=before.x, y=before.y)
    compiled = driftc.compile(path, calibrate=out / "activities.npz", learn="classifier", measure=False)
    found = features(compiled, every.x, out / "persons.npy")
    later = features(compiled, after.x, out / "later.npy")
    known = features(compiled, before.x, out / "activities.npy"), before.y

    def draws(count: int) -> Iterator[Draw]:
        for person in PERSONS:
            own = [np.flatnonzero((every.subject == person) & (every.y == activity)) for activity in range(6)]
            rest = np.concatenate([windows[len(windows) // 2 + 1 :] for windows in own])
            for number in range(count):
                random = np.random.default_rng(number)
                picked = [random.permutation(windows[: len(windows) // 2])[:WINDOWS] for windows in own]
                chosen = random.permutation(np.concatenate(picked))
                yield Draw(
                    found[chosen], every.y[chosen], (later, after.y), (found[rest], every.y[rest]),
                    (chosen, len(found) + np.arange(len(later)), rest),
                )  # fmt: skip

    def cuts() -> Int8:
        return features(compiled, np.concatenate([every.x, after.x]), out / "persons.cut.npy", cut=True)

    described = f"a new person, {WINDOWS} windows an activity; old: later windows of others"
    return Task(described, compiled, out / "activities.npz", known, draws, cache(cuts))
