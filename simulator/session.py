"""Verify, simulate and measure: which engines take part, and what they are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.boards.cores import load_core
from driftc.boards.timing import Access
from driftc.codegen.elastic.coding import Codes
from driftc.codegen.emit.ports import port_names
from driftc.codegen.errors import ToolError, UsageError
from driftc.codegen.files import write_file
from driftc.codegen.lower import Lowered
from driftc.codegen.names import identifier
from driftc.codegen.options import Options
from driftc.codegen.report.measured import Measured
from driftc.codegen.samples import Samples
from driftc.codegen.tensor import Tensor
from driftc.simulator.adapting import Adapted, adapt
from driftc.simulator.engine import Engine, Program
from driftc.simulator.engines import ENGINES, REFERENCES, engine, reference
from driftc.simulator.float_io import FloatIo
from driftc.simulator.hardware import hardware
from driftc.simulator.learning import every_event, verify_learning
from driftc.simulator.measure import Measurement, measure
from driftc.simulator.model_engines import NumpyEngine, ReferenceEngine
from driftc.simulator.parts import InParts, Part, cut, in_parts, of_folder
from driftc.simulator.shipped import Shipped
from driftc.simulator.simulate import Simulation, simulate
from driftc.simulator.teach import Taught, teach
from driftc.simulator.unicorn_engine import UnicornEngine
from driftc.simulator.updated import as_updated, known_of, updated
from driftc.simulator.uploads import as_uploading
from driftc.simulator.verify import Verification, verify

Progress = Callable[[int, int], None]
KNOWN = ("numpy", *REFERENCES, *ENGINES)


@dataclass(frozen=True, eq=False)
class Subject:
    """What is verified and simulated: a model's Graphs and Plan, the C made from it, and the file it was made from."""

    lowered: Lowered
    options: Options
    program: Program
    model_file: Path
    edited: Callable[[], list[str]]  # generated files that no longer are what driftc writes


def measure_program(program: Program, sample: Sequence[NDArray[Any]], access: Access | None = None) -> Measured:
    """Build `program` for its core and count one inference; `access` is how its board's flash is read.

    Raises ToolError where a tool is missing.
    """
    found = measure(program)
    counter = _counting_engine(program.target.core)
    counts: tuple[int, ...] | None = None
    timing = load_core(program.target.core).timing
    if isinstance(counter, UnicornEngine) and timing is not None and find_spec("capstone"):
        steps = counter.steps(program, sample, access)
        waits = [step.lines * access.wait_states if access else 0 for step in steps]
        return Measured(
            found.code_bytes,
            found.stack_bytes,
            tuple(step.instructions for step in steps),
            _how(found, counter),
            tuple(round(timing.of(step.events)) + wait for step, wait in zip(steps, waits, strict=True)),
            sum(waits) if access else None,
        )
    if counter is not None:
        run = next(iter(counter.run(program, [sample], trace=False)))
        if run.instructions is not None:
            counts = tuple(run.instructions)
    return Measured(found.code_bytes, found.stack_bytes, counts, _how(found, counter))


def _how(found: Measurement, counter: Engine | None) -> dict[str, Any]:
    return {
        "compiler": found.compiler,
        "version": found.version,
        "flags": list(found.flags),
        "core": found.core,
        "engine": counter.name if counter else None,
    }


def _counting_engine(core: str) -> Engine | None:
    """The first engine that is present and counts instructions on `core`."""
    for name in ("unicorn", "qemu"):
        candidate = engine(name)
        if candidate.missing_for(core) is None:
            return candidate
    return None


