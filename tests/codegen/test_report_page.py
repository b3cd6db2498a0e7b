"""The page that `driftc report` writes: every buffer in the drawing and in the table, nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from commands import driftc
from models import ModelBuilder, residual_model

from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.plan.live import lives
from driftc.codegen.report.page import arena_page


def drawn(page: str) -> list[ElementTree.Element]:
    """Each drawing, parsed: it is well-formed."""
    found = re.findall(r'<svg role="img".*?</svg>', page, re.DOTALL)
    return [ElementTree.fromstring(text) for text in found]


def test_page(kws: Path, tmp_path: Path) -> None:
    driftc("report", kws / "kws", "-o", "page.html", cwd=tmp_path)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    plan = Compiled.load(kws / "kws").lowered.plan
    drawing, front = drawn(page)
    assert front.get("aria-label") == "Extra instructions over bytes of RAM"
    boxes = [box for box in drawing.iter("rect") if box.get("class") != "peak"]
    assert len(boxes) == len(lives(plan))
    for box in boxes:
        assert 0 <= float(box.get("x", -1)) <= float(drawing.get("width", 0))
        assert float(box.get("height", 0)) > 0
    assert len([box for box in drawing.iter("rect") if box.get("class") == "peak"]) == 1
    assert {"input", "output", "tensor"} == {box.get("class") for box in boxes}
    for life in lives(plan):
        assert f"<td>{life.buffer.name}</td>" in page
        assert f"{life.buffer.region} + {life.buffer.offset}<" in page
    assert f"{plan.arena_bytes:,} B" in page
    assert "proven the smallest" in page
    assert not re.search(r'(src|href)="|https?://', page), "nothing is loaded from elsewhere"


def test_page_lies_beside_the_folder_and_does_not_change(kws: Path, tmp_path: Path) -> None:
    driftc("compile", kws / "kws.tflite", "--no-measure", "-o", "own", cwd=tmp_path)
    done = driftc("report", "own", cwd=tmp_path)
    assert done.stdout == "wrote own-report.html\n"
    first = (tmp_path / "own-report.html").read_bytes()
    driftc("report", "own", cwd=tmp_path)
    assert (tmp_path / "own-report.html").read_bytes() == first
    driftc("compile", kws / "kws.tflite", "--no-measure", "-o", "own", cwd=tmp_path)  # the folder is still driftc's


def test_names_from_the_model_are_escaped(tmp_path: Path) -> None:
    builder = ModelBuilder()
    x = builder.input("</svg><script>alert(1)</script>", (1, 4, 4, 2), scale=0.1)
    builder.output(builder.relu(x, out_scale=0.2, name='"&<b>'))
    (tmp_path / "odd.tflite").write_bytes(builder.build())
    compiled = compile(tmp_path / "odd.tflite", measure=False)
    page = arena_page(compiled.lowered.plan, compiled.report)
    assert "<script" not in page
    assert "<b>" not in page
    assert len(drawn(page)) == 1


def test_report_of_no_folder(tmp_path: Path) -> None:
    assert "not a folder that driftc compile wrote" in driftc("report", "none", cwd=tmp_path, code=2).stderr


def test_page_of_layers_in_parts(tmp_path: Path) -> None:
    (tmp_path / "ic.tflite").write_bytes(residual_model())
    driftc("compile", "ic.tflite", "--no-measure", "--minimize", "ram", "-o", "ic", cwd=tmp_path)
    driftc("report", "ic", cwd=tmp_path)
    page = (tmp_path / "ic-report.html").read_text(encoding="utf-8")
    compiled = Compiled.load(tmp_path / "ic")
    (unit, *_) = [unit for unit in compiled.report["units"] if unit["kind"] == "rows"]
    drawing = drawn(page)[0]
    assert "rows" in {box.get("class") for box in drawing.iter("rect")}
    assert f"{unit['layers'][0]}..{unit['layers'][-1]} (rows)" in page
    assert re.search(r"<td>\d+ of \d+ rows</td>", page), "what a line buffer keeps"
    assert "No plan that driftc knows needs less RAM." in page


def test_page_of_a_plan_says_what_less_ram_costs(tmp_path: Path) -> None:
    (tmp_path / "ic.tflite").write_bytes(residual_model())
    driftc("compile", "ic.tflite", "--no-measure", "-o", "ic", cwd=tmp_path)
    driftc("report", "ic", cwd=tmp_path)
    page = (tmp_path / "ic-report.html").read_text(encoding="utf-8")
    least = re.search(r"the least is --ram (\d+)", page)
    assert least is not None
    done = driftc("compile", "ic.tflite", "--no-measure", "--ram", least[1], "-o", "least", cwd=tmp_path)
    found = re.search(r"arena ([\d,]+) B", done.stdout)
    assert found is not None
    assert int(found[1].replace(",", "")) <= int(least[1])
