"""What every target is made from: the model's C, its interface in numbers, and what the user says of the package."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from email.utils import parseaddr
from pathlib import Path
from typing import Any, ClassVar

from driftc.codegen.class_names import check_class_names
from driftc.codegen.emit.emit import environment
from driftc.codegen.errors import UsageError
from driftc.codegen.files import read_json
from driftc.codegen.folder import RECORD, read_record

Files = dict[str, str | bytes]

# Of the official regular expression of semver.org, with limits, so that each target's own fields hold it.
_VERSION = re.compile(
    r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})(-[0-9A-Za-z.-]{1,20})?(\+[0-9A-Za-z.-]{1,20})?"
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,100}")
_LITERAL = re.compile(r"[0-9.e+-]{1,40}f?")
_URL = re.compile(r"https?://[!#-;=?-Z_a-z~\[\]]{3,200}")
# What each C type is called by the buffers of Python.
TYPECODES = {"int8_t": "b", "uint8_t": "B", "int16_t": "h", "int32_t": "i", "float": "f"}


@dataclass(frozen=True)
class Settings:
    """What the user says of the package. Raises UsageError where that is not what its fields hold."""

    COMMON: ClassVar = ("version", "author", "url", "license")

    version: str = "1.0.0"
    author: str | None = None  # Name <mail>, or a name
    url: str | None = None
    license: str | None = None  # SPDX expression, of the model
    vendor: str | None = None  # cmsis: who publishes the pack
    mlops: Path | None = None  # cmsis: a .cbuild-mlops.yml
    arch: tuple[str, ...] = ()  # mpy: what to build for
    micropython: Path | None = None  # mpy: the source tree to build with

    def __post_init__(self) -> None:
        if not _VERSION.fullmatch(self.version):
            raise UsageError(f"--version {self.version}: is no semantic version, such as 1.0.0 or 2.1.0-rc.1")
        if self.author is not None and (not self.author_name or len(self.author) > 100 or '"' in self.author):
            raise UsageError(f"--author {self.author}: is no author, such as 'Ada Lovelace <ada@example.org>'")
        if self.url is not None and not _URL.fullmatch(self.url):
            raise UsageError(f"--url {self.url}: is no address, such as https://example.org/kws")
        if self.license is not None:
            object.__setattr__(self, "license", _spdx(self.license))

    def given(self) -> list[str]:
        """The options that are not as by default."""
        default = {name: spec.default for name, spec in self.__dataclass_fields__.items()}
        return [name for name, value in asdict(self).items() if value != default[name]]

    @property
    def author_name(self) -> str:
        text = self.author or ""
        name, mail = parseaddr(text)
        found = name if mail and "<" in text else text
        return found.strip() if found.isprintable() and "<" not in found and ">" not in found else ""

    @property
    def author_mail(self) -> str | None:
        text = self.author or ""
        mail = parseaddr(text)[1] if "<" in text else ""
        return mail if re.fullmatch(r"[^@\s<>\"]+@[^@\s<>\"]+", mail) else None


def _spdx(text: str) -> str:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression as problem:
        raise UsageError(
            f"--license {text}: is no SPDX expression, such as MIT or LicenseRef-Proprietary: {problem}"
        ) from None


@dataclass(frozen=True)
class Port:
    """An input or output of the C: `name` is its accessor without the model's name."""

    name: str
    label: str
    type: str
    shape: tuple[int, ...]
    scale: str | None  # a C literal
    zero: int

    def __post_init__(self) -> None:
        """Raises ValueError for what `driftc compile` does not write: it would be C, CMake or Python."""
        sound = _is_name(self.name) and isinstance(self.label, str) and self.type in TYPECODES
        sound = sound and all(_is_number(extent) and extent > 0 for extent in self.shape) and _is_number(self.zero)
        if not sound or not (self.scale is None or (isinstance(self.scale, str) and _LITERAL.fullmatch(self.scale))):
            raise ValueError("a port is damaged")

    @property
    def length(self) -> int:
        count = 1
        for extent in self.shape:
            count *= extent
        return count

    @property
    def typecode(self) -> str:
        """Of Python's array and memoryview."""
        return TYPECODES[self.type]


