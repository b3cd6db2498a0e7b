"""A small fleet, whose server learns at no cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from elastic_models import KEY
from elastic_servers import quick_rounds
from fleet_models import compiled, images, labels, shifted

from driftc.codegen.compiled import Compiled
from driftc.codegen.elastic.round import Rounds
from driftc.codegen.elastic.server import Policy
from driftc.codegen.elastic.student import Student
from driftc.codegen.options import Options
from driftc.simulator.fleet.run import Asked, simulate_fleet


def made(folder: Path, **more: Any) -> Compiled:
    options: dict[str, Any] = {"planner": "greedy", "upload": "random", "upload_budget": 20, **more}
    found = compiled(folder, options=Options(**options))
    found.write(folder / "net")
    return Compiled.load(folder / "net")


def fleet_of(
    net: Compiled,
    folder: Path,
    devices: int,
    rounds: Rounds | None = None,
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = print,
    **more: Any,
) -> dict[str, Any]:
    student = Student.of(net.lowered)
    seen = images(devices * 40, seed=8)
    path = folder / "stream.npz"
    np.savez(path, x=shifted(seen), y=labels(seen))
    asked = Asked(devices, 2, Policy(40, seed=1), **more)
    learns = rounds or quick_rounds(student)
    return simulate_fleet(net, learns, KEY, net.samples(path), path, asked, say, progress).as_json()
