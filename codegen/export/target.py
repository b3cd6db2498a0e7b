"""A world that a package is built in, and how the files of `templates/export/TARGET/` become the package's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.abc import Traversable
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar
from xml.sax.saxutils import escape

from driftc.codegen.emit.emit import environment
from driftc.codegen.errors import UsageError
from driftc.codegen.export.package import Files, Package
from driftc.codegen.names import comment


class Target:
    """What a target may say of itself. Its templates are laid out as the package is; NAME in a path is the model's."""

    name: ClassVar[str]  # what --to takes, and the folder of its templates
    takes: ClassVar[tuple[str, ...]] = ()  # options beyond those that all take
    public: ClassVar[str] = "include/"  # where the headers for programs go
    private: ClassVar[str] = "src/"  # where the rest of the C goes
    needs_mail: ClassVar[str] = ""  # the file in which an author needs a mail address

    def files(self, package: Package) -> Files:
        """Every file of the package: relative name -> content. Raises UsageError."""
        settings = package.settings
        if self.needs_mail and settings.author is not None and settings.author_mail is None:
            raise UsageError(
                f"--author {settings.author}: {self.needs_mail} needs a mail address: 'Ada Lovelace <ada@example.org>'"
            )
        found: Files = dict(self.sources(package))
        values = self.values(package)
        for path, template in _templates(self.name):
            found[self.place(path, package)] = package.render(template, **values)
        found["LICENSE"] = package.render("LICENSE.j2")
        return found

    def sources(self, package: Package) -> Files:
        """The model's C."""
        return package.sources(self.public, self.private)

    def values(self, package: Package) -> dict[str, Any]:
        """What the templates see besides the package."""
        return {}

    def slow(self, package: Package) -> str:
        """Who in this world lacks the extension that the C is for; empty: nobody."""
        return "other cores"

    def note(self, package: Package) -> str | None:
        """What whoever exports should know."""
        slow = self.slow(package) if package.extension else ""
        if not slow:
            return None
        return (
            f"the C of {package.name} is for {package.made_for}; on {slow} plain C is used instead, with the same "
            "bytes, but several times slower than what 'driftc compile --core NAME' gives for them"
        )

    def place(self, path: str, package: Package) -> str:
        """Where a template's file goes."""
        return path.replace("NAME", package.name)

    def folder(self, package: Package) -> Path:
        """Where the package goes unless the user says."""
        return Path(self.name) / package.name

    def archive_name(self, package: Package) -> str:
        return f"{package.name}-{package.settings.version}.zip"

    def archive_root(self, package: Package) -> str:
        """The folder in the archive that holds all files; empty: none."""
        return f"{package.name}/"


def _templates(target: str) -> list[tuple[str, str]]:
    """Of each template: where its file goes, and the template's name."""
    root = files("driftc.templates").joinpath(f"export/{target}")
    return [(path.removesuffix(".j2"), f"{target}/{path}") for path in sorted(_walk(root))]


def _walk(folder: Traversable, at: str = "") -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{at}{entry.name}/")
        elif entry.name.endswith(".j2") and not entry.name.startswith("_"):
            yield at + entry.name


def _quoted(text: str) -> str:
    """A string of JSON, and so of YAML."""
    return json.dumps(text, ensure_ascii=True)


environment().filters.update(quoted=_quoted, xml=lambda text: escape(text, {'"': "&quot;"}), plain=comment)
