"""Options that several commands have, or that go together."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from driftc.codegen.choices import BUDGET, SHARE, UPLOADS
from driftc.codegen.errors import UsageError

CORES = "cortex-m0plus|cortex-m3|cortex-m4|cortex-m7|cortex-m33|cortex-m55|cortex-m85|rv32imc|xtensa-lx6|xtensa-lx7"
Command = Callable[..., Any]
_DATA_HELP = (
    ".npz or .npy: one array per input by tensor name, or 'x'; first axis = samples. int8 = raw, float = real values, "
    "uint8 = real values 0..255 (raw where the model takes uint8), int32 = indices."
)


def _packed(command: Command, keyword: str, *options: Command) -> Command:
    """`command` with these options, whose values it is given as one dict."""

    @wraps(command)
    def made(*arguments: Any, **values: Any) -> Any:
        return command(*arguments, **{keyword: {name: values.pop(name) for name in names}}, **values)

    before = len(getattr(command, "__click_params__", ()))
    decorated: Command = made
    for option in options:
        decorated = option(decorated)
    names = [parameter.name for parameter in decorated.__click_params__[before:]]  # type: ignore[attr-defined]
    return decorated


def target_options(command: Command) -> Command:
    """--core, --cc and -O, as compile, verify and simulate take them."""
    for option in (
        click.option("-O", "optimize", type=click.Choice(["2", "3", "s"]), help="Optimisation level (default 2)."),
        click.option("--cc", metavar="gcc|clang|zig|PATH", help="Compiler (default: the first that is present)."),
        click.option("--core", metavar=CORES, help="Core to emulate (default: the board's, else cortex-m4)."),
    ):
        command = option(command)
    return command


def calibration_options(command: Command) -> Command:
    """How a float model becomes int8: given to the command as the keyword arguments of Settings."""
    return _packed(
        command,
        "settings",
        click.option(
            "--input-divisor", type=float, default=1.0, metavar="D", help="Divide uint8 samples by D first (255)."
        ),
        click.option(
            "--equalize/--no-equalize",
            default=None,
            help="Even out channels between layers (default: if there are depthwise convolutions).",
        ),
        click.option(
            "--correct-bias/--no-correct-bias",
            default=True,
            show_default=True,
            help="Take each layer's mean error out of its bias.",
        ),
        click.option(
            "--ranges",
            type=click.Choice(["mse", "minmax", "percentile"]),
            default="mse",
            show_default=True,
            help="What activations reach: least mean squared error, all values, or all but the rarest.",
        ),
    )


def teaching_options(command: Command) -> Command:
    """What teaches a model: given to the command as one dict, `key` besides the keyword arguments of `rounds_of`."""
    return _packed(
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


def broker_options(command: Command) -> Command:
    """An MQTT broker: given to the command as the fields of Broker, `password` as a file."""
    path = click.Path(path_type=Path)
    return _packed(
        command,
        "broker",
        click.option(
            "--broker-key", "certificate_key", type=path, metavar="FILE", help="Of --broker-certificate (PEM)."
        ),
        click.option(
            "--broker-certificate", "certificate", type=path, metavar="FILE", help="By which the broker knows us (PEM)."
        ),
        click.option(
            "--broker-ca", "authority", type=path, metavar="FILE", help="Whose certificates are believed (PEM); TLS."
        ),
        click.option("--broker-tls", "tls", is_flag=True, help="TLS, by the system's authorities."),
        click.option("--broker-password", "password", type=path, metavar="FILE", help="Its first line."),
        click.option("--broker-user", "user", metavar="NAME"),
        click.option("--mqtt", "version", type=click.Choice(["3.1.1", "5"]), help="Its protocol (3.1.1)."),
        click.option("--broker", "host", metavar="HOST[:PORT]", help="Through this MQTT broker."),
    )


def fleet_options(command: Command) -> Command:
    """A fleet of simulated devices: given to the command as the fields of FleetOptions."""
    path = click.Path(path_type=Path)
    return _packed(
        command,
        "fleet",
        click.option(
            "--seed", type=click.IntRange(0), metavar="N", help="With --fleet: of the devices and the server."
        ),
        click.option(
            "--round", "least", type=click.IntRange(1), metavar="N", help="With --fleet: uploads to learn from (256)."
        ),
        click.option(
            "--rounds", type=click.IntRange(1), metavar="R", help="With --fleet: parts that the stream comes in (1)."
        ),
        click.option("--key", type=path, metavar="FILE", help="With --fleet: what packets are signed with."),
        click.option(
            "--clean", type=path, metavar="FILE.npz", help="With --fleet: samples of what the model was made for."
        ),
        click.option("--teacher", type=path, metavar="MODEL", help="With --fleet: a stronger float model."),
        click.option(
            "--fleet",
            type=click.IntRange(1),
            metavar="N",
            help="N devices share --stream, send samples to a server and take its updates.",
        ),
    )


def planning_options(command: Command) -> Command:
    """How buffers and layers in parts are planned: given to the command as the keyword arguments of `api.compile`."""
    return _packed(
        command,
        "planning",
        click.option(
            "--feed",
            type=click.Choice(["rows"]),
            help="Take the input row by row with NAME_feed, so that it is never whole in RAM.",
        ),
        click.option(
            "--keep-constant", is_flag=True, help="Also compute channels that are proven the same for every input."
        ),
        click.option(
            "--flash-for-speed",
            type=click.IntRange(0),
            default=0,
            show_default=True,
            metavar="BYTES",
            help="How much larger constants may be, where that makes layers faster (Winograd's convolution).",
        ),
        click.option(
            "--overhead",
            type=click.FloatRange(0),
            default=25.0,
            show_default=True,
            metavar="PERCENT",
            help="With --minimize ram: how many more cycles than untiled, estimated.",
        ),
        click.option(
            "--minimize",
            type=click.Choice(["instructions", "ram"]),
            default="instructions",
            show_default=True,
            help="The fewest extra cycles within --ram, or the least RAM within --overhead.",
        ),
        click.option(
            "--ram",
            type=click.IntRange(1),
            metavar="BYTES",
            help="Most bytes for the arena: layers are computed in parts until it fits (default: the board's RAM).",
        ),
        click.option(
            "--planner",
            type=click.Choice(["optimal", "greedy"]),
            default="optimal",
            show_default=True,
            help="How buffers are placed: optimal proves the arena the smallest (needs OR-Tools), greedy is quick.",
        ),
    )


def adaptation_options(command: Command) -> Command:
    """What is live and how: given to the command as the keyword arguments of `api.compile`."""
    return _packed(
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


def elastic_options(command: Command) -> Command:
    """What a server can change: given to the command as the keyword arguments of `api.compile`."""
    return _packed(
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


def learning_options(command: Command) -> Command:
    """What learns on the device: given to the command as the keyword arguments of `api.compile`."""
    return _packed(
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


def hardware_option(command: Command) -> Command:
    return click.option(
        "--on",
        metavar="ADDRESS",
        help="On a board: gdb://HOST:PORT, or one that runs FOLDER, serial:///dev/ttyACM0?baud=115200&timeout=30, "
        "rtt://HOST:PORT or semihosting://FOLDER.",
    )(command)


def sample_options(command: Command) -> Command:
    """Where samples come from."""
    for option in (
        click.option(
            "--restart",
            metavar="N|KEY",
            help="Of a model with state: begin anew every N samples, or where the data file's array KEY is not 0.",
        ),
        click.option("--sample", type=int, metavar="K", help="Take only sample K, counted from 0."),
        click.option(
            "--input-divisor", type=float, default=1.0, metavar="D", help="Divide uint8 values by D first (255)."
        ),
        click.option("--labels", metavar="FILE.npz:KEY", help="Class numbers (default: 'y' in the data file)."),
        click.option(
            "--random", type=click.IntRange(0, 1_000_000), metavar="N", help="N seeded samples and 3 extremes."
        ),
        click.option("--data", type=click.Path(path_type=Path), metavar="FILE", help=_DATA_HELP),
    ):
        command = option(command)
    return command


def workers_options(command: Command) -> Command:
    """Who shares the work: given to the command as `workers` and `dask`."""
    for option in (
        click.option(
            "--dask", metavar="ADDRESS", help="The same by the workers of a Dask scheduler (tcp://HOST:PORT)."
        ),
        click.option(
            "--workers",
            type=click.IntRange(1, 1000),
            metavar="N",
            help="Share the samples among N processes; a run that was cut goes on where it was.",
        ),
    ):
        command = option(command)
    return command


def workers_of(workers: int | None, dask: str | None) -> int | str | None:
    """What `Compiled.verify` takes. Raises UsageError."""
    if workers is not None and dask is not None:
        raise UsageError("give either --workers or --dask, not both")
    return workers if dask is None else dask


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")(command)