@dataclass(frozen=True)
class Package:
    """One exported model."""

    name: str  # the C prefix
    settings: Settings
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    regions: tuple[dict[str, Any], ...]
    state: bool  # whether something is kept from one inference to the next
    rows: dict[str, int] | None  # input, count, length; None where the input is given whole
    c: dict[str, str]  # every C file of the model: name -> text
    source: str  # the model's file
    driftc: str  # the version that compiled it
    class_names: tuple[str, ...]
    report: dict[str, Any] = field(repr=False)

    @property
    def upper(self) -> str:
        return self.name.upper()

    @property
    def public(self) -> list[str]:
        """The headers that a program includes, itself or through one of them."""
        parts = ("", "_float_io", "_learn", "_backward", "_adapt", "_meta", "_update", "_upload")
        shared = ("state", "slots", "learned", "updated", "chooser")
        own = (*(f"{self.name}{part}.h" for part in parts), *(f"driftc_{part}.h" for part in shared))
        return [name for name in own if name in self.c]

    @property
    def learns(self) -> bool:
        """On the device, from samples that are labelled there."""
        return f"{self.name}_learn.h" in self.c

    @property
    def adapts(self) -> bool:
        """On the device, from its own decisions."""
        return f"{self.name}_adapt.h" in self.c

    @property
    def updates(self) -> bool:
        """Its parameters, by packets that a server signs."""
        return f"{self.name}_update.h" in self.c

    @property
    def uploads(self) -> bool:
        """It says which samples are worth sending to a server."""
        return f"{self.name}_upload.h" in self.c

    @property
    def by_entropy(self) -> bool:
        """It says so by how unsure it is."""
        return self.uploads and "_upload_entropy" in self.c[f"{self.name}_upload.h"]

    @property
    def extension(self) -> str | None:
        """What the C's kernels are for, of those that a core may lack; elsewhere twins in plain C take their place."""
        return next((name for name in ("mve", "dsp") if f"driftc_{name}.h" in self.c), None)

    @property
    def made_for(self) -> str:
        """The cores that have it, as people call them."""
        cores = {
            "dsp": "cores with DSP instructions (Cortex-M4, M7, M33, M55, M85)",
            "mve": "cores with MVE (Cortex-M55, M85)",
        }
        return cores[self.extension] if self.extension else "every core"

    @property
    def compiled(self) -> list[str]:
        """The files that a build compiles."""
        return sorted(name for name in self.c if name.endswith(".c"))

    @property
    def numbers(self) -> str:
        """The version without what CMake's project() does not take."""
        return re.split("[-+]", self.settings.version)[0]

    @property
    def summary(self) -> str:
        """One line of plain ASCII."""
        given = ", ".join(_by(port.shape) for port in self.inputs)
        gives = ", ".join(_by(port.shape) for port in self.outputs)
        return f"{self.name}: int8 neural network, {given} to {gives}, as plain C without runtime or heap"

    def sources(self, public: str, private: str) -> Files:
        """The model's C: headers for programs in one folder, the rest in another."""
        return {f"{public if name in self.public else private}{name}": text for name, text in self.c.items()}

    def render(self, template: str, **values: Any) -> str:
        """A file of templates/export/."""
        return str(environment().get_template(f"export/{template}").render(p=self, **values))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_number(value: object) -> bool:
    return type(value) is int and abs(value) < 1 << 40


def _regions(listed: Any) -> tuple[dict[str, Any], ...]:
    for region in listed:
        if not _is_name(region["name"]) or not _is_number(region["bytes"]) or not _is_number(region["align"]):
            raise ValueError("a region is damaged")
    return tuple(listed)


def _rows(found: Any) -> dict[str, int] | None:
    if found is not None and not all(_is_number(found[key]) for key in ("input", "count", "length")):
        raise ValueError("the rows are damaged")
    return found if found is None else dict(found)


def _report(found: Any) -> dict[str, Any]:
    numbers = (found["arena_bytes"], found["flash"]["constants"], found.get("stack_bytes") or 0)
    if not all(_is_number(number) for number in numbers):
        raise ValueError("the report is damaged")
    return {"stack_bytes": None, **found}


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def read_package(folder: Path, settings: Settings) -> Package:
    """The package of a folder that `driftc compile` wrote: its C as it is there. Raises UsageError."""
    record = read_record(folder)
    if "export" in record:
        raise UsageError(f"{folder}: is an export already; give the folder that driftc compile wrote")
    try:
        files = [str(name) for name in record["files"]]  # type: ignore[attr-defined]
        face: Any = record["interface"]
        ports = {
            kind: tuple(Port(**{**port, "shape": tuple(port["shape"])}) for port in face[kind])
            for kind in ("inputs", "outputs")
        }
        options: Any = record["options"]
        if not _is_name(face["name"]):
            raise ValueError("the name is damaged")
        class_names = tuple(options.get("class_names") or ())
        check_class_names(class_names)
        return Package(
            name=face["name"],
            settings=settings,
            inputs=ports["inputs"],
            outputs=ports["outputs"],
            regions=_regions(face["regions"]),
            state=bool(face["state"]),
            rows=_rows(face["rows"]),
            c={name: _text(folder, name) for name in sorted(files) if name.endswith((".c", ".h")) and "/" not in name},
            source=str(record["model"]),
            driftc=str(record["driftc"]),
            class_names=class_names,
            report=_report(read_json(folder / "report.json")),
        )
    except OSError:
        raise UsageError(f"{folder}: report.json is missing; compile the model again") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UsageError(
            f"{folder}: {RECORD} or report.json is damaged or of another driftc; compile the model again"
        ) from None


def _text(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8")
    except OSError:
        raise UsageError(f"{folder}: {name} is missing; compile the model again") from None
