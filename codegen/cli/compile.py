"""driftc compile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from driftc.codegen.cli.elastic import elastic_options
from driftc.codegen.cli.learning import adaptation_options, learning_options
from driftc.codegen.cli.options import (
    calibration_options,
    json_option,
    planning_options,
    target_options,
)
from driftc.codegen.cli.progress import progress_bar
from driftc.codegen.errors import UsageError


@click.command()
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
@click.option(
    "--class-names",
    metavar="FILE|NAME,NAME",
    help="What the output's values stand for, in order: a text file with a name a line, or a list.",
)
@planning_options
@click.option(
    "--pareto", is_flag=True, help="Also list the plans that trade RAM for instructions, each with its --ram."
)
@learning_options
@elastic_options
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
    class_names: str | None,
    planning: dict[str, Any],
    pareto: bool,
    adaptation: dict[str, Any],
    learning: dict[str, Any],
    elastic: dict[str, Any],
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
    with progress_bar("calibrate", as_json or calibrate is None) as progress:
        compiled = compile_model(
            model,
            board=board,
            name=name,
            match=match,
            class_names=class_names,
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
            **elastic,
            **learning | {"learn_guard": learning["learn_guard"] == "on"},
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
    from driftc.codegen.report.tables import print_front, print_quantized, print_report

    if compiled.quantized is not None:
        print_quantized(compiled.quantized, worst=5)
    print_report(compiled, folder)
    if front:
        print_front(front)


def _dumper(stages: tuple[str, ...], to_stderr: bool) -> Callable[[str, Any], None] | None:
    if not stages:
        return None
    from driftc.codegen.lower import FLOAT_STAGES, STAGES
    from driftc.codegen.report.dump import dump

    known = (*FLOAT_STAGES, *STAGES)
    for stage in stages:
        if stage not in (*known, "all"):
            raise UsageError(f"--dump-after {stage}: the stages are {', '.join(known)}, and all")

    def show(stage: str, thing: Any) -> None:
        if stage in stages or "all" in stages:
            click.echo(f"--- after {stage}\n{dump(thing)}", err=to_stderr)

    return show
