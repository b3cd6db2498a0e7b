"""The Python API: `driftc.compile(model) -> Compiled`. The command line is a thin layer over this."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from driftc.codegen.adaptation.constants import Adaptation
from driftc.codegen.adaptation.find import find, method_named
from driftc.codegen.adaptation.known import known
from driftc.codegen.adaptation.learning import Learning
from driftc.codegen.compiled import MODEL, Compiled, board_named
from driftc.codegen.errors import UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.lower import lower, read
from driftc.codegen.names import model_name
from driftc.codegen.operators.adapt.live import PRECISIONS
from driftc.codegen.options import Options
from driftc.codegen.passes.border import border
from driftc.codegen.plan.plan import Plan
from driftc.codegen.quantize.post_training import Quantized, Settings, quantize_file
from driftc.codegen.report.report import check_fit, check_ram, report

Watch = Callable[[str, Graph | Plan], None]
Progress = Callable[[int, int], None]


def compile(
    model: str | Path,
    *,
    board: str | None = None,
    name: str | None = None,
    match: str = "tflm",
    float_io: bool = False,
    planner: str = "optimal",
    core: str | None = None,
    cc: str | None = None,
    optimize: str = "2",
    ram: int | None = None,
    minimize: str = "instructions",
    overhead: float = 15.0,
    feed: str | None = None,
    measure: bool | None = None,
    calibrate: str | Path | None = None,
    settings: Settings | None = None,
    watch: Watch | None = None,
    adapt: str | None = None,
    adapt_layers: str = "all",
    adapt_budget: float | None = None,
    adapt_precision: str | None = None,
    adapt_rank: int | None = None,
    adapt_clean: float | None = None,
    adapt_constants: str | Path | None = None,
    augment: str | Path | None = None,
    progress: Progress | None = None,
) -> Compiled:
    """Compile an int8 .tflite file, or a float model with sample inputs to calibrate it with, to C.

    `board` is a name from `driftc boards` (None: nothing is checked for fit); `name` the C prefix (default: the file's
    stem); `match` whose rounding is generated, "tflm" or "litert"; `float_io` adds NAME_invoke_float. `planner` places
    the buffers: "optimal", which proves the arena the smallest and needs OR-Tools, or "greedy". Where the arena is
    larger than `ram` bytes (None: the board's RAM), layers are computed in parts until it fits, with the fewest extra
    instructions; `minimize`="ram" makes it the smallest within `overhead` percent more instructions. `feed`="rows"
    makes NAME_feed, which takes the input row by row, and an arena that never holds it whole (unless `ram` is given,
    the smallest within `overhead`). `measure` counts
    instructions, stack and code size on the emulated `core` with the compiler `cc` at -O`optimize` (None: where the
    extra `sim` is installed). `watch` sees the Graph or Plan after each stage. With `calibrate` and `settings` a float
    model becomes int8 as in `quantize`; `progress(done, total)` counts its samples.

    `adapt` names a method ("fixed", ...): the layers in `adapt_layers` ("all", a share, names, or "auto": the best that
    add at most `adapt_budget` percent to the instructions, 12 if None) then normalise each sample by its own
    statistics, with constants found on the samples in `calibrate` (real values are divided by
    `settings.input_divisor`), or read from `adapt_constants`. A float model's normalisations keep what they learnt in
    training. `augment` is how "calibrated" shifts samples: "image", "spectrum", "motion" (None: as the input's shape
    says), or a .npz of shifted samples. `adapt_precision` is that of values before normalisation: "int8", "int16" or
    "int32" (None: that of `adapt_constants`, else "int8"). `adapt_rank`, 1 to 16, gives "calibrated" a term of that
    rank, by which what all channels of a layer say together moves each of them (None: without). `adapt_clean` weighs
    what it loses where nothing is shifted against what it gains where something is (None: its own).

    Raises ModelError (the file), FitError (the board or `ram`), UsageError (the options) or ToolError (a missing tool).
    """
    options = Options(name, board, core, match, float_io, planner, cc, optimize, ram, minimize, overhead, feed)
    found = board_named(board)
    if adapt_precision is not None and adapt_precision not in PRECISIONS:
        raise UsageError(f"adapt precision '{adapt_precision}' is none of {', '.join(PRECISIONS)}")
    divisor = settings.input_divisor if settings else 1.0
    learning = Learning(None if augment is None else str(augment), divisor, adapt_rank, adapt_clean)
    method = adapt if adapt_constants is None else None
    learning.check(method, method is not None and method_named(method).fitting is not None)
    path = Path(model)
    quantized = None
    if calibrate is not None and (adapt is None or path.suffix != ".tflite"):  # else the samples are for adapting alone
        chosen = replace(settings or Settings(), float_border=float_io)
        prefix = model_name(name or path.stem)
        quantized = quantize_file(path, Path(calibrate), chosen, name=prefix, watch=watch, progress=progress)
    with _as_file(path, quantized.model if quantized else None) as file:
        adaptation: Adaptation | None = None
        notes: list[str] = []
        if adapt_constants is not None:
            adaptation = Adaptation.read(Path(adapt_constants))
            adaptation = replace(adaptation, precision=adapt_precision or adaptation.precision)
        elif adapt is not None:
            adaptation, notes = _adaptation(
                read(file, options, path.name)[1],
                adapt,
                adapt_layers,
                adapt_budget,
                adapt_precision or "int8",
                calibrate,
                learning,
                progress,
                quantized,
            )
        lowered = lower(file, options, watch, path.name, adaptation)
        compiled = Compiled(file.read_bytes(), options, lowered)
    compiled.quantized = quantized
    compiled.notes += notes
    check_ram(lowered, options)
    if found is not None:  # before measuring: what cannot fit by its arena alone need not be built
        check_fit(report(lowered, compiled.options, None), lowered, found)
    if measure or measure is None:
        compiled.measure(required=bool(measure))
    if found is not None:
        check_fit(compiled.report, lowered, found)
    return compiled


def quantize(
    model: str | Path,
    calibrate: str | Path,
    settings: Settings | None = None,
    *,
    watch: Watch | None = None,
    progress: Progress | None = None,
) -> Quantized:
    """Make a float model int8, as a .tflite that TFLite Micro and LiteRT run; `Quantized.write` stores it.

    `model` is .keras, .h5, a SavedModel folder, .onnx, .pt2 or a float .tflite; `calibrate` an .npz or .npy of sample
    inputs, labels not needed.

    Raises ModelError (the model), DataError (the samples), UsageError (the options) or ToolError (a missing framework).
    """
    return quantize_file(Path(model), Path(calibrate), settings or Settings(), watch=watch, progress=progress)


@contextmanager
def _as_file(path: Path, content: bytes | None) -> Iterator[Path]:
    """`path` itself, or for as long as it is needed a file of `content`."""
    if content is None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="driftc-") as folder:
        made = Path(folder) / MODEL
        made.write_bytes(content)
        yield made


def _adaptation(
    model: Graph,
    method: str,
    layers: str,
    budget: float | None,
    precision: str,
    data: str | Path | None,
    learning: Learning,
    progress: Callable[[int, int], None] | None,
    quantized: Quantized | None,
) -> tuple[Adaptation, list[str]]:
    """The constants of `method`, found on the calibration data. `quantized`: where `model` was made of a float one."""
    from driftc.codegen import samples as source

    method_named(method)
    if data is None:
        raise UsageError(f"--adapt {method}: needs --calibrate FILE, samples of what the model was trained on")
    samples = source.load(Path(data), border(model).inputs, divisor=learning.divisor)
    norms = known(quantized, model) if quantized else None
    return find(model, method, layers, samples, learning, progress, norms, precision, budget)