def verify_subject(
    subject: Subject,
    samples: Samples,
    names: Sequence[str] | None,
    save: str | Path | None,
    sanitize: bool,
    learn: bool,
    progress: Progress | None,
    on: str | None = None,
    outputs: bool = False,
    update: Sequence[Codes] | None = None,
    first: int = 0,
) -> Verification:
    """Compare everything that `names` lists (None: all that are present); with `learn` learning too, event by event.

    `on`: the address of hardware, which then takes part beside what is named and nothing else; with `outputs` of its
    tensors the outputs and states alone. With `update` the model has its parameters, and the C takes it as a packet;
    references know no such model. `first` is the number of the first of `samples`.
    """
    if outputs and on is None:
        raise UsageError("--outputs belongs to --on: on this machine every tensor is compared")
    if learn:
        require_learning(subject)
        if on is not None:
            raise UsageError("--learn: learning is not compared on hardware; leave out --on")
    if update is not None:
        if any(name in REFERENCES for name in names or ()):
            raise UsageError(f"{' and '.join(REFERENCES)} know the model as it was compiled, not one that is updated")
        made = updated(subject.lowered, update)
        with as_updated(subject.program, known_of(subject.lowered), update) as program:
            given = replace(subject, lowered=made, program=program)
            return verify_subject(given, samples, names, save, sanitize, learn, progress, on, outputs, first=first)
    for name in names or ():
        if name not in KNOWN:
            raise UsageError(f"engine '{name}' is unknown; driftc has {', '.join(KNOWN)}")
    program = subject.program
    engines: list[Engine] = [] if on is None else [present(hardware(on), program)]
    references = []
    notes: list[str] = []
    if on is not None:
        names = names or ()
    for name in ENGINES:
        candidate = engine(name, sanitize=sanitize)
        absent = candidate.missing_for(program.target.core)
        if _wanted(name, names, absent, notes):
            engines.append(candidate)
    for name in REFERENCES if not program.updated else ():
        other = reference(name)
        if _wanted(name, names, other.missing(), notes):
            references.append(other)
            notes += [f"{name}: {other.note}"] if other.note else []
    if subject.lowered.adaptation is not None and references:
        names_of = " and ".join(other.name for other in references)
        notes.append(f"{names_of} cannot adapt: the model's own operators were compared there, each by itself")
    keeper = _Keeper() if save is not None else None
    done = _counter(progress, len(samples))
    found = verify(
        subject.lowered,
        program,
        subject.model_file,
        samples,
        references,
        engines,
        subject.options.match,
        done,
        edited=subject.edited(),
        keep=keeper,
        float_io=_float_io(subject, program, engines),
        outputs=outputs,
        first=first,
    )
    found.notes = notes + found.notes
    if keeper is not None and save is not None:
        keeper.write(Path(save))
    if learn and found.bit_exact:
        events = every_event(subject.lowered, samples)
        found.events, found.first_difference = verify_learning(subject.lowered, program, engines, events)
    return found


@dataclass(frozen=True, eq=False)
class _Asked:
    """What worker processes verify."""

    subject: Subject  # with paths of the machine that asks
    shipped: Shipped
    names: Sequence[str] | None
    sanitize: bool
    update: Sequence[Codes] | None


def verify_in_parts(
    subject: Subject,
    samples: Samples,
    names: Sequence[str] | None,
    sanitize: bool,
    update: Sequence[Codes] | None,
    workers: int | str,
    progress: Progress | None,
) -> Verification:
    """As `verify_subject`, by `workers` processes or those of the Dask scheduler at that address."""
    edited = subject.edited()
    given, shipped = replace(subject, edited=partial(list, edited)), Shipped.of(subject.program, workers)
    codes = [(c.octave, c.exponents, c.gain.tolist(), [row.tolist() for row in c.offsets]) for c in update or ()]
    about = ["verify", repr((names, sanitize, edited, codes)), repr(subject.options), *of_folder(subject.program)]
    parts = cut(samples, bool(subject.program.state_bytes))
    whole: Verification | None = None
    for found in in_parts(
        _verify_part, _Asked(given, shipped, names, sanitize, update), parts, workers, about, shipped
    ):
        whole = found if whole is None else whole.followed_by(found)
        if progress is not None:
            progress(whole.samples, len(samples))
        if whole.first_difference is not None:
            break
    assert whole is not None
    return whole


def _verify_part(asked: _Asked, part: Part) -> Verification:
    program = asked.shipped.here()
    model = program.folder / asked.subject.model_file.name
    return verify_subject(
        replace(asked.subject, program=program, model_file=model),
        part.samples,
        asked.names,
        None,
        asked.sanitize,
        False,
        None,
        update=asked.update,
        first=part.first,
    )


def teach_subject(subject: Subject, stream: Samples, tests: Samples, every: int | None, name: str | None) -> Taught:
    """Learn `stream` on `name`, or on this machine, as `teach` does."""
    require_learning(subject)
    assert subject.lowered.learned is not None
    fewest = 2 if subject.lowered.learned.classifier.trains else 1
    if every is not None and (type(every) is not int or every < fewest):
        raise UsageError(f"--learn-every {every}: needs to be a whole number of {fewest} or more samples")
    chosen, counter = _learning_engines(subject, name)
    return teach(subject.lowered, subject.program, chosen, counter, stream, tests, every)


def adapt_subject(subject: Subject, stream: Samples, block: int | None, name: str | None) -> Adapted:
    """Adapt to `stream` on `name`, or on this machine, as `adapt` does."""
    if block is not None and block < 1:
        raise UsageError(f"--stream-block {block}: needs 1 sample or more")
    return adapt(subject.lowered, subject.program, *_learning_engines(subject, name), stream, block)


