"""The command line: click options over `driftc.codegen.api`. Heavy imports wait until a command needs them.

A command is a module here that defines a click command of the module's name; it is registered by being there.
"""

from __future__ import annotations

import os
import pkgutil
import sys
from importlib import import_module

import click

import driftc
from driftc.codegen.errors import DriftcError, fault

REPORT = "please report it, with the input and what the same command shows with DRIFTC_TRACEBACK=1 set"


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
    except Exception as problem:
        if os.environ.get("DRIFTC_TRACEBACK"):
            raise
        _complain(str(DriftcError(f"a fault of driftc's own: {fault(problem)}; {REPORT}")))
        sys.exit(2)
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
    driftc flash kws/ --board nucleo-l4r5zi                    put it on the board; then verify --on gdb://... or serial://...
    driftc report kws/                                         the arena over time, as a page
    driftc update|serve ic/ --teacher big.onnx ...             signed updates, from what devices send up
    driftc mlperf kws/ --as kws01 --host                      a device for MLPerf Tiny, and a runner
    driftc boards | driftc operators | driftc doctor           what there is

    Exit codes: 0 done; 1 the bytes differ or the model does not fit the board; 2 bad use,
    bad input, or a fault of driftc's own.
    """


for _module in pkgutil.iter_modules(__path__):
    _command = getattr(import_module(f"{__name__}.{_module.name}"), _module.name, None)
    if isinstance(_command, click.Command):
        cli.add_command(_command)
