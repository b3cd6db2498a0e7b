"""The names of the classes that a model tells apart: what users call the values of its output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from driftc.codegen.errors import UsageError
from driftc.codegen.tensor import Tensor

LONGEST = 60


def class_names(given: str | Path | Sequence[str] | None) -> tuple[str, ...] | None:
    """The names as such, as "yes,no", or as a text file with one a line. Raises UsageError."""
    if given is None:
        return None
    if not isinstance(given, str | Path):
        return tuple(given)
    path = Path(given)
    if "," in str(given) and not path.is_file():
        return tuple(name.strip() for name in str(given).split(","))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "is no UTF-8 text"
        raise UsageError(f"--class-names {path}: {reason}; give a file with a name a line, or NAME,NAME") from None
    return tuple(line.strip() for line in lines if line.strip())


def check_class_names(names: Sequence[str]) -> None:
    """Raises UsageError for names that are empty, there twice, too long or not printable."""
    for number, name in enumerate(names):
        if not isinstance(name, str) or not name or not name.isprintable() or len(name) > LONGEST:
            raise UsageError(f"class name {number} {name!r}: needs 1 to {LONGEST} printable characters, on one line")
        if name in names[:number]:
            raise UsageError(f"class name '{name}' is there twice")


def check_count(names: Sequence[str] | None, outputs: Sequence[Tensor]) -> None:
    """Raises UsageError unless there is one output with as many values as there are `names`."""
    if names is None:
        return
    sizes = [tensor.size for tensor in outputs]
    if sizes != [len(names)]:
        has = f"{sizes[0]} values" if len(sizes) == 1 else f"{len(sizes)} outputs"
        raise UsageError(f"--class-names: {len(names)} names, but the model has {has}; give one for each value")
