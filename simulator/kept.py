"""What a long run has come to, kept beside the compiled programs until it is done, so that one that was cut goes on."""

from __future__ import annotations

import pickle
import shutil
import tempfile
from pathlib import Path
from typing import Any

from driftc.simulator.cache import cache_folder


class Kept:
    """Results by number, in the cache folder, where what is not used for a month is dropped."""

    def __init__(self, kind: str, key: str) -> None:
        """`key`: a digest of all that they depend on."""
        self._place = cache_folder() / "built" / f"{kind}-{key}"
        self._place.mkdir(parents=True, exist_ok=True)

    def _path(self, number: int) -> Path:
        return self._place / f"{number}.pickle"

    def has(self, number: int) -> bool:
        return self._path(number).is_file()

    def get(self, number: int) -> Any:
        return pickle.loads(self._path(number).read_bytes())

    def put(self, number: int, result: Any) -> None:
        """Whole or not at all; where it cannot be kept it is not, and nothing else is lost."""
        try:
            with tempfile.NamedTemporaryFile(dir=self._place, delete=False) as file:
                pickle.dump(result, file)
            Path(file.name).replace(self._path(number))
        except OSError:
            pass

    def drop(self, number: int | None = None) -> None:
        """One, or all of them."""
        if number is None:
            shutil.rmtree(self._place, ignore_errors=True)
        else:
            self._path(number).unlink(missing_ok=True)
