"""What a round of learning from uploads came to, and what a fleet did, in lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from driftc.codegen.report.tables import print_rows

if TYPE_CHECKING:
    from driftc.codegen.elastic.round import Outcome
    from driftc.simulator.fleet.run import Simulated


def print_outcome(outcome: Outcome, sequence: int, size: int, path: Path | None) -> None:
    console = Console(highlight=False)
    for note in outcome.notes:
        console.print(f"note   {escape(note)}")
    for line in lines(outcome):
        console.print(escape(line))
    if not outcome.accepted:
        console.print(f"[bold]no packet[/]: {escape(outcome.reason)}")
    elif path is not None:
        console.print(f"wrote {escape(str(path))}: {size:,} B, sequence {sequence}")


def lines(outcome: Outcome) -> list[str]:
    """Uploads, clean samples, and how long it took."""
    uploads, clean = outcome.uploads, outcome.clean
    return [
        f"uploads  {uploads.before:.1f} % -> {uploads.after:.1f} % with the teacher, on {uploads.count} held out",
        f"clean    {clean.before:.1f} % -> {clean.after:.1f} % right by {outcome.clean_by}, of {clean.count}; "
        f"{outcome.source:.1f} % decided as before",
        f"share    {100 * outcome.share:g} % of what was learnt, in {outcome.seconds:.0f} s",
    ]


def print_fleet(found: Simulated) -> None:
    rows = []
    for number, row in enumerate(found.rounds):
        rows.append(
            (
                f"{number + 1}",
                f"{row.samples:,}",
                "-" if row.accuracy is None else f"{row.accuracy:.1%}",
                "-" if row.as_compiled is None else f"{row.as_compiled:.1%}",
                f"{row.uploads:,}",
                f"{row.bytes_up:,}",
                f"{row.packets:,}",
                f"{row.bytes_down:,}",
                ", ".join(f"{sequence}: {devices}" for sequence, devices in row.sequences.items()),
            )
        )
    columns = ("round", "samples", "accuracy", "as compiled", "uploads", "bytes up", "packets", "bytes down")
    print_rows((*columns, "sequence: devices"), rows)
    console = Console(highlight=False)
    for number, row in enumerate(found.rounds):
        said = [f"round {learnt.number}, {learnt.uploads} uploads: {learnt.reason}" for learnt in row.learnt]
        said = [line for line, learnt in zip(said, row.learnt, strict=True) if learnt.sequence is None]
        said += [f"{count} uploads dropped: {why}" for why, count in row.dropped.items()]
        said += [f"{count} packets refused: {why}" for why, count in row.refused.items()]
        for line in said:
            console.print(escape(f"round {number + 1}: {line}"))
    if waiting := found.rounds[-1].waiting:
        console.print(f"{waiting} uploads wait for a round (--round)")
