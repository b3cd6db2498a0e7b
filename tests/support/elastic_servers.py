"""A server whose rounds cost nothing: all but the learning is real. As a process of its own, it may die at any step.

python elastic_servers.py MODEL BROKER DATABASE [STEP]
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from elastic_models import KEY, random_codes
from float_models import skip_without

from driftc.codegen.elastic.coding import Codes
from driftc.codegen.elastic.round import Outcome, Rounds, Shares
from driftc.codegen.elastic.student import Raw, Student
from driftc.codegen.elastic.transports.transport import Transport

skip_without("sqlalchemy", "elastic")

from driftc.codegen.elastic.server import Policy, Server, largest_payload  # noqa: E402
from driftc.codegen.elastic.store import Store  # noqa: E402

LEAST = 24


class Quick:
    """Rounds that learn nothing: codes from the seed and the uploads."""

    notes: tuple[str, ...] = ()

    def __init__(self, student: Student) -> None:
        self._student = student

    def run(self, uploads: Raw, active: Sequence[Codes] | None = None, seed: int = 0, *_: Any) -> Outcome:
        codes = random_codes(self._student.parameters, seed + int(uploads.astype(int).sum()) % 1000)
        return Outcome(codes, "", Shares(5, 50.0, 60.0), Shares(10, 90.0, 90.0), "labels", 95.0, 1.0, 0.1)


def quick_rounds(student: Student) -> Rounds:
    return cast(Rounds, Quick(student))


def server_of(
    student: Student, transport: Transport, url: str, *, budget: int = 10**6, policy: Policy | None = None, **more: Any
) -> Server:
    store = Store(url, student.model_id, budget)
    return Server(student, quick_rounds(student), store, transport, KEY, policy or Policy(LEAST), **more)


def main(model: str, broker: str, url: str, step: str = "") -> None:
    from driftc.codegen.elastic.transports.mqtt import Broker, Mqtt

    def watch(reached: str) -> None:
        if reached == step:
            os._exit(9)

    student: Student = pickle.loads(Path(model).read_bytes())
    transport = Mqtt(student.model_id, largest_payload(student), Broker(broker), "server")
    server = server_of(student, transport, url, watch=watch, say=lambda line: print(line, file=sys.stderr, flush=True))
    server.open()
    server.run(threading.Event())


if __name__ == "__main__":
    main(*sys.argv[1:])
