"""The page that `driftc report` writes: every buffer in the drawing and in the table, nothing from elsewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from commands import driftc
from models import ModelBuilder, residual_model

from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.names import readable
from driftc.codegen.plan.live import lives
from driftc.codegen.report.page import page as report_page

CLASSES = ",".join(f"word {number}" for number in range(12))


def drawn(page: str) -> list[ElementTree.Element]:
    """Each drawing, parsed: it is well-formed."""
    found = re.findall(r'<svg class="wide" role="img".*?</svg>', page, re.DOTALL)
    return [ElementTree.fromstring(text) for text in found]


def boxes_of(drawing: ElementTree.Element) -> list[ElementTree.Element]:
    """The buffers."""
    groups = [group for group in drawing.iter("g") if group.get("class") == "box"]
    return [box for group in groups for box in group.iter("rect")]


def test_page(kws: Path, tmp_path: Path) -> None:
    driftc("report", kws / "kws", "-o", "page.html", cwd=tmp_path)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    plan = Compiled.load(kws / "kws").lowered.plan
    drawing, front = drawn(page)
    assert front.get("aria-label") == "Extra cycles over bytes of RAM"
    boxes = boxes_of(drawing)
    left, _, width, _ = (float(number) for number in drawing.get("viewBox", "").split())
    assert len(boxes) == len(lives(plan))
    for box in boxes:
        assert 0 <= float(box.get("x", -1)) < float(box.get("x", -1)) + float(box.get("width", 0)) <= left + width
        assert float(box.get("height", 0)) > 0
    columns = [group for group in drawing.iter("g") if group.get("class") == "column"]
    assert len(columns) == len(plan.program), "what is in use during each step"
    assert len([box for box in drawing.iter("rect") if box.get("class") == "peak"]) == 1
    assert {"input", "output", "tensor"} == {box.get("class") for box in boxes}
    for life in lives(plan):
        assert f'title="{life.buffer.name}">{readable(life.buffer.name)}</td>' in page
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
    page = report_page(compiled.lowered.plan, compiled.report)
    assert "<script" not in page
    assert "<b>" not in page
    assert len(drawn(page)) == 1


def test_report_of_no_folder(tmp_path: Path) -> None:
    assert "not a folder that driftc compile wrote" in driftc("report", "none", cwd=tmp_path, code=2).stderr


def test_page_of_layers_in_parts(tmp_path: Path) -> None:
    (tmp_path / "ic.tflite").write_bytes(residual_model())
    least = ("--minimize", "ram", "--overhead", "1000", "--planner", "greedy")
    driftc("compile", "ic.tflite", "--no-measure", *least, "-o", "ic", cwd=tmp_path)
    driftc("report", "ic", cwd=tmp_path)
    page = (tmp_path / "ic-report.html").read_text(encoding="utf-8")
    compiled = Compiled.load(tmp_path / "ic")
    (unit, *_) = [unit for unit in compiled.report["units"] if unit["kind"] == "rows"]
    drawing = drawn(page)[0]
    assert "rows" in {box.get("class") for box in boxes_of(drawing)}
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


def test_page_says_what_was_measured_quantised_and_verified(kws: Path, tmp_path: Path) -> None:
    driftc("compile", kws / "kws.tflite", "--no-measure", "--class-names", CLASSES, "-o", "own", cwd=tmp_path)
    driftc("report", "own", "-o", "before.html", cwd=tmp_path)
    before = (tmp_path / "before.html").read_text(encoding="utf-8")
    assert "not yet" in before
    assert "not measured" in before
    driftc("verify", "own", "--engine", "numpy", "--engine", "host", cwd=tmp_path)
    record = json.loads((tmp_path / "own" / "report.json").read_text())
    losses = [{"layer": "conv_1", "operator": "CONV_2D", "own_db": 31.25, "total_db": 30.0}]
    how = {"compiler": "gcc", "version": "gcc 12", "flags": [], "core": "cortex-m7", "engine": "unicorn"}
    steps = list(range(1, 1 + len(record["layers"])))
    record |= {"flash": {**record["flash"], "code": 4321}, "stack_bytes": 208, "steps": steps, "measured_with": how}
    record |= {"quantization": {"layers": losses}}
    (tmp_path / "own" / "report.json").write_text(json.dumps(record))
    driftc("report", "own", "-o", "after.html", cwd=tmp_path)
    after = (tmp_path / "after.html").read_text(encoding="utf-8")
    for said in ("bit-exact", "8 samples", "numpy, host", "code 4,321 B", "208 B", "cortex-m7", "31.2", "word 3"):
        assert said in after, said
    assert f"{sum(steps):,}</strong>" in after
    assert Compiled.load(tmp_path / "own").report["instructions"] == sum(steps)


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"flash": 3, "steps": "x"}', '{"quantization": {"layers": [1]}}'])
def test_damaged_records_are_taken_as_not_there(kws: Path, tmp_path: Path, damage: str) -> None:
    driftc("compile", kws / "kws.tflite", "--no-measure", "-o", "own", cwd=tmp_path)
    (tmp_path / "own" / "report.json").write_text(damage)
    (tmp_path / "own" / "verified.json").write_text(damage)
    driftc("report", "own", cwd=tmp_path)
    page = (tmp_path / "own-report.html").read_text(encoding="utf-8")
    assert "not yet" in page
    assert "not measured" in page


def test_a_difference_is_on_the_page(kws: Path, tmp_path: Path) -> None:
    driftc("compile", kws / "kws.tflite", "--no-measure", "-o", "own", cwd=tmp_path)
    weights = tmp_path / "own" / "kws_weights.h"
    weights.write_text(re.sub(r"\{\n(\s+)-?\d+,", r"{\n\g<1>77,", weights.read_text(), count=1))
    driftc("verify", "own", "--engine", "host", cwd=tmp_path, code=1)
    driftc("report", "own", cwd=tmp_path)
    page = (tmp_path / "own-report.html").read_text(encoding="utf-8")
    assert ">differs<" in page
    assert "changed since driftc wrote it" in page


@pytest.mark.parametrize("width", [400, 1400])
def test_page_is_no_wider_than_the_screen(kws: Path, tmp_path: Path, width: int) -> None:
    """What is wider scrolls by itself; headless Chromium says how wide the whole is."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is absent: apt-get install chromium")
    driftc("report", kws / "kws", "-o", "page.html", cwd=tmp_path)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    asked = "<script>document.title = `${innerWidth} ${document.documentElement.scrollWidth}`</script></body>"
    (tmp_path / "asked.html").write_text(page.replace("</body>", asked), encoding="utf-8")
    quiet = ("--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
    command = [browser, "--headless", "--no-sandbox", *quiet, f"--user-data-dir={tmp_path / 'profile'}"]
    frame = f'<iframe src="asked.html" width="{width}" height="900"></iframe>'
    (tmp_path / "frame.html").write_text(
        f"<!DOCTYPE html>{frame}<script>onload = () => {{ document.title = frames[0].document.title }}</script>"
    )
    seen = subprocess.run(
        [*command, "--allow-file-access-from-files", "--dump-dom", (tmp_path / "frame.html").as_uri()],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    found = re.search(r"<title>(\d+) (\d+)</title>", seen.stdout)
    assert found is not None, seen.stdout + seen.stderr
    assert int(found[1]) == width
    assert int(found[2]) <= width
