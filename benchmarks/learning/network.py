"""A network for streams of images: what lies before its pool taken once, and what follows as NAME_adapt.c has it.

The first does not learn, so its sums are those that the C on this machine leaves in the state; the second is the
device's integers in NumPy, which `checked` holds to the whole specification.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).resolve().parents[1] / "robustness"))

import images as images
from kept import kept

import driftc
from driftc.codegen import adaptation
from driftc.codegen.adaptation.adapt import adapt
from driftc.codegen.errors import UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.learning.ecotta import MetaLearner, Place, place_of
from driftc.codegen.learning.layers import part
from driftc.codegen.learning.learned import prepared
from driftc.codegen.learning.lesson import Meta
from driftc.codegen.lower import read
from driftc.codegen.operators.convolution.fully_connected import FullyConnected
from driftc.codegen.operators.learn.meta import PoolSums
from driftc.codegen.samples import load
from driftc.simulator.engines import engine
from driftc.simulator.learning import Event, Kind, MetaSpecification, run

CALIBRATION = {"resnet8": 500, "resnet20": 96}  # of more the larger network's fit takes too long
CHECKED = 6
RUNNING = 7  # compiled so, that sums of squares are kept too
MODELS: dict[str, Callable[[Path], Path]] = {"resnet8": images.resnet8, "resnet20": images.resnet20}
Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Set:
    """Samples as the frozen network has them in front of the pool: sums and sums of squares [n, F]; labels.

    A label of -1 is none: such a sample is learnt from, and not scored. `source` is what the int8 network without live
    layers decides.
    """

    sums: NDArray[Any]
    squares: NDArray[Any]
    labels: Labels
    source: Labels

    def __getitem__(self, order: Labels) -> Set:
        return Set(self.sums[order], self.squares[order], self.labels[order], self.source[order])

    @staticmethod
    def of(sets: list[Set]) -> Set:
        columns = zip(*((s.sums, s.squares, s.labels, s.source) for s in sets), strict=True)
        return Set(*(np.concatenate(found) for found in columns))


class Network:
    """Compiled with --adapt calibrated --learn ecotta, and as it is; what was found is kept in `out`."""

    def __init__(self, name: str, out: Path) -> None:
        self.out = out / name
        self.out.mkdir(parents=True, exist_ok=True)
        self.path = MODELS[name](out)
        task = images.load(self.path, "dev", 1)
        given = self.out / "calibration.npz"
        x = task.calibration[: CALIBRATION[name]]
        np.savez(given, x=x)
        how: dict[str, Any] = {"calibrate": given, "name": "model", "planner": "greedy", "measure": False}
        live: dict[str, Any] = {"adapt": "calibrated", "augment": "image", "learn": "ecotta", "adapt_running": RUNNING}

        def compiled(place: str, more: dict[str, Any]) -> Path:
            fitted = sorted(Path(adaptation.__file__).parent.glob("*.py")) if more else []
            parts = (self.path, x, how["planner"], more, *fitted)
            return kept(self.out / place, parts, driftc.compile(self.path, **how, **more).write)

        self.folders = compiled("model", live), compiled("plain", {})
        self.compiled, self.plain = map(driftc.Compiled.load, self.folders)
        lowered = self.compiled.lowered
        assert lowered.learned is not None and isinstance(lowered.learned.lesson, Meta)
        assert lowered.adaptation is not None
        self.lesson = lowered.learned.lesson
        self._model = adapt(read(self.compiled.model_file, self.compiled.options, "model")[1], lowered.adaptation)

    @property
    def place(self) -> Place:
        return place_of(self._model)

    def prepared(self, rate: float, running: int) -> tuple[Graph, Graph]:
        """The model that learns and a step of it, as compiled with another --learn-rate and --adapt-running."""
        statistics: dict[str, Any] = {} if running else {"centres": (), "spreads": ()}
        return prepared(self._model, replace(self.lesson, rate=rate, running=running, **statistics))

    def seen(self, name: str, x: Images, labels: Labels) -> Set:
        """The images `x` as a set; `name` is for its file."""

        def make(path: Path) -> None:
            asked = path.with_name("asked.npz")
            np.savez(asked, x=x)
            lowered = self.compiled.lowered
            events = [Event(Kind.INFER, 0, sample) for sample in load(asked, lowered.graph.inputs).quantized]
            states = [outcome.states for outcome, _ in run(engine("host"), self.compiled.program(), lowered, events)]
            decided = [int(np.argmax(output[0])) for output in self.plain.simulate(asked, engine="host").outputs]
            found: dict[str, Any] = {
                key: np.concatenate([state[key] for state in states]) for key in ("sums", "squares")
            }
            np.savez(path, source=decided, **found)

        with np.load(kept(self.out / f"{name}.npz", (*self.folders, x), make)) as file:
            return Set(file["sums"], file["squares"], labels, file["source"])

    def checked(self, x: Images, found: Set) -> None:
        """That learning from the sums leaves the states of the whole specification. Raises UsageError where not."""
        asked = self.out / "asked.npz"
        np.savez(asked, x=x[:CHECKED])
        lowered = self.compiled.lowered
        whole, device = MetaSpecification(lowered), Device(self, self.lesson.rate, RUNNING)
        for n, sample in enumerate(load(asked, lowered.graph.inputs).quantized):
            expected = whole(Event(Kind.ADD, 0, sample)).states
            device.decide(found, n)
            device.learn()
            for name, value in expected.items():
                if not np.array_equal(value, device.learner.values[name]):
                    raise UsageError(f"sample {n}: {name} of the stored sums are not the specification's")


class Device:
    """What follows the pool's sums, and learns, by the device's integers."""

    def __init__(self, network: Network, rate: float, running: int, held: bool = True) -> None:
        """`held`: with the L1 that holds the map near the identity."""
        graph, step = network.prepared(rate, running)
        if not held:
            loose: dict[str, Any] = {"hold_gain": (1, 62), "hold_offset": 0}
            operators = [replace(op, **loose) if op.kind == "META_UPDATE" else op for op in step.operators]
            step = step.with_operators(operators)
        self.learner = MetaLearner(step)
        self._states = {state.tensor.name: part(state.tensor) for state in graph.states}
        first = next(n for n, op in enumerate(graph.operators) if isinstance(op, PoolSums))
        last = next(n for n, op in enumerate(graph.operators) if isinstance(op, FullyConnected))
        self._sums = graph.operators[first].outputs[0].name
        self._behind = [op for op in graph.operators[first + 1 : last + 1] if op.kind != "POOL_SQUARES"]

    def decide(self, given: Set, n: int) -> int:
        """The class of sample `n`; what an inference leaves in the state is there for `learn`."""
        values = {name: self.learner.values[what] for name, what in self._states.items() if what in self.learner.values}
        values[self._sums] = given.sums[n : n + 1]
        for operator in self._behind:
            arrays = (t.data if t.data is not None else values[t.name].reshape(t.shape) for t in operator.inputs)
            values |= dict(zip((t.name for t in operator.outputs), operator.spec(*arrays), strict=True))
        logits = np.asarray(values[operator.outputs[0].name], np.int8).reshape(1, -1)
        left = {"sums": given.sums[n : n + 1], "squares": given.squares[n : n + 1], "logits": logits}
        self.learner.infer(**{name: value for name, value in left.items() if name in self.learner.values})
        return int(np.argmax(logits))

    def learn(self) -> int:
        return self.learner.adapt()
