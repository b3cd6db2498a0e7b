"""What a round of learning from uploads came to, in lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from driftc.codegen.elastic.round import Outcome


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
