"""The installed `driftc` command and the C compiler, as tests call them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from models import keyword_model

from driftc.codegen.errors import ToolError
from driftc.simulator.toolchain import Compiler, host_compiler

ROOT = Path(__file__).resolve().parents[2]
DRIFTC = Path(sys.executable).with_name("driftc")
Done = subprocess.CompletedProcess[str]


def driftc(*arguments: str | Path, cwd: Path, code: int = 0) -> Done:
    """Run the installed command; fail unless it exits with `code`, or where a traceback shows."""
    done = subprocess.run(
        [DRIFTC, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=300,
    )
    assert done.returncode == code, f"{arguments}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def driftc_json(*arguments: str | Path, cwd: Path, code: int = 0) -> Any:
    """The object that the command prints with --json, checked against its schema in docs/schemas."""
    done = driftc(*arguments, "--json", cwd=cwd, code=code)
    found = json.loads(done.stdout)
    check_schema(found, str(arguments[0]))
    return found


def check_schema(found: Any, name: str) -> None:
    """Fail unless the object is as docs/schemas says."""
    schema = json.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.validate(found, schema, cls=jsonschema.Draft202012Validator)


def compiled_keyword_model(folder: Path) -> Path:
    (folder / "kws.tflite").write_bytes(keyword_model(channels=8))
    driftc("compile", "kws.tflite", "--no-measure", "--board", "nucleo-l4r5zi", cwd=folder)
    return folder


def c_compiler() -> Compiler:
    """This machine's; the test skips where there is none."""
    try:
        return host_compiler()
    except ToolError as error:
        pytest.skip(str(error))


def run_c(folder: Path, sources: Sequence[Path | str], *flags: str) -> str:
    """Compile `sources` in `folder`, run the program, and give what it prints."""
    compiler = c_compiler()
    compiler.run(["-std=c11", *flags, *map(str, sources), "-o", "program"], folder)
    done = subprocess.run([folder / "program"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
