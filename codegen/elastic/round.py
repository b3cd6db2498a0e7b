"""One round of learning from uploads: teacher, distillation, codes, and the checks without which no packet is made.

A fifth of the uploads is held out, and of the clean samples some that the distillation does not see. The int8
specification with the new parameters must agree more with the teacher on the former than with those that are active,
and must not decide more than a point worse on the latter than as compiled. Where it does not at once, it is
tried part of the way back to what is active.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.adaptation.learning import Progress
from driftc.codegen.elastic.coding import Codes
from driftc.codegen.elastic.distil import Distillation, changes
from driftc.codegen.elastic.student import Raw, Student
from driftc.codegen.elastic.teacher import Teacher
from driftc.codegen.errors import DataError

FEWEST = 20  # uploads
FEWEST_CLEAN = 64
HELD_OUT = 5  # one in so many uploads
CHECKED = 1024  # clean samples at most, and no more than a third
SHARES = (1.0, 0.75, 0.5, 0.25)
POINT = 1.0  # that may be lost on clean samples, percent


@dataclass(frozen=True)
class Shares:
    """Percent before and after the update, of `count` samples."""

    count: int
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """`codes`: the update, None where it was refused. `uploads`: agreement with the teacher on those held out, the mean
    probability that it gives what is decided.

    `clean`: right decisions on clean samples, by `clean_by`: their labels, or the teacher. `source`: how many of them
    are decided as by the model as compiled. `share`: how much of what was learnt is in the update.
    """

    codes: tuple[Codes, ...] | None
    reason: str
    uploads: Shares
    clean: Shares
    clean_by: str
    source: float
    share: float
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.codes is not None

    def as_json(self) -> dict[str, Any]:
        found = {key: value for key, value in asdict(self).items() if key != "codes"}
        return {"accepted": self.accepted, **found, "notes": list(self.notes)}


@dataclass(frozen=True, eq=False)
class Clean:
    """What the model was made for, raw int8 [n, ...], and the labels where there are any."""

    samples: Raw
    labels: NDArray[np.int64] | None = None


class Rounds:
    """What every round of a model needs. Raises UsageError or DataError for what cannot be taught."""

    def __init__(self, student: Student, teacher: Teacher, clean: Clean, one_environment: bool = False) -> None:
        if len(clean.samples) < FEWEST_CLEAN:
            raise DataError(f"{len(clean.samples)} clean samples; {FEWEST_CLEAN} are needed, better 1,000")
        self._student, self._teacher = student, teacher
        self._distillation = Distillation(student, one_environment)
        self.notes = (*teacher.notes, *self._distillation.notes)
        count = len(clean.samples)
        order = np.random.default_rng(0).permutation(count)
        kept = min(CHECKED, count // 3)
        self._checked, self._taught = clean.samples[order[:kept]], clean.samples[order[kept:]]
        self._as_compiled = student.decisions(self._checked)
        if clean.labels is not None:
            self._by, self._right = "labels", clean.labels[order[:kept]]
        else:
            real = student.real(self._checked)
            self._by, self._right = "teacher", teacher.probabilities(real, shifted=False).argmax(-1)

    def run(
        self,
        uploads: Raw,
        active: Sequence[Codes] | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        devices: NDArray[np.int64] | None = None,
    ) -> Outcome:
        """`uploads` [n, ...]; `active`: the codes before, None: as compiled; `devices`: a number for each upload's.

        Raises DataError where they are too few.
        """
        if len(uploads) < FEWEST:
            raise DataError(f"{len(uploads)} uploads; a round needs {FEWEST}")
        began = time.monotonic()
        student = self._student
        wanted = self._teacher.probabilities(student.real(uploads), devices)
        order = np.random.default_rng(seed).permutation(len(uploads))
        held, used = order[: max(len(uploads) // HELD_OUT, 1)], order[max(len(uploads) // HELD_OUT, 1) :]
        layers = student.parameters.layers
        start = tuple(active) if active is not None else student.parameters.unchanged()
        found = self._distillation.teach(uploads[used], wanted[used], self._taught, start, seed, progress)
        begun = changes(layers, start)
        before = self._agreement(uploads[held], wanted[held], start)
        clean_before = _percent(self._as_compiled == self._right)
        refused: Outcome | None = None
        for share in SHARES:
            parts = (a.towards(b, share) for a, b in zip(begun, found, strict=True))
            codes = tuple(part.codes(layer) for part, layer in zip(parts, layers, strict=True))
            after = self._agreement(uploads[held], wanted[held], codes)
            if refused is not None and not after > before:
                continue  # and what it costs on clean samples need not be known
            decided = student.decisions(self._checked, codes)
            outcome = Outcome(
                codes,
                "",
                Shares(len(held), before, after),
                Shares(len(self._checked), clean_before, _percent(decided == self._right)),
                self._by,
                _percent(decided == self._as_compiled),
                share,
                time.monotonic() - began,
                self.notes,
            )
            reason = refusal(outcome)
            if reason is None:
                return outcome
            refused = refused or replace(outcome, codes=None, reason=reason)
        assert refused is not None
        return replace(refused, seconds=time.monotonic() - began)

    def _agreement(self, samples: Raw, wanted: NDArray[np.float32], codes: Sequence[Codes]) -> float:
        """Percent that the teacher gives what the int8 specification decides: less a matter of chance than equality."""
        decided = self._student.decisions(samples, codes)
        return float(100 * wanted[np.arange(len(samples)), decided].mean(dtype=np.float64))


def refusal(outcome: Outcome) -> str | None:
    """Why no packet may be made of it, None where one may."""
    uploads, clean = outcome.uploads, outcome.clean
    if not uploads.after > uploads.before:
        return (
            f"agreement with the teacher does not rise: {uploads.before:.1f} % of {uploads.count} uploads held out "
            f"before, {uploads.after:.1f} % after"
        )
    if clean.after < clean.before - POINT:
        return (
            f"{clean.after:.1f} % of {clean.count} clean samples are right by {outcome.clean_by}, {clean.before:.1f} % "
            f"as compiled: more than {POINT:g} point less"
        )
    return None


def _percent(right: NDArray[np.bool_]) -> float:
    return float(100 * right.mean())
