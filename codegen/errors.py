"""The errors a user can cause. Each message names the file, the tensor or operator, what is wrong and what to do."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

from driftc.codegen.names import readable

LONGEST = 1200  # characters of a message; names in a model file may have any length
_FUSED = re.compile(r"'([^'\s]*;[^'\s]*)'")  # a name that TensorFlow joined from those of fused operations


class DriftcError(Exception):
    """Base of all expected failures; the command line prints the message alone and exits with `exit_code`.

    The message is one printable line of bounded length, whatever names from a model file are in it.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(_shortened(_printable(_FUSED.sub(lambda name: f"'{readable(name[1])}'", message))))


def _printable(text: str) -> str:
    """Line breaks, terminal escapes and the like spelt out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _shortened(text: str) -> str:
    """The beginning names the file and the end says what to do, so the middle goes."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


def fault(problem: BaseException) -> str:
    """What an exception that nobody expected says, and where it was raised: for a message that asks for a report."""
    frames = traceback.extract_tb(problem.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(problem).__name__}{where}: {first_line(problem)}"


def first_line(problem: BaseException) -> str:
    """What a library says in its exception, without what follows; its kind where it says nothing."""
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]


class ModelError(DriftcError):
    """A model file that cannot be read or holds what driftc does not support."""

    def within(self, file: str) -> ModelError:
        """The same, beginning with the file's name."""
        return self if str(self).startswith(f"{file}: ") else ModelError(f"{file}: {self}")


class DataError(DriftcError):
    """Input data of the wrong shape, dtype or name."""


class UsageError(DriftcError):
    """Options that do not fit together, unknown names, folders that cannot be written."""


class ToolError(DriftcError):
    """A compiler, emulator or package that is missing or failed; the message says what to install.

    What a tool said may follow, in lines of its own.
    """

    def __init__(self, message: str) -> None:
        Exception.__init__(self, "\n".join(_printable(line) for line in message.splitlines()))


class FitError(DriftcError):
    """A model that does not fit the board it is compiled for."""

    exit_code = 1
