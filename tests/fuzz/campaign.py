"""Mutants by the thousand, in a child process whose memory is bounded."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from fuzz.compared import OPTIONS, KeptTflm
from fuzz.judge import Checks, Verdict, judge
from fuzz.mutate import Mutant, Mutator
from fuzz.rebuild import Rebuilder
from fuzz.seeds import seeds


@dataclass(frozen=True)
class Task:
    """Mutants `first` to `first + count` of one model.

    Of those that compile, every `optimal`-th is planned by the solver, every `build`-th is given to gcc, every `run`-th
    is run in NumPy, every `sanitize`-th on the host under sanitizers, every `reference`-th in TFLite Micro, and every
    `options`-th is compiled with the next of compared.OPTIONS too (0: none).
    """

    model: str
    first: int
    count: int
    rebuilt: bool = False
    optimal: int = 1
    build: int = 10
    run: int = 5
    sanitize: int = 0
    reference: int = 0
    options: int = 0

    def mutants(self) -> Iterator[Mutant]:
        if self.rebuilt:
            return Rebuilder(self.model).mutants(self.first, self.count)
        return Mutator(seeds()[self.model]()).mutants(self.first, self.count)


@dataclass
class Outcome:
    """`faults` are what must not be; `stood` how many of the compiled stood which check; `messages` every different
    refusal, for people to read."""

    refused: int = 0
    compiled: int = 0
    stood: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    messages: set[str] = field(default_factory=set)


def run_task(task: Task, timeout: float, keep: Path | None = None) -> Outcome:
    """Do `task` in a process of its own; a process that dies or hangs is a fault. `keep` gets the faulty mutants."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(task, theirs, keep))
    process.start()
    theirs.close()
    outcome = Outcome()
    last: int | None = None
    try:
        while True:
            if not ours.poll(timeout):
                outcome.faults.append(f"{task.model}: no answer after {timeout:g} s, after mutant {last}")
                break
            try:
                said = ours.recv()
            except EOFError:
                process.join(10)
                outcome.faults.append(f"{task.model}: the process ended ({process.exitcode}) after mutant {last}")
                break
            if said is None:
                break
            last, description, verdict = said
            _count(outcome, task, last, description, verdict)
    finally:
        process.kill()
        process.join()
        ours.close()
    return outcome


def _count(outcome: Outcome, task: Task, seed: int, description: str, verdict: Verdict) -> None:
    if verdict.fault:
        way = "rebuilt " if task.rebuilt else ""
        outcome.faults.append(f"{way}{task.model} {seed} ({description}): {verdict.fault}")
    if verdict.compiled:
        outcome.compiled += 1
        outcome.stood.update(verdict.stood)
    else:
        outcome.refused += 1
        outcome.messages.add(verdict.message)


def _work(task: Task, connection: Connection, keep: Path | None) -> None:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    taken = 0
    tflm = KeptTflm()
    with tempfile.TemporaryDirectory() as name, contextlib.closing(tflm):
        folder = Path(name)
        os.environ["DRIFTC_CACHE"] = str(folder / "cache")
        for mutant in task.mutants():
            with contextlib.redirect_stdout(io.StringIO()):
                verdict = judge(folder, mutant.data, _checks(task, taken + 1, tflm))
            taken += verdict.compiled
            if verdict.fault and keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{task.model}-{'r' if task.rebuilt else 'm'}{mutant.seed}.tflite").write_bytes(mutant.data)
            connection.send((mutant.seed, mutant.description, verdict))
    connection.send(None)


def _checks(task: Task, turn: int, tflm: KeptTflm) -> Checks:
    """Of accepted mutant number `turn`."""

    def due(every: int) -> bool:
        return every > 0 and turn % every == 0

    names = [*OPTIONS]
    return Checks(
        planner="optimal" if due(task.optimal) else "greedy",
        build=due(task.build),
        run=due(task.run),
        sanitize=due(task.sanitize),
        reference=tflm if due(task.reference) else None,
        options=names[(task.first + turn // task.options) % len(names)] if due(task.options) else "",
    )
