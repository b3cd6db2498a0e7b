"""driftc mlperf."""

from __future__ import annotations

import json
from pathlib import Path

import click

from driftc.codegen.cli.folder import load
from driftc.codegen.cli.options import json_option
from driftc.codegen.cli.progress import progress_bar
from driftc.codegen.errors import UsageError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--as", "name", metavar="kws01|vww01|ic01|ad01|sww01", help="The benchmark that FOLDER's model is for.")
@click.option("--host", is_flag=True, help="Be a device on a pty of this machine, until Ctrl-C.")
@click.option("--firmware", type=click.Path(path_type=Path), metavar="FILE.elf", help="Write the device for a board.")
@click.option("--energy", is_flag=True, help="Of both: energy mode, where a time stamp is an edge of a pin; 9600 baud.")
@click.option("--run", "port", metavar="PORT", help="Run the benchmark of the device on this serial port.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR|TEST.json",
    help="Its samples: y_labels.csv and the files; or sww01's test.",
)
@click.option(
    "--baud", type=click.IntRange(300, 4_000_000), help="Of --run (default: 115200; ad01 921600 by the rules)."
)
@click.option("--mode", type=click.Choice(["accuracy", "performance"]), help="Of --run: only one of both.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Results of --run (default: mlperf-NAME.json).")
@json_option
def mlperf(
    folder: Path | None,
    name: str | None,
    host: bool,
    firmware: Path | None,
    energy: bool,
    port: str | None,
    data: Path | None,
    baud: int | None,
    mode: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """MLPerf Tiny: make FOLDER a device that its runner drives (--host, --firmware), or run one (--run).

    With --run the accuracy over all samples is measured, then the latency: five windows of ten seconds and ten
    inferences at least.
    """
    if sum((host, firmware is not None, port is not None)) != 1:
        raise UsageError("mlperf does one of --host, --firmware FILE.elf and --run PORT")
    if port is not None:
        if folder is not None or name is not None or energy:
            raise UsageError("--run takes the benchmark and its mode from the device: no FOLDER, --as or --energy")
        if data is None:
            raise UsageError("--run needs --data, the folder with y_labels.csv, or the file of a streaming test")
        if data.suffix == ".json" and mode is not None:
            raise UsageError(f"--mode {mode}: {data} is a streaming test, which has none")
        if output is not None and not output.absolute().parent.is_dir():
            raise UsageError(f"{output}: there is no folder {output.parent}")  # said before minutes have passed
        _run(port, data, baud, mode, output, as_json)
        return
    if folder is None or name is None:
        raise UsageError("mlperf needs FOLDER, and --as with the benchmark that its model is for")
    if data is not None or baud is not None or mode is not None or output is not None or as_json:
        raise UsageError("--data, --baud, --mode, --output and --json belong to --run")
    from driftc.simulator.mlperf.benchmarks import benchmark

    chosen = benchmark(name)
    compiled = load(folder, None, None, None)
    program = compiled.program()
    if host:
        from driftc.simulator.mlperf.device import host_device

        with host_device(program, chosen, energy=energy) as (device, wait):
            click.echo(f"{chosen.name} on {device}; Ctrl-C ends it")
            try:
                wait()
            except KeyboardInterrupt:
                return
    elif firmware is not None:
        from driftc.codegen.compiled import board_named
        from driftc.codegen.files import write_file
        from driftc.simulator.mlperf.device import board_device

        made = board_device(program, chosen, board_named(compiled.options.board), energy=energy)
        write_file(firmware, made.elf.read_bytes())
        click.echo(f"wrote {firmware}, for {made.where}")


def _run(port: str, data: Path, baud: int | None, mode: str | None, output: Path | None, as_json: bool) -> None:
    from driftc.codegen.files import write_file
    from driftc.simulator.mlperf.runner import run
    from driftc.simulator.mlperf.stream import ALLOWED

    with progress_bar("mlperf", as_json) as progress:
        found = run(port, data, baud=baud or 115200, mode=mode, progress=progress)
    text = json.dumps(found.as_json(), indent=2)
    target = output or Path(f"mlperf-{found.benchmark}.json")
    write_file(target, f"{text}\n".encode())
    if as_json:
        click.echo(text)
        return
    click.echo(f"{found.benchmark} on {found.vendor}, {found.samples} samples")
    if found.score is not None:
        wanted = f" (the target is {found.target:.3g})" if found.target else ""
        click.echo(f"{found.metric} {found.score:.4f}{wanted}")
    if found.throughput is not None:
        click.echo(
            f"median of {len(found.windows)} windows {found.throughput:,.3f} inferences/s, {found.latency_ms:,.3f} ms"
        )
    for heard in found.streams:
        hit, missed, alarms = heard.true_positives, heard.false_negatives, heard.false_positives
        click.echo(
            f"{heard.file}, {heard.seconds:.1f} s: {len(hit)} of {len(hit) + len(missed)} words heard, "
            f"{len(alarms)} false alarms (the rules allow {ALLOWED} misses and {ALLOWED} alarms)"
        )
    click.echo(f"wrote {target}")
