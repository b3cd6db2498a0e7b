"""What of a model is live, and what learns on the device: options of `compile`."""

from __future__ import annotations

from pathlib import Path

import click

from driftc.codegen.cli.options import Command, packed


def adaptation_options(command: Command) -> Command:
    """What is live and how: given to the command as the keyword arguments of `api.compile`."""
    return packed(
        command,
        "adaptation",
        click.option(
            "--augment",
            metavar="image|spectrum|motion|FILE.npz",
            help="How calibrated shifts samples, or a file of shifted ones (default: by the input's shape).",
        ),
        click.option(
            "--adapt-constants",
            type=click.Path(path_type=Path),
            metavar="FILE.json",
            help="Take the constants from here: the adaptation.json of a compiled folder.",
        ),
        click.option(
            "--adapt-clean",
            type=float,
            metavar="WEIGHT",
            help="With calibrated: of what is lost where nothing is shifted (1). Less wins more under shift.",
        ),
        click.option(
            "--adapt-rank",
            type=int,
            metavar="R",
            help="With calibrated: all channels of a layer together move each of them, by a term of rank R.",
        ),
        click.option(
            "--adapt-precision",
            type=click.Choice(["int8", "int16", "int32"]),
            help="Values before normalisation: int8 (the default), int16 (twice the bytes) or int32 (four times).",
        ),
        click.option(
            "--adapt-budget",
            type=float,
            metavar="PERCENT",
            help="With --adapt-layers auto: how many more instructions, estimated (default 12).",
        ),
        click.option(
            "--adapt-layers",
            default="all",
            show_default=True,
            metavar="all|auto|SHARE|NAME,NAME",
            help="Which layers: a share counts from the input; auto takes the best within --adapt-budget.",
        ),
        click.option(
            "--adapt",
            is_flag=False,
            flag_value="calibrated",
            metavar="[METHOD]",
            help="Normalise each sample by itself: calibrated (default; needs TensorFlow), fixed, iabn or lean.",
        ),
    )


def learning_options(command: Command) -> Command:
    """What learns on the device: given to the command as the keyword arguments of `api.compile`."""
    return packed(
        command,
        "learning",
        click.option(
            "--learn-guard",
            type=click.Choice(["on", "off"]),
            default="on",
            show_default=True,
            help="Keep what was learnt only if samples that were held apart are not decided worse.",
        ),
        click.option(
            "--learn-passes", type=int, default=30, show_default=True, metavar="N", help="How often a sample is seen."
        ),
        click.option(
            "--learn-layers",
            type=int,
            default=1,
            show_default=True,
            metavar="N",
            help="Of last: how many of the last convolutions learn.",
        ),
        click.option(
            "--learn-hold",
            type=float,
            metavar="LAMBDA",
            help="Of last and lightcl: hold the convolution's strongest channels to what they are as compiled "
            "(default: 0 for last, 2e-4 for lightcl).",
        ),
        click.option(
            "--learn-rate",
            type=float,
            metavar="RATE",
            help="Learning rate of real weights (default: by the features' mean square).",
        ),
        click.option(
            "--learn-keep",
            type=int,
            default=5,
            show_default=True,
            metavar="K",
            help="Samples of each class that hold what was known: from --calibrate, and of what was learnt.",
        ),
        click.option(
            "--learn-store", type=int, metavar="BYTES", help="RAM for samples that are learnt (default: 40 of them)."
        ),
        click.option(
            "--learn-classes", type=int, metavar="N", help="Room for N classes (default: those that the model has)."
        ),
        click.option(
            "--learn-masters",
            type=click.Choice(["16", "32"]),
            default="32",
            show_default=True,
            callback=lambda context, parameter, value: int(value),
            help="Bits of the weights as they are learnt; 16 take half the RAM, and are rounded at random.",
        ),
        click.option(
            "--learn-ram",
            type=click.IntRange(1),
            metavar="BYTES",
            help="Most bytes of the arena for a step of learning: what it keeps for its way back is computed again "
            "until it fits (default: as many as it takes).",
        ),
        click.option(
            "--learn-parts",
            type=int,
            default=1,
            show_default=True,
            metavar="K",
            help="Of ecotta: learn at the ends of K parts of the network; measured to be no better than at the last "
            "alone, and unsafe under ordered labels.",
        ),
        click.option(
            "--adapt-running",
            type=int,
            metavar="E",
            help="With --learn ecotta: statistics before the pool also run over the stream, at a rate of 2^-E "
            "(default: they do not).",
        ),
        click.option(
            "--learn",
            is_flag=False,
            flag_value="classifier",
            metavar="[METHOD]",
            help="Learn on the device, with labels in --calibrate: classifier (the last dense layer), last (and the "
            "last convolution), lightcl (the same, new classes among themselves) or mean (nearest class means, not "
            "trained); or ecotta (without labels, from its own decisions).",
        ),
    )
