"""What a mutant must do: be refused in one clear line, or become C that compiles and computes what the Graph says."""

from __future__ import annotations

import contextlib
import re
import resource
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np

from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import DriftcError, ModelError
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.codegen.report.tables import print_report
from driftc.codegen.samples import random
from driftc.simulator.engine import Target
from driftc.simulator.host import HostEngine
from driftc.simulator.reference import GraphRun, PlanRun

SECONDS = 20.0  # of processor time, for one mutant
MEBIBYTES = 1024  # of resident memory, at any time
ADDRESS_SPACE = 3 << 30  # a bound on the damage, should it take more
MOST_MACS = 5_000_000  # above, the specification is not run in NumPy
FILE = "mutant.tflite"
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")
# A refusal begins with the file and says which of its parts is at fault.
CLEAR = re.compile(
    r"mutant\.tflite: (header|model|subgraph \d+|operator \d+|tensor \d+|tensor '|input '|output '|the model|not a|"
    r"not supported: |[a-z0-9_]+: (reads|computes) )"
)


class TooSlow(BaseException):
    """A mutant took longer than SECONDS; not an Exception, so that nothing swallows it."""


@dataclass(frozen=True)
class Verdict:
    """`fault` says what driftc did wrong, "" for nothing; `compiled` whether it took the mutant as a model."""

    compiled: bool
    fault: str = ""
    message: str = ""


def judge(folder: Path, data: bytes, *, build: bool, run: bool, sanitize: bool = False) -> Verdict:
    """Compile `data` as a model in `folder`.

    `build` also compiles the C with every warning as an error, `run` compares the Plan with the Graph in NumPy, and
    `sanitize` the C under ASan and UBSan with the Plan.
    """
    path = folder / FILE
    path.write_bytes(data)
    before = peak_mebibytes()  # the process may have had more, with a framework loaded
    try:
        with limited(), warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                lowered = lower(path, Options())
            except ModelError as error:
                return Verdict(False, unclear(str(error)), str(error))
            compiled = Compiled(data, Options(core="cortex-m4"), lowered)
            sizeable = sum(layer["macs"] for layer in compiled.report["layers"]) > MOST_MACS
            sources = _sources(compiled, selftest=(build or sanitize) and not sizeable)
        if build:
            _compile(folder, sources)
        if run and not sizeable:
            _compare(compiled, sanitize)
        if build and not sizeable:
            print_report(compiled, folder)
    except TooSlow:
        return Verdict(True, f"not done after {SECONDS:g} s\n{_where()}")
    except DriftcError as error:
        return Verdict(True, f"accepted, then {type(error).__name__}: {error}")
    except Exception:
        return Verdict(True, _where())
    if (used := peak_mebibytes()) > max(MEBIBYTES, before):
        return Verdict(True, f"takes {used} MiB")
    return Verdict(True)


def peak_mebibytes() -> int:
    """The most memory that this process has ever had resident.

    Not by getrusage on Linux: there a child begins with its parent's peak, even after exec.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) >> 10
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used >> (20 if sys.platform == "darwin" else 10)


def _where() -> str:
    return "".join(traceback.format_exc().splitlines(keepends=True)[-14:])


def unclear(message: str) -> str:
    """Why `message` is not a clear refusal, or nothing."""
    if not CLEAR.match(message):
        return f"names neither file nor table: {message}"
    if len(message.splitlines()) != 1 or not message.isprintable():
        return f"not one printable line: {message!r}"
    return f"{len(message)} characters long: {message[:200]}" if len(message) > 1500 else ""


def _sources(compiled: Compiled, selftest: bool) -> dict[str, str | bytes]:
    if selftest:
        return compiled.sources
    from driftc.codegen.emit.emit import emit

    graph = compiled.lowered.graph
    return dict(
        emit(compiled.lowered.plan, source=graph.source, sha256=graph.sha256, float_border=bool(graph.float_border))
    )


def _compile(folder: Path, sources: dict[str, str | bytes]) -> None:
    from importlib.resources import files

    firmware = [path for path in files("driftc").joinpath("firmware").iterdir() if path.name.endswith(".h")]
    held = {**{path.name: path.read_text(encoding="utf-8") for path in firmware}, **sources}
    for name, content in held.items():
        if name.endswith((".c", ".h")) and "/" not in name:
            assert isinstance(content, str)
            (folder / name).write_text(content, encoding="utf-8")
    units = [name for name in held if name.endswith(".c") and "/" not in name]
    done = subprocess.run(
        ["gcc", *WARNINGS, "-O1", "-c", *units], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    for file in folder.glob("*.[cho]"):
        file.unlink()
    if done.returncode != 0:
        raise AssertionError("the C does not compile:\n" + "\n".join(done.stderr.splitlines()[:12]))


def _compare(compiled: Compiled, sanitize: bool) -> None:
    lowered = compiled.lowered
    samples = random(1, lowered.graph.inputs, compiled._index_limits()).quantized
    wanted = []
    graph, plan = GraphRun(lowered.graph), PlanRun(lowered.plan)
    for sample in samples:
        values = graph.run(sample)
        outputs, layers = (plan if lowered.plan.states else PlanRun(lowered.plan)).run(sample)
        for tensor, layer in zip(lowered.plan.layers, layers, strict=True):
            assert np.array_equal(values[tensor.name].reshape(layer.shape), layer), f"Plan and Graph differ: {tensor}"
        for tensor, output in zip(lowered.plan.output_tensors, outputs, strict=True):
            assert np.array_equal(values[tensor.name], output), f"Plan and Graph differ: output {tensor}"
        wanted.append((outputs, layers))
    if not sanitize:
        return
    runs = HostEngine(sanitize=True).run(compiled.program(Target(cc="gcc")), samples, trace=True)
    for (outputs, layers), found in zip(wanted, runs, strict=True):
        for number, layer in enumerate(layers):
            assert np.array_equal(found.tensors[number], layer), f"C and Plan differ: {lowered.plan.layers[number]}"
        for mine, theirs in zip(outputs, found.outputs, strict=True):
            assert np.array_equal(mine, theirs), "C and Plan differ in an output"


@contextmanager
def limited() -> Iterator[None]:
    """Inside, raise TooSlow after SECONDS, and MemoryError beyond ADDRESS_SPACE."""

    def expire(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, expire)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(OSError, ValueError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, hard))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))  # ASan's shadow takes terabytes of it
