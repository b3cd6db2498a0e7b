"""What a model was compiled to: its files, its report, and the means to run and check them."""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import driftc
from driftc.codegen.adaptation.constants import Adaptation
from driftc.codegen.emit.ports import interface
from driftc.codegen.emit.program import step_names
from driftc.codegen.errors import ToolError, UsageError
from driftc.codegen.folder import RECORD, read_record, refuse_compiler_in, write_folder
from driftc.codegen.learning.lesson import read_lesson
from driftc.codegen.lower import Lowered, core_of, lower, memories_of, planned
from driftc.codegen.options import Options
from driftc.codegen.plan.call import static_calls
from driftc.codegen.plan.choose import Point, pareto
from driftc.codegen.quantize.post_training import Quantized
from driftc.codegen.report import stored
from driftc.codegen.report.measured import Measured
from driftc.codegen.report.report import report
from driftc.codegen.sampling import index_limits, samples_of
from driftc.codegen.sources import ADAPTATION, LESSON, sources

if TYPE_CHECKING:
    from driftc.boards import Board
    from driftc.boards.timing import Access
    from driftc.codegen.samples import Samples
    from driftc.simulator.adapting import Adapted
    from driftc.simulator.engine import Program, Target
    from driftc.simulator.session import Subject
    from driftc.simulator.simulate import Simulation
    from driftc.simulator.teach import Taught
    from driftc.simulator.verify import Verification

MODEL = "model.tflite"  # the copy in a compiled folder


