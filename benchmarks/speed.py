"""How long driftc itself takes: help, compile, measure, and a data set on the host. Wall-clock, so read it as such.

python benchmarks/speed.py
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

HERE = Path(__file__).resolve().parent
COMPILE = """
import resource, sys, time
import driftc.codegen.api as api, driftc.codegen.lower, driftc.codegen.frontends.tflite.load, driftc.codegen.emit.emit
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
made = api.compile(sys.argv[1], measure=False)
made.write(sys.argv[2])
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(time.perf_counter() - started, after / 1024, (after - before) / 1024)
"""


def timed(*command: str | Path) -> float:
    started = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return time.perf_counter() - started


@click.command()
def main() -> None:
    data = Path(os.environ.get("DRIFTC_DATA", HERE.parent.parent / "shared" / "data"))
    model = data / "mlperf_tiny/models/vww/vww_96_int8.tflite"
    driftc = Path(sys.executable).with_name("driftc")
    timed(driftc, "--help")
    click.echo(f"driftc --help                       {min(timed(driftc, '--help') for _ in range(5)):6.2f} s")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done = subprocess.run(
            [sys.executable, "-c", COMPILE, str(model), str(folder / "vww")], check=True, capture_output=True, text=True
        )
        seconds, peak, grown = (float(number) for number in done.stdout.split())
        click.echo(
            f"compile vww --no-measure            {seconds:6.2f} s after imports, {peak:.0f} MB ({grown:+.0f} MB)"
        )
        timed(driftc, "compile", model, "-o", folder / "vww", "--measure")
        plain = timed(driftc, "compile", model, "-o", folder / "vww", "--no-measure")
        warm = timed(driftc, "compile", model, "-o", folder / "vww", "--measure")
        click.echo(f"measuring adds, compiler cache warm {warm - plain:6.2f} s")
        samples = ("--data", data / "mlperf_tiny/vww01/vww01.npz", "--input-divisor", "255", "--engine", "host")
        click.echo(f"1,000 vww images on the host        {timed(driftc, 'simulate', folder / 'vww', *samples):6.2f} s")
        found = subprocess.run(
            [str(driftc), "simulate", str(folder / "vww"), *map(str, samples), "--json"],
            check=True,
            capture_output=True,
            text=True,
        )
        click.echo(f"their accuracy                      {json.loads(found.stdout)['accuracy']:6.1%}")
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    click.echo(f"largest child process               {largest:6.0f} MB")


if __name__ == "__main__":
    main()
