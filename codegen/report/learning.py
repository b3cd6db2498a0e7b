"""What a stream of samples taught, printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from driftc.codegen.report.tables import print_rows

if TYPE_CHECKING:
    from driftc.simulator.adapting import Adapted
    from driftc.simulator.teach import Scores, Taught


def print_taught(found: Taught) -> None:
    rows = [("as compiled", *_shares(found.before), "", "", "")]
    for round in found.rounds:
        report = round.report
        kept = round.refused or ("kept" if report.kept else "not kept")
        held = f"{report.held_before} -> {report.held_after} of {report.held}"
        known = f"{report.references_before} -> {report.references_after} of {report.references}"
        rows.append((f"{round.added} samples", *_shares(round.scores), kept, held, known))
    print_rows(("after", "old", "new", "mean", "", "held apart, right", "references, right"), rows)
    click.echo(
        f"RAM    samples {found.store_bytes:,} B, weights and masters {found.trained_bytes:,} B; "
        f"flash  references {found.reference_bytes:,} B"
    )
    if found.step_instructions is not None:
        click.echo(f"step   {found.step_instructions:,} instructions on {found.core}")
    click.echo(f"learnt on {found.engine}")


def print_adapted(found: Adapted) -> None:
    rows, first = [], 0
    for block in (*found.blocks, found.whole):
        name = "all" if block is found.whole else f"{first} to {first + block.samples - 1}"
        learnt = f"{block.learnt} of {block.samples}"
        rows.append((name, f"{block.adapted:.1%}", f"{block.plain:.1%}", learnt))
        first += block.samples
    print_rows(("samples", "adapting", "without", "learnt from"), rows)
    if found.whole.returned:
        click.echo(f"went too far from the model as compiled, and returned to it: {found.whole.returned} times")
    click.echo(f"state  {found.state_bytes:,} B")
    if found.adapt_instructions is not None:
        share = "" if found.share is None else f", {found.share:.2%} of an inference"
        click.echo(f"adapt  {found.adapt_instructions:,} instructions on {found.core}{share}")
    click.echo(f"learnt on {found.engine}")


def _shares(scores: Scores) -> tuple[str, str, str]:
    values = (scores.old, scores.new, scores.mean)
    return tuple("-" if value is None else f"{value:.1%}" for value in values)  # type: ignore[return-value]