class Compiled:
    """A compiled model: its C, its report, and the means to run and check it."""

    def __init__(self, model: bytes, options: Options, lowered: Lowered, folder: Path | None = None) -> None:
        self.options = options
        self.lowered = lowered
        self._model = model
        self._folder = folder
        self._measured: Measured | None = None
        self._quantization: dict[str, Any] | None = None
        self.quantized: Quantized | None = None  # where the model was float
        self.notes = [*lowered.graph.notes]  # what the user should know
        self.not_measured = ""  # why, where measuring was tried and a tool was missing or failed

    @classmethod
    def load(cls, folder: str | Path) -> Compiled:
        """A folder that `write` or `driftc compile` made. Raises UsageError where it is not one."""
        path = Path(folder)
        record = read_record(path)
        given = record.get("options")
        options = Options.from_json(given if isinstance(given, dict) else {})
        refuse_compiler_in(path, options.cc)
        model = path / MODEL
        if not model.is_file():
            raise UsageError(f"{path}: {MODEL} is missing; compile the model again")
        content = model.read_bytes()
        if record.get("sha256", sha256(content).hexdigest()) != sha256(content).hexdigest():
            raise UsageError(f"{path}: {MODEL} is not the model that was compiled here; compile the model again")
        constants = path / ADAPTATION
        adaptation = Adaptation.read(constants) if constants.is_file() else None
        taught = path / LESSON
        lesson = read_lesson(taught) if taught.is_file() else None
        lowered = lower(model, options, title=str(record.get("model", MODEL)), adaptation=adaptation, lesson=lesson)
        found = cls(content, options, lowered, path)
        found._recall(stored.read_json(path / stored.REPORT))
        return found

    def _record(self) -> dict[str, Any]:
        """The object of report.json: the report, how it was measured, and what quantising lost."""
        found = self._measured
        steps, cycles = (found.instructions, found.cycles) if found else (None, None)
        return {
            **self.report,
            "measured_with": self.measured_with,
            "steps": None if steps is None else list(steps),
            "step_cycles": None if cycles is None else list(cycles),
            "step_waiting": found.waiting if found else None,
            "quantization": self.quantization,
        }

    def _recall(self, record: dict[str, Any]) -> None:
        """Take up what `_record` said when the folder was written."""
        self._measured = Measured.from_json(record, len(step_names(self.lowered.plan)))
        self._quantization = stored.quantization(record)

    # --- what it is ---

    @property
    def report(self) -> dict[str, Any]:
        """RAM, flash, stack, MACs and instructions; the object of `driftc compile --json`."""
        return report(self.lowered, self.options, self._measured)

    @property
    def measured_with(self) -> dict[str, Any] | None:
        """Compiler, version, flags, core and engine of what was measured."""
        return self._measured.how if self._measured else None

    @property
    def quantization(self) -> dict[str, Any] | None:
        """What each layer lost where the model was float, in dB; None where it was not."""
        return self.quantized.as_json() if self.quantized is not None else self._quantization

    @property
    def core(self) -> str:
        """The core that is emulated: the one asked for, the board's, or cortex-m4."""
        return core_of(self.options)

    @property
    def features(self) -> frozenset[str]:
        """Extensions of the core that the C needs."""
        return frozenset().union(*(call.kernel.needs for call in static_calls(self.lowered.plan.program)))

    @property
    def target(self) -> Target:
        from driftc.simulator.engine import Target

        board = self._board
        return Target(self.core, self.options.cc, self.options.optimize, board.key if board else None)

    @property
    def _board(self) -> Board | None:
        """The board, where the C is made for its core."""
        board = board_named(self.options.board)
        return board if board is not None and board.core == self.core else None

    @property
    def _access(self) -> Access | None:
        """How the board's flash is read, where the C is made for the board's core."""
        return self._board.access if self._board else None

    @cached_property
    def sources(self) -> dict[str, str | bytes]:
        """Every generated or copied file but the report: relative name -> content."""
        return {**sources(self.lowered, self.options, index_limits(self.lowered)), MODEL: self._model}

    def write(self, path: str | Path) -> None:
        """Write the folder: whole or not at all. Raises UsageError where it cannot or must not be written."""
        listed = sorted([*self.sources, stored.REPORT, stored.VERIFIED, RECORD])
        record = {
            "driftc": driftc.__version__,
            "model": self.lowered.graph.source,
            "sha256": self.lowered.graph.sha256,
            "options": self.options.as_json(),
            "interface": interface(self.lowered.plan),
            "files": listed,
        }
        write_folder(
            Path(path),
            {
                **self.sources,
                stored.REPORT: json.dumps(self._record(), indent=2) + "\n",
                RECORD: json.dumps(record, indent=2) + "\n",
            },
        )

    def pareto(self, planner: str | None = None) -> list[Point]:
        """Plans of this model that no other beats in both RAM and instructions, the untiled one first.

        `planner` places them (default: the one that the model was compiled with).
        """
        return pareto(
            planned(self.lowered.graph, self.options)[0],
            planner or self.options.planner,
            memories_of(self.options.board),
            self.core,
            tuple(grant.pair for grant in choice.grants) if (choice := self.lowered.choice) else (),
        )

    # --- running it ---

    def measure(self, *, required: bool = True) -> None:
        """Count instructions by layer, stack and code size; they appear in `report`.

        Raises ToolError where a tool is missing and `required`.
        """
        from driftc.simulator.session import measure_program

        try:
            self._measured = measure_program(self.program(), self.samples(random=1).quantized[0], self._access)
        except ToolError as error:
            if required:
                raise
            self.not_measured = str(error)

    def program(self, target: Target | None = None) -> Program:
        """What the engines take: the folder (a temporary one if it was not loaded from one) and how to read it."""
        from driftc.simulator.engine import Layer, Port, Program

        plan = self.lowered.plan

        def ports(tensors: Sequence[Any]) -> tuple[Port, ...]:
            return tuple(Port(t.label or t.name, t.shape, t.dtype, t.index) for t in tensors)

        return Program(
            folder=self._place(),
            name=plan.name,
            inputs=ports(plan.input_tensors),
            outputs=ports(plan.output_tensors),
            layers=tuple(Layer(t.label or t.name, t.hwc, t.dtype) for t in plan.layers),
            steps=step_names(plan),
            target=target or self.target,
            fed=plan.fed is not None,
            state_bytes=plan.state_bytes,
        )

    def samples(
        self,
        data: str | Path | None = None,
        *,
        random: int | None = None,
        labels: str | None = None,
        input_divisor: float = 1.0,
        sample: int | None = None,
        restart: str | None = None,
    ) -> Samples:
        """Samples from a .npz or .npy file, or `random` seeded ones and the extremes. Raises DataError.

        A model with state takes them as one sequence; `restart` begins a new one every so many samples ("100"), or
        where the array of that name in the file is not 0. `sample` is the only one, and begins a sequence.
        """
        return samples_of(
            self.lowered,
            self.options.float_io,
            None if data is None else Path(data),
            random=random,
            labels=labels,
            divisor=input_divisor,
            sample=sample,
            restart=restart,
        )

    def verify(
        self,
        data: str | Path | None = None,
        *,
        engines: Sequence[str] | None = None,
        random: int | None = None,
        labels: str | None = None,
        input_divisor: float = 1.0,
        sample: int | None = None,
        restart: str | None = None,
        save_tensors: str | Path | None = None,
        sanitize: bool = False,
        learn: bool = False,
        on: str | None = None,
        outputs: bool = False,
        update: str | Path | None = None,
        key: str | Path | None = None,
        workers: int | str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Verification:
        """Compare every tensor on every engine (default: all that are present) with the NumPy specification.

        Samples as in `samples`. `save_tensors` keeps each compared tensor in an .npz; `sanitize` runs the host engine
        under ASan and UBSan; `learn` also compares learning, and what it leaves in the state, step by step;
        `on` is the address of a board (docs/hardware.md) that takes part in place of what is present; with `outputs` it
        shows its outputs and states alone, not every tensor.
        `update` is a packet: everything is compared with its parameters. `key` is the file of what it is to be signed
        with; without it the signature is not checked, which the notes say.
        `workers` processes, or those of the Dask scheduler at this address, share the samples: it finds the same.
        `progress(done, total)` is called after each sample.
        """
        from driftc.simulator.session import verify_in_parts, verify_subject
        from driftc.simulator.updated import read_update

        if workers is not None and (save_tensors is not None or learn or on is not None):
            raise UsageError("--workers does not go with --save-tensors, --learn and --on, which take samples in a row")
        samples = self.samples(
            data, random=random, labels=labels, input_divisor=input_divisor, sample=sample, restart=restart
        )
        if key is not None and update is None:
            raise UsageError("--key belongs to --update: it is what the packet is signed with")
        codes = None if update is None else read_update(self.lowered, Path(update), None if key is None else Path(key))
        if workers is not None:
            found = verify_in_parts(self._subject(), samples, engines, sanitize, codes, workers, progress)
        else:
            found = verify_subject(
                self._subject(), samples, engines, save_tensors, sanitize, learn, progress, on, outputs, codes
            )
        if update is not None and key is None:
            found.notes.append("the update's signature was not checked: --key FILE checks it")
        if self._folder is not None and sample is None and update is None:
            difference = None if found.first_difference is None else str(found.first_difference)
            kept = {**found.as_json(), "core": self.core, "difference": difference}
            stored.keep_verification(self._folder, kept)
        return found

    def simulate(
        self,
        data: str | Path | None = None,
        *,
        engine: str | None = None,
        random: int | None = None,
        labels: str | None = None,
        input_divisor: float = 1.0,
        sample: int | None = None,
        restart: str | None = None,
        on: str | None = None,
        workers: int | str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Simulation:
        """Outputs, accuracy, instructions and stack on one engine (default: unicorn, else qemu, else host).

        `on` is the address of a board (docs/hardware.md) that runs them instead. `workers` as in `verify`.
        """
        from driftc.simulator.session import simulate_subject

        if workers is not None and on is not None:
            raise UsageError("--workers: a board takes samples in a row; leave out --workers or --on")
        samples = self.samples(
            data, random=random, labels=labels, input_divisor=input_divisor, sample=sample, restart=restart
        )
        return simulate_subject(self._subject(), samples, engine, progress, on, workers)

    def teach(
        self,
        stream: str | Path,
        data: str | Path | None = None,
        *,
        every: int | None = None,
        engine: str | None = None,
        input_divisor: float = 1.0,
    ) -> Taught:
        """Learn the labelled samples of `stream`, in their order, `every` so many of them (None: as the store allows).

        Accuracy before and after each time is on `data` (None: on the stream itself).
        """
        from driftc.simulator.session import teach_subject

        taught = self.samples(stream, input_divisor=input_divisor)
        tests = taught if data is None else self.samples(data, input_divisor=input_divisor)
        return teach_subject(self._subject(), taught, tests, every, engine)

    def adapt(
        self, stream: str | Path, *, block: int | None = None, engine: str | None = None, input_divisor: float = 1.0
    ) -> Adapted:
        """Adapt to the samples of `stream`, in their order, without their labels: these are for the score alone.

        Accuracy by `block` samples (None: 100), beside that of the same network without learning. Raises UsageError
        where the model was not compiled with --learn ecotta.
        """
        from driftc.simulator.session import adapt_subject

        return adapt_subject(self._subject(), self.samples(stream, input_divisor=input_divisor), block, engine)

    def _subject(self) -> Subject:
        from driftc.simulator.session import Subject

        return Subject(self.lowered, self.options, self.program(), self.model_file, self.edited)

    @property
    def model_file(self) -> Path:
        """The model, for the reference engines."""
        return self._place() / MODEL

    def edited(self) -> list[str]:
        """Generated files of the loaded folder that no longer are what driftc writes."""
        folder = self._place()

        def same(name: str, content: str | bytes) -> bool:
            expected = content if isinstance(content, bytes) else content.encode()
            path = folder / name
            return path.is_file() and path.read_bytes() == expected

        return [name for name, content in self.sources.items() if not same(name, content)]

    def _place(self) -> Path:
        """The folder; a temporary one that goes with this object where it was not loaded from one."""
        if self._folder is None:
            root = Path(tempfile.mkdtemp(prefix="driftc-"))
            weakref.finalize(self, shutil.rmtree, root, ignore_errors=True)
            self.write(root / self.lowered.plan.name)
            self._folder = root / self.lowered.plan.name
        return self._folder


def board_named(name: str | None) -> Board | None:
    """The board of that name; None: no board. Raises UsageError."""
    if name is None:
        return None
    from driftc.boards import load

    return load(name)
