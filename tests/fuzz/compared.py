"""How accepted mutants are proven: the Plan in NumPy, the C under sanitizers, TFLite Micro; and with other options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from driftc.codegen.api import Keywords, compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.samples import Samples, random
from driftc.codegen.sampling import index_limits
from driftc.simulator.engine import FIRST, Array, Engine, Starts, Target
from driftc.simulator.host import HostEngine
from driftc.simulator.reference import GraphRun, PlanRun
from driftc.simulator.references import ReferenceRefused, TflmReference
from driftc.simulator.references.worker import Worker, outline
from driftc.simulator.verify import verify

OPTIONS: dict[str, Keywords] = {
    "mve": {"core": "cortex-m55"},
    "portable": {"core": "cortex-m0plus"},
    "blocked": {"core": "rv32imc"},
    "ram": {"minimize": "ram"},
    "ram-mve": {"minimize": "ram", "core": "cortex-m85", "overhead": 100.0},
    "rows": {"feed": "rows"},
    "rows-kept": {"feed": "rows", "keep_constant": True, "overhead": 300.0},
    "kept": {"keep_constant": True, "planner": "greedy"},
    "litert": {"match": "litert", "core": "cortex-m3"},
    "float": {"float_io": True},
    "fixed": {"adapt": "fixed"},
    "lean": {"adapt": "lean", "core": "cortex-m55"},
    "lean-16": {"adapt": "lean", "adapt_precision": "int16"},
    "fixed-32": {"adapt": "fixed", "adapt_precision": "int32", "feed": "rows"},
}
CALIBRATION = 16  # samples; fewer are refused


class KeptTflm(TflmReference):
    """One child process for all models, as long as it lives: starting one takes longer than a small model."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def run(
        self, model: Path, samples: Sequence[Sequence[Array]], starts: Starts = FIRST, *, timeout: float = 60.0
    ) -> Iterator[dict[int, Array]]:
        known = outline("TFLite Micro", model)
        if self._worker is None:
            self._worker = Worker("TFLite Micro", model, timeout=timeout).__enter__()
        worker = self._worker
        try:
            worker.ask({"do": "open", "kind": "tflm", "model": str(model), "tensors": known.tensors})
            for number, sample in enumerate(samples):
                restart = known.stateful and number > 0 and number in starts
                yield worker.ask({"do": "run", "restart": restart}, sample)[1]
        except ReferenceRefused:
            self.close()
            raise

    def close(self) -> None:
        if self._worker is not None:
            self._worker.__exit__(None, None, None)
            self._worker = None


def samples_of(compiled: Compiled) -> Samples:
    return random(1, compiled.lowered.graph.inputs, index_limits(compiled.lowered))


def plan_in_numpy(compiled: Compiled) -> None:
    """The Plan computes what the Graph says, layer by layer."""
    lowered = compiled.lowered
    graph, plan = GraphRun(lowered.graph), PlanRun(lowered.plan)
    for sample in samples_of(compiled).quantized:
        values = graph.run(sample)
        outputs, layers = (plan if lowered.plan.states else PlanRun(lowered.plan)).run(sample)
        for tensor, layer in zip(lowered.plan.layers, layers, strict=True):
            assert np.array_equal(values[tensor.name].reshape(layer.shape), layer), f"Plan and Graph differ: {tensor}"
        for tensor, output in zip(lowered.plan.output_tensors, outputs, strict=True):
            assert np.array_equal(values[tensor.name], output), f"Plan and Graph differ: output {tensor}"


def everywhere(compiled: Compiled, *, sanitize: bool, reference: TflmReference | None = None) -> bool:
    """Graph, Plan, the C under ASan and UBSan, and TFLite Micro agree; whether the last of them took the model."""
    engines: list[Engine] = [HostEngine(sanitize=True)] if sanitize else []
    found = verify(
        compiled.lowered,
        compiled.program(Target(core=compiled.core, cc="gcc")),
        compiled.model_file,
        samples_of(compiled),
        [] if reference is None else [reference],
        engines,
        compiled.options.match,
        lambda: None,
    )
    assert found.first_difference is None, f"{found.first_difference}"
    return "tflm" in found.engines


def with_options(compiled: Compiled, path: Path, name: str) -> Compiled:
    """`compiled`, which was made from `path`, with OPTIONS[name]. Raises DriftcError where it is refused with them."""
    keywords: Any = {"planner": "greedy", **OPTIONS[name]}
    if "adapt" in keywords:
        keywords["calibrate"] = path.with_suffix(".npz")
        chance = np.random.default_rng(0)
        columns: dict[str, Any] = {}
        for tensor in compiled.lowered.graph.inputs:
            inner = tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape
            column = chance.integers(*tensor.limits, (CALIBRATION, *inner), endpoint=True)
            columns[tensor.name] = column.astype(tensor.dtype)
        np.savez(keywords["calibrate"], **columns)
    return compile(path, measure=False, **keywords)
