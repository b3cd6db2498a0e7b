"""CMSIS: a pack for Keil, STM32Cube and csolution projects, and a layer of a csolution."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from driftc.codegen.errors import UsageError
from driftc.codegen.export.package import Package
from driftc.codegen.export.target import Target

# Cores that have what kernels are for, as CMSIS spells them.
_MVE = ("Cortex-M52", "Cortex-M55", "Cortex-M85")
_HAVE = {"dsp": ("Cortex-M4", "Cortex-M7", "Cortex-M33", "Cortex-M35P", "Star-MC1", *_MVE), "mve": _MVE}
_VENDOR = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,38}")


class Cmsis(Target):
    name = "cmsis"
    takes = ("vendor", "mlops")

    def values(self, package: Package) -> dict[str, Any]:
        wanted = _mlops(package.settings.mlops) if package.settings.mlops else {}
        clayer = Path(str(wanted.get("clayer", f"{package.name}.clayer.yml"))).name
        return {"vendor": _vendor(package), "clayer": clayer, "description": wanted.get("description")}

    def slow(self, package: Package) -> str:
        """With --mlops, the solution's core, where it lacks the extension."""
        if package.settings.mlops is None:
            return super().slow(package)
        core = str(_mlops(package.settings.mlops)["core"])
        return "" if package.extension is None or core in _HAVE[package.extension] else f"the solution's {core}"

    def place(self, path: str, package: Package) -> str:
        """The pack's and the layer's files have names of their own."""
        names = {"pack.pdsc": f"{_vendor(package)}.{package.name}.pdsc"}
        names["layer.clayer.yml"] = self.values(package)["clayer"]
        return names.get(path, super().place(path, package))

    def folder(self, package: Package) -> Path:
        """Where the solution looks for the layer."""
        mlops = package.settings.mlops
        return mlops.parent / Path(_mlops(mlops)["clayer"]).parent if mlops else super().folder(package)

    def archive_name(self, package: Package) -> str:
        return f"{_vendor(package)}.{package.name}.{package.settings.version}.pack"

    def archive_root(self, package: Package) -> str:
        return ""


def _vendor(package: Package) -> str:
    vendor = package.settings.vendor or "driftc"
    if not _VENDOR.fullmatch(vendor):
        raise UsageError(f"--vendor {vendor}: is no vendor of a pack: letters, digits, - and _, at most 39")
    return vendor


def _mlops(path: Path) -> dict[str, Any]:
    """Of a .cbuild-mlops.yml: the layer that the solution waits for, and what it says of it. Raises UsageError."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))["cbuild-mlops"]
        core, clayer = (_text(found[table][key]) for table, key in (("processor", "type"), ("model", "clayer")))
        name = _text(found["model"].get("name") or "")
    except OSError as problem:
        raise UsageError(f"--mlops {path}: cannot be read: {problem.strerror}") from None
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError, RecursionError):
        raise UsageError(
            f"--mlops {path}: is no .cbuild-mlops.yml, with processor: type: and model: clayer: under cbuild-mlops:"
        ) from None
    if not core.startswith(("Cortex-M", "Star-MC")):
        raise UsageError(f"--mlops {path}: processor {core}: driftc's C is for Cortex-M cores there")
    if not clayer.endswith((".clayer.yml", ".clayer.yaml")):
        raise UsageError(f"--mlops {path}: model: clayer: {clayer} does not end in .clayer.yml")
    return {"clayer": clayer, "core": core, "description": name or None}


def _text(value: object) -> str:
    """Of a number too; of a list, aliases would make a text of any length."""
    if not isinstance(value, str | int | float):
        raise TypeError
    return str(value)
