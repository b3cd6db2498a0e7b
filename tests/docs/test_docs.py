"""The manual says what is: made parts are current, links lead somewhere, snippets compile, the tour's commands run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import DRIFTC, ROOT, c_compiler, driftc
from learning_models import adapts, learning
from models import residual_model
from streams import streaming

from driftc.boards import parse
from driftc.codegen.docs import main, renewed
from driftc.simulator.engines import ENGINES, REFERENCES, engine, reference

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(kind: str, *pages: Path) -> list[str]:
    return [text for page in pages or PAGES for name, text in BLOCK.findall(page.read_text()) if name == kind]


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that examples/quickstart.py fills, and what it prints."""
    folder = tmp_path_factory.mktemp("quickstart")
    script = ROOT / "examples" / "quickstart.py"
    done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def need(*names: str) -> None:
    """Skip, naming what is absent, unless each of these engines can run."""
    for name in names:
        absent = engine(name).missing_for("cortex-m4") if name in ENGINES else None
        absent = reference(name).missing() if name in REFERENCES else absent
        if absent is not None:
            pytest.skip(f"{name}: {absent}")


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=lambda page: page.name)
def test_made_parts_are_current(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == renewed(text, ROOT / "docs"), "run python -m driftc.codegen.docs docs"


def test_made_parts_are_renewed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs" / "schemas", tmp_path / "schemas")
    (tmp_path / "operators.md").write_text("# Kept\n<!-- made: operators -->\nold\n<!-- end -->\nkept\n")
    main([str(tmp_path)])
    text = (tmp_path / "operators.md").read_text()
    assert text.startswith("# Kept\n<!-- made: operators -->\n\n| operator | computes |")
    assert text.endswith("|\n\n<!-- end -->\nkept\n")
    assert "| CONV_2D | " in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    prose = BLOCK.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        file, _, anchor = target.partition("#")
        found = page.parent / file if file else page
        assert found.exists(), target
        headings = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [heading.lower().replace(" ", "-") for heading in headings], target


def test_readme_has_every_page() -> None:
    text = (ROOT / "README.md").read_text()
    assert [page.name for page in ROOT.glob("docs/*.md") if f"docs/{page.name}" not in text] == []


def test_quickstart_proves_its_model(quickstart: tuple[Path, str]) -> None:
    _, printed = quickstart
    assert re.search(r"^compared 9 of 9 tensors$", printed, re.MULTILINE)
    engines = re.search(r"^bit-exact: 8 samples on (.*)$", printed, re.MULTILINE)
    assert engines is not None
    assert "numpy" in engines[1].split(", ")
    accuracy = re.search(r"^accuracy (.*)%$", printed, re.MULTILINE)
    assert accuracy is not None
    assert float(accuracy[1]) > 95


@pytest.mark.parametrize("number", range(len([text for text in blocks("c") if "#include" in text])))
def test_c_snippet_compiles(number: int, quickstart: tuple[Path, str], tmp_path: Path) -> None:
    compiler = c_compiler()
    (tmp_path / "ic.tflite").write_bytes(residual_model())
    driftc("compile", "ic.tflite", "--no-measure", cwd=tmp_path)
    driftc("compile", "ic.tflite", "--feed", "rows", "--name", "eye", "--no-measure", cwd=tmp_path)
    (tmp_path / "wake.tflite").write_bytes(streaming().build())
    driftc("compile", "wake.tflite", "--no-measure", cwd=tmp_path)
    (tmp_path / "learnt").mkdir()
    learning(tmp_path / "learnt", name="words").write(tmp_path / "words")
    (tmp_path / "adapts").mkdir()
    adapts(tmp_path / "adapts").write(tmp_path / "net")
    driftc("compile", "ic.tflite", "--upload", "entropy", "--name", "sensor", "--no-measure", cwd=tmp_path)
    (tmp_path / "snippet.c").write_text([text for text in blocks("c") if "#include" in text][number])
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    folders = [f"-I{quickstart[0] / 'kws'}", "-Iic", "-Ieye", "-Iwake", "-Iwords", "-Inet", "-Isensor"]
    compiler.run(["-std=c11", *warnings, *folders, "-c", "snippet.c", "-o", "snippet.o"], tmp_path)


def test_tour_runs(quickstart: tuple[Path, str], tmp_path: Path) -> None:
    """Every line of README's tour, in order, then its Python."""
    need("host", "tflm")
    if shutil.which("cmake") is None or c_compiler().kind == "zig":
        pytest.skip("needs cmake and a system C compiler")
    folder = tmp_path / "build" / "quickstart"
    shutil.copytree(quickstart[0], folder)
    shutil.copytree(ROOT / "examples" / "app", tmp_path / "examples" / "app")
    tour = (ROOT / "README.md").read_text().partition("## A tour")[2]
    commands = [line for name, text in BLOCK.findall(tour) if name == "sh" for line in text.splitlines()]
    assert len(commands) > 8
    printed = ""
    for command in commands:
        words = shlex.split(command)
        program = str(DRIFTC) if words[0] == "driftc" else words[0]
        done = subprocess.run([program, *words[1:]], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        printed += done.stdout
    assert "self-test passed" in printed
    assert "bit-exact: 1 samples on numpy, host, tflm" in printed
    for text in blocks("python", ROOT / "README.md"):
        run_python(text, folder)


def run_python(text: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", text], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_sample_file_of_the_manual_is_taken(quickstart: tuple[Path, str]) -> None:
    (text,) = blocks("python", ROOT / "docs" / "data.md")
    folder, _ = quickstart
    run_python(text, folder)
    driftc("verify", "kws", "--engine", "numpy", "--data", "samples.npz", "--sample", "19", cwd=folder)


def test_board_of_the_readme_is_a_board() -> None:
    (text,) = blocks("toml", ROOT / "README.md")
    assert parse("example", text).core == "cortex-m4"


def test_ci_runs_the_commands_of_the_readme() -> None:
    """.ci/run takes the two lines from README by their beginning."""
    lines = re.findall("^python3 -m venv .venv .*/bin/(.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert lines == ["python examples/quickstart.py", "pytest -n auto -q"]
    assert "'^python3 -m venv .venv '" in (ROOT / ".ci" / "run").read_text()
