"""A compiled folder for processes of other machines: one that does not have it at the same path is sent its files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from driftc.codegen.errors import ToolError
from driftc.codegen.folder import RECORD
from driftc.simulator.cache import cached, content_digest
from driftc.simulator.engine import Program


@dataclass(frozen=True, eq=False)
class Shipped:
    """`program` with its path here; `content`: a digest of its files, "" for processes of this machine alone."""

    program: Program
    content: str

    @classmethod
    def of(cls, program: Program, workers: int | str | None) -> Shipped:
        """For `workers` as `executor` takes them."""
        folder = program.folder.absolute()
        content = content_digest(folder) if isinstance(workers, str) else ""
        return cls(replace(program, folder=folder), content)

    def here(self) -> Program:
        """With its path where this is called. Raises ToolError where the files did not arrive."""
        return replace(self.program, folder=_found(self.program.folder, self.content))

    def upload(self, client: Any) -> None:
        """To all workers of a Dask client, those included that come later."""
        with TemporaryDirectory(prefix="driftc-") as place:
            archive = shutil.make_archive(str(Path(place, _name(self.content))), "zip", self.program.folder)
            client.upload_file(archive, load=False)


def _name(content: str) -> str:
    return f"driftc-{content}"


@lru_cache(maxsize=4)
def _found(folder: Path, content: str) -> Path:
    if not content or (folder.is_dir() and content_digest(folder) == content):
        return folder
    from distributed import get_worker

    archive = Path(get_worker().local_directory, f"{_name(content)}.zip")
    if not archive.is_file():
        raise ToolError(f"{folder}: is not on a worker of the Dask cluster, nor did its files arrive there")
    return cached(_name(content), RECORD, lambda place: shutil.unpack_archive(archive, place)).parent
