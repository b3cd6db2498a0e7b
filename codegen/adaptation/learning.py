"""What the user says of how constants are learnt, and what is asked of those who learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from driftc.codegen.errors import UsageError
from driftc.codegen.operators.adapt.adapt_rank import LARGEST_RANK

LARGEST_WEIGHT = 1000.0

Progress = Callable[[int, int], None]
Worth = Callable[[Sequence[str]], Mapping[str, float]]  # of layers that are live together -> what each of them does


@dataclass(frozen=True)
class Learning:
    """`augment`, `divisor`: as `augment.shifts` has them. `rank`: of the term across channels; None: there is none.
    `clean`: weight of what is lost where nothing is shifted; None: the method's own.
    """

    augment: str | None = None
    divisor: float = 1.0
    rank: int | None = None
    clean: float | None = None

    def check(self, method: str | None, learns: bool) -> None:
        """Raises UsageError for what is out of range, or said though `method` (None: none is) learns nothing."""
        for option, value in (("augment", self.augment), ("adapt-rank", self.rank), ("adapt-clean", self.clean)):
            if value is None:
                continue
            said = f"--{option} {value:g}" if isinstance(value, float) else f"--{option} {value}"
            if method is None:
                raise UsageError(f"{said}: is for constants that --adapt learns, which is not asked for")
            if not learns:
                raise UsageError(f"{said}: the method {method} learns nothing; calibrated does")
        if self.rank is not None and not 1 <= self.rank <= LARGEST_RANK:
            raise UsageError(f"--adapt-rank {self.rank}: is from 1 to {LARGEST_RANK}")
        if self.clean is not None and not 0 <= self.clean <= LARGEST_WEIGHT:
            raise UsageError(f"--adapt-clean {self.clean:g}: is from 0 to {LARGEST_WEIGHT:g}")
