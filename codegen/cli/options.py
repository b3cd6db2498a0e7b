"""Options that several commands have, or that go together."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from driftc.codegen.errors import UsageError

CORES = "cortex-m0plus|cortex-m3|cortex-m4|cortex-m7|cortex-m33|cortex-m55|cortex-m85|rv32imc|xtensa-lx6|xtensa-lx7"
Command = Callable[..., Any]
_DATA_HELP = (
    ".npz or .npy: one array per input by tensor name, or 'x'; first axis = samples. int8 = raw, float = real values, "
    "uint8 = real values 0..255 (raw where the model takes uint8), int32 = indices."
)


def packed(command: Command, keyword: str, *options: Command) -> Command:
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
    return packed(
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


def planning_options(command: Command) -> Command:
    """How buffers and layers in parts are planned: given to the command as the keyword arguments of `api.compile`."""
    return packed(
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
