"""The Python API: `driftc.compile(model) -> Compiled`. The command line is a thin layer over this."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from driftc.codegen.adaptation.adapt import adapt as adapt_graph
from driftc.codegen.adaptation.adapting import Adapting
from driftc.codegen.adaptation.learning import Learning
from driftc.codegen.class_names import check_count, class_names
from driftc.codegen.compiled import MODEL, Compiled, board_named
from driftc.codegen.errors import ModelError, UsageError
from driftc.codegen.graph import Graph
from driftc.codegen.learning.teaching import Teaching
from driftc.codegen.lower import core_of, lower, read
from driftc.codegen.names import model_name
from driftc.codegen.operators.convolution.weighted import Weighted
from driftc.codegen.options import Options
from driftc.codegen.plan.plan import Plan
from driftc.codegen.quantize.post_training import Quantized, Settings, quantize_file
from driftc.codegen.report.report import check_fit, check_ram, report

Watch = Callable[[str, Graph | Plan], None]
Progress = Callable[[int, int], None]


class Keywords(TypedDict, total=False):
    """The options of `compile` beside the model and its samples: the fields of Options, and what is live."""

    board: str | None
    name: str | None
    match: str
    float_io: bool
    planner: str
    core: str | None
    cc: str | None
    optimize: str
    ram: int | None
    minimize: str
    overhead: float
    flash_for_speed: int
    feed: str | None
    keep_constant: bool
    class_names: str | Path | Sequence[str] | None
    updatable: str | None
    upload: str | None
    upload_budget: int
    upload_share: float
    upload_copy: str | None
    adapt: str | None
    adapt_layers: str
    adapt_budget: float | None
    adapt_precision: str | None
    adapt_rank: int | None
    adapt_clean: float | None
    adapt_constants: str | Path | None
    augment: str | Path | None
    learn: str | None
    learn_classes: int | None
    learn_store: int | None
    learn_keep: int
    learn_rate: float | None
    learn_passes: int
    learn_guard: bool
    learn_hold: float | None
    learn_layers: int
    learn_parts: int
    learn_masters: int
    learn_ram: int | None
    adapt_running: int | None


def compile(
    model: str | Path,
    *,
    calibrate: str | Path | None = None,
    settings: Settings | None = None,
    measure: bool | None = None,
    watch: Watch | None = None,
    progress: Progress | None = None,
    **keywords: Unpack[Keywords],
) -> Compiled:
    """Compile an int8 .tflite file, or a float model with sample inputs to calibrate it with, to C.

    `board` is a name from `driftc boards` (None: nothing is checked for fit); `name` the C prefix (default: the file's
    stem); `match` whose rounding is generated, "tflm" or "litert"; `float_io` adds NAME_invoke_float. `planner` places
    the buffers: "optimal", which proves the arena the smallest and needs OR-Tools, or "greedy". Where the arena is
    larger than `ram` bytes (None: the board's RAM), layers are computed in parts until it fits, with the fewest extra
    instructions; `minimize`="ram" makes it the smallest within `overhead` percent more instructions. Constants may grow
    by `flash_for_speed` bytes for kernels that take fewer instructions. `feed`="rows"
    makes NAME_feed, which takes the input row by row, and an arena that never holds it whole (unless `ram` is given,
    the smallest within `overhead`). `measure` counts
    instructions, stack and code size on the emulated `core` with the compiler `cc` at -O`optimize` (None: where the
    extra `sim` is installed). `watch` sees the Graph or Plan after each stage. With `calibrate` and `settings` a float
    model becomes int8 as in `quantize`; `progress(done, total)` counts its samples. `class_names` are those of the
    output's values, in order: "yes,no", a text file with one a line, or a sequence. Channels proven the same for every
    input are removed, unless `keep_constant`.

    `adapt` names a method ("fixed", ...): the layers in `adapt_layers` ("all", a share, names, or "auto": the best that
    add at most `adapt_budget` percent to the instructions, 12 if None) then normalise each sample by its own
    statistics, with constants found on the samples in `calibrate` (real values are divided by
    `settings.input_divisor`), or read from `adapt_constants`. A float model's normalisations keep what they learnt in
    training. `augment` is how "calibrated" shifts samples: "image", "spectrum", "motion" (None: as the input's shape
    says), or a .npz of shifted samples. `adapt_precision` is that of values before normalisation: "int8", "int16" or
    "int32" (None: that of `adapt_constants`, else "int8"). `adapt_rank`, 1 to 16, gives "calibrated" a term of that
    rank, by which what all channels of a layer say together moves each of them (None: without). `adapt_clean` weighs
    what it loses where nothing is shifted against what it gains where something is (None: its own).

    `updatable` makes the gains and offsets of layers ("all", or names with commas between) parameters that a server's
    signed packets change (NAME_update.h). `upload` chooses samples that are worth sending there, by "entropy" or at
    "random" (`upload_share` of them), at most `upload_budget` a round (NAME_upload.h); with `upload_copy`="caller" the
    input is not kept for that. It makes all layers updatable.

    `learn` names a method ("classifier"): the last dense layer then learns on the device, from samples labelled there
    and from `learn_keep` references of each class out of the labelled samples in `calibrate`. `learn_classes` makes
    room for that many classes (None: those that there are), `learn_store` for so many bytes of samples (None: 40 of
    them). `learn_rate` is the learning rate of real weights (None: by the features' mean square), `learn_passes` how
    often each new sample is seen, and with `learn_guard` nothing is kept that samples held apart do not bear out.
    "last" trains the last convolution too; samples are then stored as what it reads, or inputs where they are smaller.
    `learn_layers` is how many of the last convolutions "last" trains (1).
    "lightcl" trains new classes among themselves instead of beside references; `learn_hold` (None: 0 for "last", else
    2e-4) weighs what holds the 15 % of the convolution's channels that matter most to what they are as compiled.
    "mean" decides for the nearest class mean of that layer's input, and trains nothing: it has neither rate nor passes.
    `learn_masters`=16 keeps the weights that are learnt as int16 instead of int32, in half the RAM, rounded at random.
    "ecotta" learns without labels; `adapt_running` E also lets the statistics before the last pool run over the stream,
    at a rate of 2^-E, from those that the samples in `calibrate` have. `learn_parts` puts a meta network at the end of
    each of so many parts of the network (1: in front of the last pool alone). Where a step of learning needs more than
    `learn_ram` bytes of the arena (None: as many as it takes), what it keeps from its way forward for its way back is
    computed again until it fits, with the fewest extra cycles that are found; what is learnt stays the same.

    Raises ModelError (the file), FitError (the board or `ram`), UsageError (the options) or ToolError (a missing tool).
    """
    options = _options(keywords)
    divisor = settings.input_divisor if settings else 1.0
    adapting, teaching = _adapting(keywords, divisor), _teaching(keywords)
    if options.learn_ram is not None and teaching.method is None:
        raise UsageError("--learn-ram belongs to --learn")
    board = board_named(options.board)
    path = Path(model)
    quantized = None
    alone = adapting.method is not None or teaching.method is not None
    if calibrate is not None and not (alone and _is_int8(path, options)):  # else for adapting and learning alone
        chosen = replace(settings or Settings(), float_border=options.float_io)
        prefix = model_name(options.name or path.stem)
        quantized = quantize_file(path, Path(calibrate), chosen, name=prefix, watch=watch, progress=progress)
    with _as_file(path, quantized.model if quantized else None) as file:
        notes: list[str] = []
        adaptation = adapting.read()
        if adaptation is None and adapting.method is not None:
            source = read(file, options, path.name)[1]
            if source.states:
                kept = source.states[0].tensor.label
                raise UsageError(f"{path.name}: --adapt takes each sample for itself, but the model keeps '{kept}'")
            adaptation, notes = adapting.find(source, calibrate, quantized, progress)
        lesson = None
        if teaching.method is not None:
            source = read(file, options, path.name)[1]
            source = source if adaptation is None else adapt_graph(source, adaptation)
            try:
                fed, core = options.feed is not None, core_of(options)
                lesson, more = teaching.find(source, calibrate, None, divisor, progress, core, fed)
            except ModelError as error:
                raise error.within(path.name) from None
            notes += more
        lowered = lower(file, options, watch, path.name, adaptation, lesson)
        check_count(options.class_names, lowered.graph.outputs)
        compiled = Compiled(file.read_bytes(), options, lowered)
    compiled.quantized = quantized
    compiled.notes += notes
    check_ram(lowered, options)
    if lowered.learned is not None:
        lowered.learned.step.check(path.name, "--learn-ram")
    if board is not None:  # before measuring: what cannot fit by its arena alone need not be built
        check_fit(report(lowered, compiled.options, None), lowered, board)
    if measure or measure is None:
        compiled.measure(required=bool(measure))
    if board is not None:
        check_fit(compiled.report, lowered, board)
    return compiled


def _is_int8(path: Path, options: Options) -> bool:
    """A .tflite whose layers with weights are quantised already."""
    if path.suffix != ".tflite":
        return False
    return not any(isinstance(op, Weighted) and op.is_float for op in read(path, options)[0].operators)


def _options(keywords: Keywords) -> Options:
    """Those that decide the C and how it is measured."""
    given: dict[str, Any] = {key: value for key, value in keywords.items() if key in Options.__dataclass_fields__}
    return Options(**given | {"class_names": class_names(keywords.get("class_names"))})


def _teaching(keywords: Keywords) -> Teaching:
    """Those of learning on the device."""
    prefix = "learn_"
    own = {key: v for key, v in keywords.items() if key.startswith(prefix) and key not in Options.__dataclass_fields__}
    given: dict[str, Any] = {key.removeprefix(prefix): v for key, v in own.items()}
    return Teaching(method=keywords.get("learn"), running=keywords.get("adapt_running"), **given)


def _adapting(keywords: Keywords, divisor: float) -> Adapting:
    """Those of live normalisation. Raises TypeError for a keyword that `compile` does not know."""
    unknown = set(keywords) - Keywords.__annotations__.keys()
    if unknown:
        raise TypeError(f"compile() got an unexpected keyword argument '{min(unknown)}'")
    augment, constants = keywords.get("augment"), keywords.get("adapt_constants")
    return Adapting(
        method=keywords.get("adapt"),
        layers=keywords.get("adapt_layers", "all"),
        budget=keywords.get("adapt_budget"),
        precision=keywords.get("adapt_precision"),
        constants=None if constants is None else Path(constants),
        learning=Learning(
            None if augment is None else str(augment),
            divisor,
            keywords.get("adapt_rank"),
            keywords.get("adapt_clean"),
        ),
    )


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
