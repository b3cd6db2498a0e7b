"""A long run by hand: `PYTHONPATH=.package:tests:tests/support python -m fuzz --count 20000 --keep faults/`.

`--sanitize 100 --reference 10 --options 20` prove every so many of the mutants that compile; see campaign.Task.
"""

from __future__ import annotations

import argparse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path

from fuzz.campaign import Task, run_task
from fuzz.seeds import BUILT, seeds

PATIENCE = 900.0  # seconds without an answer, of a process that gives way to all others
LARGE = 1 << 17  # bytes of a model of which fewer mutants are made: they take seconds, and say what smaller ones say


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="mutants in all")
    parser.add_argument("--first", type=int, default=1_000_000, help="first seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", help="models whose name holds this")
    parser.add_argument("--optimal", type=int, default=4)
    parser.add_argument("--build", type=int, default=20)
    parser.add_argument("--sanitize", type=int, default=0)
    parser.add_argument("--reference", type=int, default=0)
    parser.add_argument("--options", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the mutants that show a fault")
    parser.add_argument("--messages", action="store_true", help="print every different refusal")
    given = parser.parse_args()
    names = [name for name in seeds() if not given.only or given.only in name]
    built = [name for name in names if name in BUILT]
    shares = {name: 1 if len(seeds()[name]()) < LARGE else 1 / 8 for name in names}
    each = given.count / (sum(shares.values()) + 3 * len(built))
    common = {name: getattr(given, name) for name in ("optimal", "build", "sanitize", "reference", "options")}
    tasks = [Task(name, given.first, ceil(each * share), **common) for name, share in shares.items()]
    tasks += [Task(name, given.first, ceil(3 * each), rebuilt=True, **common) for name in built]
    kinds: Counter[str] = Counter()
    refused = compiled = faults = 0
    stood: Counter[str] = Counter()
    with ThreadPoolExecutor(given.jobs) as pool:
        for task, found in zip(tasks, pool.map(lambda task: run_task(task, PATIENCE, given.keep), tasks), strict=True):
            refused, compiled, faults = refused + found.refused, compiled + found.compiled, faults + len(found.faults)
            stood += found.stood
            print(f"{task.model}: {found.refused} refused, {found.compiled} compiled", flush=True)
            for fault in found.faults:
                kinds[fault.strip().splitlines()[-1][:160]] += 1
                print(f"  {fault}", flush=True)
            for message in sorted(found.messages) if given.messages else ():
                print(f"  | {message}")
    print(f"{refused} refused, {compiled} compiled, {faults} faults")
    for check, count in sorted(stood.items()):
        print(f"{count:6} stood {check}")
    for kind, count in kinds.most_common():
        print(f"{count:6} {kind}")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
