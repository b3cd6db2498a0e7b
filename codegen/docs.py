"""The parts of docs/ that the sources decide, between `<!-- made: PART -->` and `<!-- end -->`.

`python -m driftc.codegen.docs docs` renews them; a test fails where they are out of date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from driftc.boards import COLUMNS, load, table
from driftc.codegen.errors import UsageError
from driftc.codegen.frontends.blocks.activation import ONE_OPERATOR
from driftc.codegen.frontends.blocks.functions import SEVERAL
from driftc.codegen.frontends.constants import FUNCTIONS
from driftc.codegen.frontends.keras.walk import layer as keras_layers
from driftc.codegen.frontends.keras.walk import operation as keras_operations
from driftc.codegen.frontends.onnx.walk import operator as onnx_operators
from driftc.codegen.frontends.saved_model.walk import operation as saved_model_operations
from driftc.codegen.frontends.torch.walk import operator as torch_operators
from driftc.codegen.frontends.translators import Translators
from driftc.codegen.kernels.portable.loops import loops_of
from driftc.codegen.operators import known
from driftc.codegen.operators.base import Operator, Tiling
from driftc.codegen.operators.by_sample import BySample
from driftc.codegen.operators.movement.row_input import RowInput

TRANSLATORS: Mapping[str, Translators[Any]] = {
    "Keras layers": keras_layers,
    "Operations on Keras tensors": keras_operations,
    "ONNX operators": onnx_operators,
    "PyTorch (ATen) operators": torch_operators,
    "TensorFlow operations (SavedModel)": saved_model_operations,
}
MARKED = re.compile(r"(?<=<!-- made: )(\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)
MADE = (RowInput, BySample)  # what a plan makes of others
TILES = {Tiling.ROWS: "rows", Tiling.CHANNELS: "channels", Tiling.REDUCE: "input channels"}


def renewed(page: str, folder: Path) -> str:
    """`page` with every marked part made anew; `folder` is docs/, where the JSON schemas are."""
    return MARKED.sub(lambda part: f"{part[1]}{part[2]}\n{PARTS[part[1]](folder)}\n", page)


def main(arguments: Sequence[str]) -> None:
    if len(arguments) != 1 or not (Path(arguments[0]) / "schemas").is_dir():
        raise UsageError("usage: python -m driftc.codegen.docs DOCS, the folder that holds schemas/")
    folder = Path(arguments[0])
    for path in sorted(folder.glob("*.md")):
        page = path.read_text(encoding="utf-8")
        path.write_text(renewed(page, folder), encoding="utf-8", newline="\n")


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("*", "\\*").replace("_", "\\_")


def _arithmetic(_: Path) -> str:
    return "\n".join(_section(code, operator) for code, operator in known().items() if operator not in MADE)


def _section(code: str, operator: type[Operator]) -> str:
    parts = [f"### {code}", _escaped(operator.arithmetic), f"Compared with: {operator.compared}."]
    if operator.departures:
        parts.append(f"Departure: {_escaped(operator.departures)}")
    return "\n\n".join(parts) + "\n"


def _folded(_: Path) -> str:
    return ", ".join(sorted(FUNCTIONS)) + ".\n"


def _operators(_: Path) -> str:
    rows = []
    for code, operator in known().items():
        if operator in MADE:
            continue  # the entry point itself
        kernels = "none: a view" if operator.view else ", ".join(_kernels(operator)) or "none: at the border"
        parts = ", ".join(word for flag, word in TILES.items() if flag in operator.tiling) or "-"
        rows.append((code, _formula(operator), kernels, parts, "yes" if loops_of(operator).ordered else "-"))
    return markdown_table(("operator", "computes", "kernels", "in parts", "over its input"), rows)


def _formula(operator: type[Operator]) -> str:
    """What the first line of the operator's module says after its name."""
    text = (sys.modules[operator.__module__].__doc__ or "").partition("\n")[0]
    return _escaped(text.partition(": ")[2].rstrip("."))


def _kernels(operator: type[Operator]) -> list[str]:
    folder = files("driftc.templates").joinpath(operator.template)
    found = [entry.name.removesuffix(".c.j2") for entry in folder.iterdir()] if folder.is_dir() else []
    return sorted(f"{operator.template}/{name}" for name in found)


def _models(_: Path) -> str:
    parts = []
    for title, translators in TRANSLATORS.items():
        families: dict[str, list[Callable[..., Any]]] = {}
        names: dict[Callable[..., Any], list[str]] = {}
        for name, function in translators.known.items():
            if name.startswith("_") or name.removesuffix("_") in translators.known.keys() - {name}:
                continue  # PyTorch's own forms of what has a name beside them
            if function not in names:
                families.setdefault(function.__module__, []).append(function)
            names.setdefault(function, []).append(f"`{name}`")
        rows = [
            (
                _first_line(sys.modules[module]),
                ", ".join(sorted(name for function in found for name in names[function])),
                " ".join(f"{', '.join(names[f])}: {_lowered(_first_line(f))}." for f in found if f.__doc__),
            )
            for module, found in sorted(families.items())
        ]
        parts.append(f"### {title}\n\n" + markdown_table(("family", "read", "how far"), rows))
    return "\n".join(parts)


def _left_out(_: Path) -> str:
    rows = [
        (title, ", ".join(f"`{name}`" for name, why in translators.left_out.items() if why == reason), reason)
        for title, translators in TRANSLATORS.items()
        for reason in dict.fromkeys(translators.left_out.values())
    ]
    return markdown_table(("format", "not read", "instead"), rows)


def _activations(_: Path) -> str:
    return ", ".join(f"`{name}`" for name in sorted([*ONE_OPERATOR, *SEVERAL, "linear"])) + "\n"


def _first_line(documented: Any) -> str:
    return _escaped((documented.__doc__ or "").partition("\n")[0].rstrip("."))


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _boards(_: Path) -> str:
    rows = [(*row, load(row[0]).source) for row in table()]
    return markdown_table((*COLUMNS, "source of the numbers"), rows)


def _json(folder: Path) -> str:
    schemas = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("schemas/*.json")}
    return "\n".join(_schema(command, schemas[command]) for command in sorted(schemas))


def _schema(command: str, schema: Mapping[str, Any]) -> str:
    rows = [(f"`{path}`", kind, text) for path, kind, text in _fields(schema, "")]
    title = f"## driftc {command} --json\n\n{schema['description']}\n\n"
    return title + markdown_table(("field", "type", "meaning"), rows)


def _fields(schema: Mapping[str, Any], path: str) -> list[tuple[str, str, str]]:
    """Every property below `schema`: path, type, description."""
    found: list[tuple[str, str, str]] = []
    for name, part in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        kind = part["type"] if isinstance(part["type"], str) else " or ".join(part["type"])
        items = part.get("items", {})
        if "array" in part["type"]:
            kind = kind.replace("array", f"array of {items['type']}")
        found.append((here, kind, part["description"]))
        found += _fields(part, here) + _fields(items, f"{here}[]")
    return found


PARTS: dict[str, Callable[[Path], str]] = {
    "activations": _activations,
    "arithmetic": _arithmetic,
    "boards": _boards,
    "json": _json,
    "left_out": _left_out,
    "models": _models,
    "folded": _folded,
    "operators": _operators,
}

if __name__ == "__main__":
    main(sys.argv[1:])
