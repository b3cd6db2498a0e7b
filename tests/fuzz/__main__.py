"""A long run by hand: `PYTHONPATH=tests:tests/support python -m fuzz --count 20000 --keep faults/`."""

from __future__ import annotations

import argparse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fuzz.campaign import Task, run_task
from fuzz.seeds import BUILT, seeds


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="mutants in all")
    parser.add_argument("--first", type=int, default=1_000_000, help="first seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", help="models whose name holds this")
    parser.add_argument("--build", type=int, default=20)
    parser.add_argument("--sanitize", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the mutants that show a fault")
    parser.add_argument("--messages", action="store_true", help="print every different refusal")
    given = parser.parse_args()
    names = [name for name in seeds() if not given.only or given.only in name]
    built = [name for name in names if name in BUILT]
    each = -(-given.count // (len(names) + 3 * len(built)))
    common = {"build": given.build, "sanitize": given.sanitize}
    tasks = [Task(name, given.first, each, **common) for name in names]
    tasks += [Task(name, given.first, 3 * each, rebuilt=True, **common) for name in built]
    kinds: Counter[str] = Counter()
    refused = compiled = faults = 0
    with ThreadPoolExecutor(given.jobs) as pool:
        for task, found in zip(tasks, pool.map(lambda task: run_task(task, 120.0, given.keep), tasks), strict=True):
            refused, compiled, faults = refused + found.refused, compiled + found.compiled, faults + len(found.faults)
            print(f"{task.model}: {found.refused} refused, {found.compiled} compiled", flush=True)
            for fault in found.faults:
                kinds[fault.strip().splitlines()[-1][:160]] += 1
                print(f"  {fault}", flush=True)
            for message in sorted(found.messages) if given.messages else ():
                print(f"  | {message}")
    print(f"{refused} refused, {compiled} compiled, {faults} faults")
    for kind, count in kinds.most_common():
        print(f"{count:6} {kind}")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
