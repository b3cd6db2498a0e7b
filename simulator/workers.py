"""Who shares work: processes of this machine, or those of a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib.util import find_spec

from driftc.codegen.errors import ToolError, UsageError, first_line
from driftc.codegen.frontends.extras import load_extra
from driftc.simulator.shipped import Shipped

SECONDS = 10  # for a scheduler to answer
DEPTH = 2  # tasks of a worker that wait or run


@contextmanager
def executor(workers: int | str, shipped: Shipped | None = None) -> Iterator[tuple[Executor, int]]:
    """So many processes, or those of the Dask scheduler at this address; and how many tasks keep them busy.

    What is given to them is pickled; the folder `shipped` goes to a cluster's workers before. What is still
    waiting at the end is left undone. Raises UsageError for what is no address, ToolError where a process is killed, or
    the scheduler cannot be reached or has no workers, or loses them.
    """
    if isinstance(workers, int):
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
        try:
            yield pool, DEPTH * workers
        except BrokenProcessPool:
            raise ToolError("a worker process ended: is there too little memory for --workers?") from None
        finally:
            pool.shutdown(cancel_futures=True)
        return
    if not re.fullmatch(r"(tcp|tls|wss?)://\S+:\d+", workers):
        raise UsageError(f"--dask {workers}: is no address of a Dask scheduler, such as tcp://HOST:8786")
    distributed = load_extra("distributed", "dask", f"--dask {workers}")
    try:
        client = distributed.Client(workers, timeout=SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as problem:
        raise ToolError(f"--dask {workers}: the scheduler does not answer: {first_line(problem)}") from None
    with client:
        threads = sum(client.nthreads().values())
        if threads == 0:
            raise ToolError(f"--dask {workers}: the scheduler has no workers")
        if shipped is not None:
            shipped.upload(client)
        spread = client.get_executor(pure=False)
        try:
            yield spread, DEPTH * threads
        except distributed.KilledWorker as problem:
            raise ToolError(f"--dask {workers}: workers were lost: {first_line(problem)}") from None
        finally:
            spread.shutdown(wait=False)


def dask_is_there() -> bool:
    """Whether the extra is installed."""
    return find_spec("distributed") is not None


@contextmanager
def local_cluster() -> Iterator[tuple[str, int]]:
    """A Dask cluster of this machine, a worker for each core: the scheduler's address, and how many they are."""
    distributed = load_extra("distributed", "dask", "a local Dask cluster")
    count = os.cpu_count() or 1
    with distributed.LocalCluster(
        n_workers=count, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield str(cluster.scheduler_address), count
