"""CMSIS packs and csolution layers: the files fit together.

Neither cpackget nor csolution is in reach of the tests. The layer is read as YAML and built with this machine's
compiler as it says; pyOCD opens the pack, its description is read as XML, and every file that it names is in the pack.
"""

from __future__ import annotations

import shlex
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import pytest
import yaml
from commands import c_compiler, driftc
from exported import MODELS, STAND_INS, both_selftests, export, readme_commands, shell, tools

MLOPS = """
cbuild-mlops:
  generated-by: csolution version 2.14.1
  description: Keyword spotter
  processor:
    type: Cortex-M55
  model:
    clayer: ai/keywords.clayer.yml
    name: Keywords
"""


def built(layers: list[Path], main: Path, folder: Path) -> str:
    """What the program of these layers prints, built as they say."""
    compiler = c_compiler()
    arguments = [str(main)]
    for path in layers:
        layer = yaml.safe_load(path.read_text())["layer"]
        assert (layer["type"], layer["language-C"]) == ("AI", "c11")
        files = [file["file"] for group in layer["groups"] for file in group["files"]]
        assert [name for name in files if not (path.parent / name).is_file()] == []
        arguments += [str(path.parent / name) for name in files if name.endswith(".c")]
        arguments += [f"-I{path.parent / place}" for place in layer["add-path"]]
        arguments += [f"-D{name}" for name in layer["define"]]
    compiler.run(["-std=c11", "-O2", *arguments, "-o", "program"], folder)
    return shell(shlex.quote(str(folder / "program")), folder)


@pytest.mark.parametrize("name", MODELS)
def test_layer_builds(name: str, models: Path, tmp_path: Path) -> None:
    package = export(models, name, "cmsis", tmp_path)
    main = package / "examples" / "selftest" / "main.c"
    assert built([package / f"{name}.clayer.yml"], main, tmp_path) == f"{name}: OK\n"


def test_two_layers_in_one_program(models: Path, tmp_path: Path) -> None:
    layers = [export(models, name, "cmsis", tmp_path) / f"{name}.clayer.yml" for name in ("ic", "vww")]
    (tmp_path / "main.c").write_text(both_selftests("ic", "vww"))
    assert built(layers, tmp_path / "main.c", tmp_path) == "ic: OK\nvww: OK\n"


def test_readme_adds_the_pack(models: Path, tmp_path: Path) -> None:
    package = export(models, "kws", "cmsis", tmp_path, "--vendor", "acme", "--version", "1.2.3", "--archive")
    (add,) = readme_commands(package)
    assert shell(add, tmp_path, path=(STAND_INS, tools() / "venv" / "bin")) == "added acme::kws\n"


def test_pack(models: Path, tmp_path: Path) -> None:
    export(models, "kws", "cmsis", tmp_path, "--vendor", "acme", "--version", "1.2.3", "--archive")
    with zipfile.ZipFile(tmp_path / "acme.kws.1.2.3.pack") as pack:
        root = ElementTree.fromstring(pack.read("acme.kws.pdsc"))
        names = pack.namelist()
    assert [root.findtext(key) for key in ("vendor", "name", "license")] == ["acme", "kws", "LICENSE"]
    assert root.find("releases/release").attrib["version"] == "1.2.3"  # type: ignore[union-attr]
    files = {file.attrib["name"]: file.attrib["category"] for file in root.iter("file")}
    for name, category in files.items():
        assert any(held.startswith(name) for held in names) if category == "include" else name in names
    assert {name for name, category in files.items() if category == "source"} == {"src/kws.c", "src/kws_selftest.c"}
    model, selftest = root.findall("components/component")
    assert model.attrib["Csub"] == selftest.attrib["Csub"] == "kws"
    assert selftest.findtext("Pre_Include_Global_h").split() == [  # type: ignore[union-attr]
        *("#define", "KWS_SELFTEST", "#define", "KWS_HOOK")
    ]
    conditions = {condition.attrib["id"] for condition in root.iter("condition")}
    assert selftest.attrib["condition"] in conditions


def test_layer_that_a_solution_waits_for(models: Path, tmp_path: Path) -> None:
    """Below the file's own folder, under the name that it says."""
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "app.cbuild-mlops.yml").write_text(MLOPS)
    driftc("export", models / "kws", "--to", "cmsis", "--mlops", "s/app.cbuild-mlops.yml", cwd=tmp_path)
    layer = tmp_path / "s" / "ai" / "keywords.clayer.yml"
    assert yaml.safe_load(layer.read_text())["layer"]["description"] == "Keywords"
    assert built([layer], layer.parent / "examples" / "selftest" / "main.c", tmp_path) == "kws: OK\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no .cbuild-mlops.yml"),
        ("cbuild-mlops: 3", "is no .cbuild-mlops.yml"),
        (MLOPS.replace("Cortex-M55", "Cortex-A53"), "processor Cortex-A53: driftc's C is for Cortex-M cores there"),
        (MLOPS.replace("clayer.yml", "txt"), "model: clayer: ai/keywords.txt does not end in .clayer.yml"),
    ],
)
def test_bad_mlops(text: str, message: str, models: Path, tmp_path: Path) -> None:
    (tmp_path / "app.cbuild-mlops.yml").write_text(text)
    arguments = ("export", models / "kws", "--to", "cmsis", "--mlops", "app.cbuild-mlops.yml")
    done = driftc(*arguments, cwd=tmp_path, code=2)
    assert done.stderr.startswith(f"driftc: --mlops app.cbuild-mlops.yml: {message}")
    assert [path.name for path in tmp_path.iterdir()] == ["app.cbuild-mlops.yml"]


def test_bad_vendor_and_missing_mlops(models: Path, tmp_path: Path) -> None:
    done = driftc("export", models / "kws", "--to", "cmsis", "--vendor", "a b", cwd=tmp_path, code=2)
    assert done.stderr.startswith("driftc: --vendor a b: is no vendor of a pack")
    done = driftc("export", models / "kws", "--to", "cmsis", "--mlops", "none.yml", cwd=tmp_path, code=2)
    assert done.stderr == "driftc: --mlops none.yml: cannot be read: No such file or directory\n"
