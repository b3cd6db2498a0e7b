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
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import DriftcError, ModelError
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.codegen.report.tables import print_report
from driftc.simulator.references import TflmReference
from fuzz.compared import everywhere, plan_in_numpy, with_options

SECONDS = 20.0  # of processor time, for one mutant
SECONDS_WITH_OPTIONS = 60.0  # for one that is planned with options
MEBIBYTES = 1024  # of resident memory, at any time
ADDRESS_SPACE = 3 << 30  # bytes beyond what the process has: a bound on the damage, should a mutant take more
MOST_MACS = 5_000_000  # above, the specification is not run in NumPy
FILE = "mutant.tflite"
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")
# A refusal begins with the file and says which of its parts is at fault.
CLEAR = re.compile(
    r"mutant\.tflite: (header|model|subgraph \d+|operator \d+|tensor \d+|tensor '|input '|output '|the model|not a|"
    r"not supported: |[A-Z0-9_]+ '|[a-z0-9_]+: (reads|computes) )"
)


class TooSlow(BaseException):
    """A mutant took longer than SECONDS; not an Exception, so that nothing swallows it."""


@dataclass(frozen=True)
class Checks:
    """What an accepted mutant must stand, beside being emitted.

    `planner`: as --planner. `build`: every warning of gcc is an error, and the report is printed. `run`: the Plan
    computes what the Graph says, in NumPy. `sanitize`: so does the C, under ASan and UBSan. `reference`: so does TFLite
    Micro, where it takes the model. `options`: it is compiled with compared.OPTIONS of that name too, and what is made
    stands the same.
    """

    planner: str = "optimal"
    build: bool = False
    run: bool = False
    sanitize: bool = False
    reference: TflmReference | None = None
    options: str = ""


@dataclass(frozen=True)
class Verdict:
    """`fault` says what driftc did wrong, "" for nothing; `compiled` whether it took the mutant as a model.

    `stood` are the checks that it stood, "tflm" and names of options among them.
    """

    compiled: bool
    fault: str = ""
    message: str = ""
    stood: tuple[str, ...] = ()


def judge(folder: Path, data: bytes, checks: Checks) -> Verdict:
    """Compile `data` as a model in `folder`, and hold it to `checks`."""
    path = folder / FILE
    path.write_bytes(data)
    before = peak_mebibytes()  # the process may have had more, with a framework loaded
    options = Options(core="cortex-m4", planner=checks.planner)
    stood: list[str] = []
    try:
        with limited(), warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                lowered = lower(path, options)
            except ModelError as error:
                return Verdict(False, unclear(str(error)), str(error))
            compiled = Compiled(data, options, lowered)
            sizeable = sum(layer["macs"] for layer in compiled.report["layers"]) > MOST_MACS
            sources = _sources(compiled, selftest=(checks.build or checks.sanitize) and not sizeable)
        if checks.build:
            _compile(folder, sources)
        if not sizeable:
            stood += _stands(compiled, checks)
            stood += _with_options(compiled, path, checks) if checks.options else []
            if checks.build:
                print_report(compiled, folder)
    except TooSlow:
        return Verdict(True, f"not done in time\n{_where()}")
    except DriftcError as error:
        return Verdict(True, f"accepted, then {type(error).__name__}: {error}")
    except Exception:
        return Verdict(True, _where())
    if (used := peak_mebibytes()) > max(MEBIBYTES, before):
        return Verdict(True, f"takes {used} MiB")
    return Verdict(True, stood=tuple(stood))


def _stands(compiled: Compiled, checks: Checks) -> list[str]:
    stood = []
    if checks.run:
        plan_in_numpy(compiled)
        stood.append("plan")
    if checks.sanitize or checks.reference is not None:
        taken = everywhere(compiled, sanitize=checks.sanitize, reference=checks.reference)
        stood += ["host"] * checks.sanitize + ["tflm"] * taken
    return stood


def _with_options(compiled: Compiled, path: Path, checks: Checks) -> list[str]:
    try:
        with limited(SECONDS_WITH_OPTIONS), warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                other = with_options(compiled, path, checks.options)
            except DriftcError as error:
                if len(str(error).splitlines()) != 1 or not str(error).isprintable() or len(str(error)) > 1500:
                    raise AssertionError(f"with options {checks.options}: not one line: {error!s:.300}") from None
                return [f"{checks.options} refused"]
            sources = other.sources
        if checks.build:
            _compile(path.parent, sources)
        _stands(other, replace(checks, run=True, reference=None))
    except Exception as problem:
        problem.add_note(f"with options {checks.options}")
        raise
    return [checks.options]


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


def _address_space() -> int:
    """Bytes mapped by this process: gigabytes where tests before this one loaded frameworks into it."""
    mapped = Path("/proc/self/statm")
    return int(mapped.read_text().split()[0]) * resource.getpagesize() if mapped.is_file() else 0


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


@contextmanager
def limited(seconds: float = SECONDS) -> Iterator[None]:
    """Inside, raise TooSlow after `seconds`, and MemoryError beyond ADDRESS_SPACE more than there is."""

    def expire(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, expire)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(OSError, ValueError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + ADDRESS_SPACE, hard))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))  # ASan's shadow takes terabytes of it
