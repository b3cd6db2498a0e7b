"""What a .pt2 holds beside the exported program, looked at before torch opens it: pickles are programs."""

from __future__ import annotations

import io
import json
import pickletools
import re
import zipfile
from pathlib import Path

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends.archives import member, opened

# What torch.save writes for tensors: their storages, shapes and types, and the containers around them.
TENSORS = re.compile(
    r"collections OrderedDict|_codecs encode|torch\._utils _rebuild_(tensor|tensor_v2|parameter)|"
    r"torch\.nn\.parameter Parameter|torch\.storage (Untyped|Typed)Storage|torch\.serialization _get_layout|"
    r"torch (\w+Storage|Size|device|dtype|Tensor|strided|u?int\d+|b?float\d+|bool|complex\d+)"
)
FOREIGN = re.compile(rb'"torch\.ops\.(?!aten\.|higher_order\.)(\w+\.\w+)')
OBJECTS = ("custom_obj_", "opaque_obj_")  # members that are pickles of whatever Python made
REMEDY = "export the model again with tensors as its only example inputs"


def check(path: Path, title: str) -> None:
    """Raises ModelError where torch would unpickle something that is no tensor, or load machine code."""
    with opened(path, title) as archive:
        for name in archive.namelist():
            last = name.rsplit("/", 1)[-1]
            if "aotinductor/" in name or last.endswith((".so", ".cubin", ".dll", ".dylib")):
                raise ModelError(f"{title}: holds machine code ('{name}'), which driftc does not load")
            if last.startswith(OBJECTS):
                raise ModelError(f"{title}: holds a pickled object ('{name}'), which driftc does not load; {REMEDY}")
            if "models/" in name and last.endswith(".json"):
                _check_operators(member(archive, name, title), title)
        for name in _pickled(archive, title):
            _check_tensors(member(archive, name, title), f"{title}: '{name}'")


def _check_operators(program: bytes, title: str) -> None:
    """Raises ModelError for operators of other libraries, which torch could not load and would bury in its log."""
    found = sorted({name.decode() for name in FOREIGN.findall(program)})
    if any(name.startswith("quantized") for name in found):
        raise ModelError(
            f"{title}: was quantised already, by PyTorch ({', '.join(found)}); export the float program from before "
            "prepare_pt2e: driftc quantises it, with --calibrate"
        )
    if found:
        raise ModelError(f"{title}: holds operators of other libraries: {', '.join(found)}; driftc reads PyTorch's own")


def _pickled(archive: zipfile.ZipFile, title: str) -> list[str]:
    """The members that torch.load would be given."""
    found = [name for name in archive.namelist() if name.endswith((".pt", ".pth", ".pkl"))]
    flagged: set[str] = set()
    for name in archive.namelist():
        if not name.endswith("_config.json"):
            continue
        try:
            listed = json.loads(member(archive, name, title)).get("config", {}).values()
            flagged |= {entry["path_name"] for entry in listed if entry.get("use_pickle")}
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
            raise ModelError(f"{title}: '{name}' is damaged") from None
    return found + [name for name in archive.namelist() if name.rsplit("/", 1)[-1] in flagged]


def _check_tensors(data: bytes, where: str) -> None:
    """Raises ModelError unless `data` is what torch.save writes of tensors."""
    if not data:  # no example inputs
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as saved:
            pickles = [saved.read(name) for name in saved.namelist() if name.endswith(".pkl")]
    except Exception:  # zipfile, zlib and others each have their own
        raise ModelError(f"{where} is a pickle, which driftc does not load; {REMEDY}") from None
    for content in pickles:
        for made in _globals(content, where):
            if not TENSORS.fullmatch(made):
                raise ModelError(f"{where} calls '{made}' when it is unpickled, which driftc does not allow; {REMEDY}")


def _globals(content: bytes, where: str) -> list[str]:
    """'module name' of everything that the pickle imports."""
    found: list[str] = []
    try:
        for code, argument, _ in pickletools.genops(content):
            if code.name in ("GLOBAL", "INST"):
                found.append(str(argument))
            elif code.name == "STACK_GLOBAL" or code.name.startswith("EXT"):  # torch.save writes neither
                found.append(f"what {code.name} names")
    except Exception:  # pickletools raises ValueError, and what decoding does
        raise ModelError(f"{where} is damaged") from None
    return found
