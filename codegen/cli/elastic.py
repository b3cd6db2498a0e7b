"""Updates from a server: options of `compile`, `update` and `serve`."""

from __future__ import annotations

from pathlib import Path

import click

from driftc.codegen.choices import BUDGET, SHARE, UPLOADS
from driftc.codegen.cli.options import Command, packed


def elastic_options(command: Command) -> Command:
    """What a server can change: given to the command as the keyword arguments of `api.compile`."""
    return packed(
        command,
        "elastic",
        click.option(
            "--updatable",
            is_flag=False,
            flag_value="all",
            metavar="[all|NAME,NAME]",
            help="Layers whose gains and offsets a server's signed packets change (NAME_update.h).",
        ),
        click.option(
            "--upload-copy",
            type=click.Choice(["caller"]),
            help="With --upload: the caller keeps a copy of the input, which is kept in RAM otherwise.",
        ),
        click.option(
            "--upload-share",
            type=float,
            default=SHARE,
            show_default=True,
            metavar="SHARE",
            help="With --upload random: of all samples.",
        ),
        click.option(
            "--upload-budget",
            type=int,
            default=BUDGET,
            show_default=True,
            metavar="N",
            help="With --upload: samples a round, at most.",
        ),
        click.option(
            "--upload",
            type=click.Choice(UPLOADS),
            help="Choose samples worth sending to a server (NAME_upload.h); makes all layers --updatable.",
        ),
    )


def teaching_options(command: Command) -> Command:
    """What teaches a model: given to the command as one dict, `key` besides the keyword arguments of `rounds_of`."""
    return packed(
        command,
        "teaching",
        click.option(
            "--one-environment",
            is_flag=True,
            help="All uploads are from one: folded layers take its statistics, at a cost everywhere else.",
        ),
        click.option(
            "--input-divisor",
            "divisor",
            type=float,
            default=1.0,
            metavar="D",
            help="Divide uint8 samples by D first (255).",
        ),
        click.option(
            "--key",
            type=click.Path(path_type=Path),
            required=True,
            metavar="FILE",
            help="What packets are signed with: 16 bytes or more.",
        ),
        click.option(
            "--clean",
            type=click.Path(path_type=Path),
            required=True,
            metavar="FILE.npz",
            help="Samples of what the model was made for; with labels 'y' they are the measure of what is lost.",
        ),
        click.option(
            "--teacher",
            type=click.Path(path_type=Path),
            required=True,
            metavar="MODEL",
            help="A stronger float model of the same inputs and classes: .keras, SavedModel, .onnx, .pt2.",
        ),
    )
