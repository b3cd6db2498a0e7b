"""driftc quantize."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from driftc.codegen.cli.options import calibration_options, json_option
from driftc.codegen.cli.progress import progress_bar


@click.command()
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
    with progress_bar("calibrate", as_json) as progress:
        found = quantize_model(model, calibrate, Settings(**settings, float_border=float_io), progress=progress)
    found.write(target)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
        return
    from driftc.codegen.report.tables import print_quantized

    print_quantized(found)
    click.echo(f"wrote {target}, {len(found.model):,} B; next: driftc compile {target}")