def _learning_engines(subject: Subject, name: str | None) -> tuple[Engine, Engine | None]:
    """The one that learns, by name or this machine, and one that counts."""
    if name is not None and name not in ENGINES:
        raise UsageError(f"engine '{name}' runs no C, which is what learns; those that do are {', '.join(ENGINES)}")
    return present(engine(name or "host"), subject.program), _counting_engine(subject.program.target.core)


def require_learning(subject: Subject) -> None:
    if subject.lowered.learned is None:
        source = subject.lowered.graph.source
        raise UsageError(f"{source}: nothing learns here; compile it with --learn and labelled --calibrate samples")


def _float_io(subject: Subject, program: Program, engines: Sequence[Engine]) -> FloatIo | None:
    """The float translation unit, where the folder has one and the host engine takes part."""
    written = (program.folder / f"{program.name}_float_io.c").is_file()
    if not written or not any(engine.name == "host" for engine in engines):
        return None
    return FloatIo(program, *port_names(subject.lowered.plan))


def _wanted(name: str, names: Sequence[str] | None, absent: str | None, notes: list[str]) -> bool:
    """Whether an engine takes part; one that was asked for and is absent is an error."""
    if names is not None and name not in names:
        return False
    if absent is None:
        return True
    if names is not None:
        raise ToolError(f"engine {name}: {absent}")
    notes.append(f"{name} did not take part: {absent}")
    return False


def present(chosen: Engine, program: Program) -> Engine:
    """The engine, which was asked for. Raises ToolError where something is missing."""
    if absent := chosen.missing_for(program.target.core):
        raise ToolError(f"engine {chosen.name}: {absent}")
    return chosen


def simulate_subject(
    subject: Subject,
    samples: Samples,
    name: str | None,
    progress: Progress | None,
    on: str | None = None,
    workers: int | str | None = None,
) -> Simulation:
    """Run on `name`, on the hardware at the address `on`, or on the first of unicorn, qemu and host that is present.

    `workers`: by so many processes, or those of the Dask scheduler at that address.
    """
    program = subject.program
    class_names = subject.options.class_names or ()
    if on is not None:
        if name is not None:
            raise UsageError(f"simulate runs one engine: either --on {on} or --engine {name}")
        board = present(hardware(on), program)
        found = simulate(program, board, samples, _counter(progress, len(samples)), class_names)
        if found.instructions is None and (counter := _counting_engine(program.target.core)) is not None:
            found.instructions = _counted(program, counter, samples, found.sample)
        return found
    candidates = [_any_engine(subject, n) for n in ([name] if name else ["unicorn", "qemu", "host"])]
    chosen = next((c for c in candidates if c.missing_for(program.target.core) is None), None)
    if chosen is None:
        reasons = (f"engine {c.name}: {c.missing_for(program.target.core)}" for c in candidates)
        raise ToolError("; ".join(reasons))
    if subject.lowered.upload is not None and chosen.name in ENGINES:
        program = as_uploading(program)
    if workers is not None:
        if program.uploads:
            raise UsageError("--workers: what a sample's upload depends on are those before it; leave out --workers")
        chosen = InParts(chosen, workers)
    return simulate(program, chosen, samples, _counter(progress, len(samples)), class_names)


def _counted(program: Program, counter: Engine, samples: Samples, number: int) -> tuple[int, ...] | None:
    """Instructions of one sample, after those before it where the model keeps a state."""
    before = number if program.state_bytes else 0
    part = samples.quantized[number - before : number + 1]
    starts = {start - number + before for start in samples.starts} if before else (0,)
    *_, last = counter.run(program, part, trace=False, starts=starts)
    return last.instructions


def _any_engine(subject: Subject, name: str) -> Engine:
    """An engine by name, those that run the model among them."""
    if name in ENGINES:
        return engine(name)
    if name == "numpy":
        return NumpyEngine(subject.lowered)
    if name in REFERENCES:
        return ReferenceEngine(reference(name), subject.lowered, subject.model_file)
    raise UsageError(f"engine '{name}' is unknown; driftc has {', '.join(KNOWN)}")


def _counter(progress: Progress | None, total: int) -> Callable[[], None]:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    return count


class _Keeper:
    """Collects the compared tensors of all samples for --save-tensors."""

    def __init__(self) -> None:
        self._kept: dict[str, list[NDArray[Any]]] = {}

    def __call__(self, tensors: list[tuple[Tensor, NDArray[Any]]]) -> None:
        for number, (tensor, value) in enumerate(tensors):
            name = f"{number:03}_{identifier((tensor.label or tensor.name).split(';')[0], 'tensor')}"
            self._kept.setdefault(name, []).append(value[0] if value.shape[:1] == (1,) else value)

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        target = path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")
        arrays: dict[str, Any] = {name: np.stack(values) for name, values in self._kept.items()}
        write_file(target, lambda file: np.savez(file, **arrays))
