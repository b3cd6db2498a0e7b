"""The errors a user can cause. Each message names the file, the tensor or operator, what is wrong and what to do."""

from __future__ import annotations


class DriftcError(Exception):
    """Base of all expected failures; the command line prints the message alone and exits with `exit_code`."""

    exit_code = 2


class ModelError(DriftcError):
    """A model file that cannot be read or holds what driftc does not support."""


class DataError(DriftcError):
    """Input data of the wrong shape, dtype or name."""


class UsageError(DriftcError):
    """Options that do not fit together, unknown names, folders that cannot be written."""


class ToolError(DriftcError):
    """A compiler, emulator or package that is missing or failed; the message says what to install."""


class FitError(DriftcError):
    """A model that does not fit the board it is compiled for."""

    exit_code = 1
