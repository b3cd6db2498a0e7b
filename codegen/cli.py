"""The command line: click options over `driftc.codegen.api`. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import driftc
from driftc.codegen.cli_options import (
    adaptation_options,
    calibration_options,
    json_option,
    planning_options,
    sample_options,
    target_options,
)
from driftc.codegen.errors import DriftcError, UsageError

if TYPE_CHECKING:
    from driftc.codegen.compiled import Compiled


def main() -> None:
    """Entry point of the `driftc` command."""
    # The specification multiplies many small matrices: threads that wait for each other make that ten times slower.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        _complain("interrupted")
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except DriftcError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output has gone
        sys.stderr.close()
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> None:
    click.echo(f"driftc: {message}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(driftc.__version__, prog_name="driftc")
def cli() -> None:
    """Compile an int8 neural network to C for a microcontroller, and prove that the C computes the same bytes.

    \b
    driftc compile kws.tflite --board nucleo-l4r5zi -o kws/    C, RAM, flash, instructions by layer
    driftc verify kws/ --data samples.npz                      every tensor, every engine, every byte
    driftc simulate kws/ --data samples.npz                    outputs, accuracy, instructions, stack
    driftc report kws/                                         the arena over time, as a page
    driftc boards | driftc operators | driftc doctor           what there is

    Exit codes: 0 done; 1 the bytes differ or the model does not fit the board; 2 bad use or bad input.
    """


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write (default: the model's name).")
@click.option("--board", metavar="NAME", help="Check that the model fits; 'driftc boards' lists them.")
@click.option("--name", metavar="NAME", help="Prefix of the C names (default: the model's file name).")
@click.option(
    "--match",
    type=click.Choice(["tflm", "litert"]),
    default="tflm",
    show_default=True,
    help="Whose rounding the C reproduces, where TFLite Micro and LiteRT differ.",
)
@planning_options
@click.option(
    "--pareto", is_flag=True, help="Also list the plans that trade RAM for instructions, each with its --ram."
)
@adaptation_options
@click.option("--float-io", is_flag=True, help="Also write NAME_invoke_float, which takes and gives real values.")
@click.option(
    "--measure/--no-measure",
    default=None,
    help="Count instructions, stack and code size on the emulated core (default: if 'sim' is installed).",
)
@click.option(
    "--calibrate",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=".npz or .npy of sample inputs: makes a float model int8.",
)
@click.option(
    "--dump-after", metavar="STAGE", multiple=True, help="Print the Graph or Plan after a stage; 'all' for each."
)
@calibration_options
@target_options
@json_option
def compile(
    model: Path,
    output: Path | None,
    board: str | None,
    name: str | None,
    match: str,
    planning: dict[str, Any],
    pareto: bool,
    adaptation: dict[str, Any],
    float_io: bool,
    measure: bool | None,
    calibrate: Path | None,
    settings: dict[str, Any],
    dump_after: tuple[str, ...],
    core: str | None,
    cc: str | None,
    optimize: str | None,
    as_json: bool,
) -> None:
    """Compile MODEL to a folder of C, and report RAM, flash and instructions by layer.

    MODEL is an int8 .tflite, or with --calibrate a float model: .keras, .h5, SavedModel folder, .onnx, .pt2, .tflite.

    The folder holds NAME.h, NAME.c, the weights, driftc.h, a self-test, a CMakeLists.txt and the simulator's main
    programs; it is written whole or not at all. No compiler is needed: what must be measured is '-' without one.
    """
    from driftc.codegen.api import compile as compile_model
    from driftc.codegen.names import model_name
    from driftc.codegen.quantize.post_training import Settings

    watch = _dumper(dump_after, to_stderr=as_json)
    with _progress("calibrate", as_json or calibrate is None) as progress:
        compiled = compile_model(
            model,
            board=board,
            name=name,
            match=match,
            float_io=float_io,
            **planning,
            core=core,
            cc=cc,
            optimize=optimize or "2",
            measure=measure,
            calibrate=calibrate,
            settings=Settings(**settings),
            watch=watch,
            **adaptation,
            progress=progress,
        )
    for note in compiled.notes:
        click.echo(f"driftc: note: {note}", err=True)
    folder = output or Path(model_name(name or model.stem))
    compiled.write(folder)
    front = compiled.pareto() if pareto else []
    if as_json:
        more = {"pareto": [point.as_json() for point in front]} if pareto else {}
        click.echo(json.dumps({**compiled.report, **more}, indent=2))
        return
    from driftc.codegen.tables import print_front, print_quantized, print_report

    if compiled.quantized is not None:
        print_quantized(compiled.quantized, worst=5)
    print_report(compiled, folder)
    if front:
        print_front(front)


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--calibrate", type=click.Path(path_type=Path), metavar="FILE", required=True, help=".npz or .npy of sample inputs."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write (default: MODEL_int8.tflite).")
@click.option("--float-io", is_flag=True, help="Keep float inputs and outputs at the model's border.")
@calibration_options
@json_option
def quantize(
    model: Path, calibrate: Path, output: Path | None, float_io: bool, settings: dict[str, Any], as_json: bool
) -> None:
    """Make the float MODEL int8 and write it as a .tflite, which TFLite Micro and LiteRT run too.

    MODEL is .keras, .h5, a SavedModel folder, .onnx, .pt2 (torch.export) or .tflite. Prints how well each layer's
    output follows the float model's, as signal to noise in dB.
    """
    from driftc.codegen.api import quantize as quantize_model
    from driftc.codegen.quantize.post_training import Settings

    target = output or Path(f"{model.stem}_int8.tflite")
    with _progress("calibrate", as_json) as progress:
        found = quantize_model(model, calibrate, Settings(**settings, float_border=float_io), progress=progress)
    found.write(target)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
        return
    from driftc.codegen.tables import print_quantized

    print_quantized(found)
    click.echo(f"wrote {target}, {len(found.model):,} B; next: driftc compile {target}")


def _dumper(stages: tuple[str, ...], to_stderr: bool) -> Callable[[str, Any], None] | None:
    if not stages:
        return None
    from driftc.codegen.dump import dump
    from driftc.codegen.lower import FLOAT_STAGES, STAGES

    known = (*FLOAT_STAGES, *STAGES)
    for stage in stages:
        if stage not in (*known, "all"):
            raise UsageError(f"--dump-after {stage}: the stages are {', '.join(known)}, and all")

    def show(stage: str, thing: Any) -> None:
        if stage in stages or "all" in stages:
            click.echo(f"--- after {stage}\n{dump(thing)}", err=to_stderr)

    return show


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@sample_options
@click.option(
    "--engine",
    "engines",
    multiple=True,
    metavar="NAME",
    help="numpy, tflm, litert, host, unicorn or qemu; repeatable (default: all that are present).",
)
@click.option("--sanitize", is_flag=True, help="Build the host engine with ASan and UBSan.")
@click.option("--save-tensors", type=click.Path(path_type=Path), metavar="FILE.npz", help="Keep each compared tensor.")
@target_options
@json_option
def verify(
    folder: Path,
    engines: tuple[str, ...],
    sanitize: bool,
    save_tensors: Path | None,
    data: Path | None,
    random: int | None,
    labels: str | None,
    input_divisor: float,
    sample: int | None,
    core: str | None,
    cc: str | None,
    optimize: str | None,
    as_json: bool,
) -> None:
    """Prove that FOLDER computes what the model says: every tensor, on every engine, byte for byte.

    The NumPy specification is compared with TFLite Micro's and LiteRT's own kernels, and with the C of the folder
    on this machine and on the emulated core. The first difference is named; exit code 1.
    """
    compiled = _load(folder, core, cc, optimize)
    with _progress("verify", as_json) as progress:
        found = compiled.verify(
            data,
            engines=list(engines) or None,
            random=random,
            labels=labels,
            input_divisor=input_divisor,
            sample=sample,
            save_tensors=save_tensors,
            sanitize=sanitize,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        from driftc.codegen.tables import print_verification

        print_verification(found)
    sys.exit(0 if found.bit_exact else 1)


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@sample_options
@click.option(
    "--engine",
    "engines",
    multiple=True,
    metavar="NAME",
    help="numpy, tflm, litert, host, unicorn or qemu (default: unicorn, else qemu, else host).",
)
@target_options
@json_option
def simulate(
    folder: Path,
    engines: tuple[str, ...],
    data: Path | None,
    random: int | None,
    labels: str | None,
    input_divisor: float,
    sample: int | None,
    core: str | None,
    cc: str | None,
    optimize: str | None,
    as_json: bool,
) -> None:
    """Run the C of FOLDER on samples: outputs, accuracy, instructions by layer, stack.

    The instructions are those of one inference, the sample with the median total; the stack is the worst of all.
    """
    if len(engines) > 1:
        raise UsageError(f"simulate runs one engine, not {', '.join(engines)}; verify compares several")
    compiled = _load(folder, core, cc, optimize)
    with _progress("simulate", as_json) as progress:
        found = compiled.simulate(
            data,
            engine=engines[0] if engines else None,
            random=random,
            labels=labels,
            input_divisor=input_divisor,
            sample=sample,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
        return
    from driftc.codegen.tables import print_simulation

    print_simulation(found)


def _load(folder: Path, core: str | None, cc: str | None, optimize: str | None) -> Compiled:
    from driftc.codegen.compiled import Compiled

    compiled = Compiled.load(folder)
    compiled.options = compiled.options.overridden(core=core, cc=cc, optimize=optimize)
    return compiled


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Page to write (default: FOLDER-report.html).")
def report(folder: Path, output: Path | None) -> None:
    """Draw FOLDER's RAM over time: one HTML page with every buffer, the fullest step and what makes it so."""
    from driftc.codegen.arena_report import arena_page

    compiled = _load(folder, None, None, None)
    page = output or folder.absolute().with_name(f"{folder.absolute().name}-report.html")
    try:
        page.write_text(
            arena_page(compiled.lowered.plan, compiled.report, compiled.pareto("greedy")),
            encoding="utf-8",
            newline="\n",
        )
    except OSError as problem:
        raise UsageError(f"{page.name}: cannot be written: {problem.strerror}") from None
    click.echo(f"wrote {output or page.name}")


@cli.command()
@json_option
def boards(as_json: bool) -> None:
    """List the boards: core, memories, and the emulator that stands in for each."""
    from driftc.boards import COLUMNS, table

    _print_rows("boards", COLUMNS, table(), as_json)


@cli.command()
@json_option
def operators(as_json: bool) -> None:
    """List the operators that driftc compiles, and where LiteRT computes other bytes than TFLite Micro."""
    from driftc.codegen.operators import registry

    rows: list[tuple[str, ...]] = [(code, operator.departures or "-") for code, operator in registry().items()]
    _print_rows("operators", ("operator", "where LiteRT departs"), rows, as_json)


@cli.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say which engines and compilers are present, what each missing one would add, and how to install it."""
    from driftc.codegen.doctor import COLUMNS, examine

    _print_rows("tools", COLUMNS, examine(), as_json)


def _print_rows(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({title: [dict(zip(columns, row, strict=True)) for row in rows]}, indent=2))
        return
    from driftc.codegen.tables import print_rows

    print_rows(columns, rows)


@contextmanager
def _progress(what: str, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on standard error, for people alone."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
