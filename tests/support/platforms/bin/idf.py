#!/usr/bin/env python
"""Stands in for ESP-IDF's: a project.cmake of ours builds with this machine's compiler, and the program is run."""

import os
import subprocess
import sys
from pathlib import Path


def run(*command: str | Path) -> None:
    environment = {**os.environ, "IDF_PATH": str(Path(__file__).resolve().parents[1] / "esp-idf")}
    subprocess.run(command, check=True, env=environment)


match sys.argv[1:]:
    case ["set-target", chip] if chip.startswith("esp32"):
        pass
    case ["build", "flash", "monitor"]:
        run("cmake", "-S", ".", "-B", "build", f"-DPYTHON={sys.executable}")
        run("cmake", "--build", "build")
        run(*Path("build").glob("*_example"))
    case unknown:
        sys.exit(f"idf.py {' '.join(unknown)}: not known here")
