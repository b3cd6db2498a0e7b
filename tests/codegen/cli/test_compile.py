"""driftc compile: what it prints, its JSON against docs/schemas, what it needs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import driftc, driftc_json
from counting import counting
from models import keyword_model, residual_model

from driftc.codegen.compiled import Compiled

LAYERS = 10  # of kws: conv, three depthwise separable blocks, pool, dense, softmax
OPTIONAL = ["ortools", "unicorn", "elftools", "capstone", "ziglang", "tflite_micro", "ai_edge_litert", "tflite_runtime"]


def test_compile_prints_a_line_for_each_layer_and_the_totals(own: Path) -> None:
    lines = driftc("compile", "kws.tflite", "--no-measure", "--board", "nucleo-f446re", cwd=own).stdout.splitlines()
    assert re.split(r"\s{2,}", lines[0].strip()) == [
        "#", "layer", "operator", "kernel", "output", "MACs", "constants", "arena", "instructions", "~ cycles",
    ]  # fmt: skip
    report = driftc_json("compile", "kws.tflite", "--no-measure", "--board", "nucleo-f446re", cwd=own)
    for line, layer in zip(lines[1 : 1 + LAYERS], report["layers"], strict=True):
        number, name, operator, kernel, shape, macs, constants, _, instructions, cycles = re.split(
            r"\s{2,}", line.strip()
        )
        assert (int(number), name, operator) == (layer["index"], layer["name"], layer["operator"])
        assert kernel == layer["kernel"]
        assert [int(extent) for extent in shape.split(" x ")] == layer["output_shape"]
        assert (macs, constants) == (f"{layer['macs']:,}", f"{layer['constant_bytes']:,}")
        assert (instructions, cycles) == ("-", f"{layer['cycles']:,}")
    total = re.split(r"\s{2,}", lines[1 + LAYERS].strip())
    arena, constants = report["arena_bytes"], report["flash"]["constants"]
    assert total == [
        "total",
        f"{report['macs']:,}",
        f"{constants:,}",
        f"{arena:,}",
        "-",
        f"{report['cycles']['total']:,}",
    ]
    rest = "\n".join(lines[2 + LAYERS :])
    assert f"arena {arena:,} B of 131,072 B sram1..2" in rest
    time = report["cycles"]
    assert f"about {time['total']:,} cycles, {time['milliseconds']:,.2f} ms at 180 MHz" in rest
    assert "an estimate: the instructions that the planner expects, none counted, weighed by 100166" in rest
    assert "- is measured" in rest
    assert "compile without --no-measure" in rest
    assert "next: driftc verify kws" in rest


def test_json_of_compile(kws: Path, tmp_path: Path) -> None:
    shutil.copy(kws / "kws.tflite", tmp_path)
    report = driftc_json("compile", "kws.tflite", "--no-measure", "--board", "rp2040", "-o", "out", cwd=tmp_path)
    assert (report["model"], report["board"]) == ("kws.tflite", "rp2040")
    assert report["inputs"][0]["name"] == "features"
    assert report["inputs"][0]["shape"] == [1, 49, 10, 1]
    assert report["outputs"][0]["shape"] == [1, 12]
    assert report["outputs"][0]["scale"] == 1 / 256
    assert report["arena_bytes"] == sum(region["bytes"] for region in report["regions"])
    assert report["macs"] == sum(layer["macs"] for layer in report["layers"])
    assert report["flash"]["constants"] == sum(layer["constant_bytes"] for layer in report["layers"])
    assert report["stack_bytes"] is report["flash"]["code"] is report["flash"]["total"] is None
    assert [layer["index"] for layer in report["layers"]] == list(range(LAYERS))


def test_measured(own: Path) -> None:
    counting()
    options = ("compile", "kws.tflite", "--core", "cortex-m4", "-O", "s")
    report = driftc_json(*options, cwd=own)
    assert all(layer["instructions"] > 0 for layer in report["layers"])
    assert report["flash"]["total"] == report["flash"]["code"] + report["flash"]["constants"]
    assert 0 < report["stack_bytes"] < 4096
    text = driftc(*options, cwd=own).stdout
    total = sum(layer["instructions"] for layer in report["layers"])
    time = report["cycles"]
    assert time["total"] == sum(layer["cycles"] for layer in report["layers"]) > total
    assert (time["by"], time["waiting"], time["milliseconds"]) == ("events", None, None)
    assert re.search(rf"total .* {total:,} +{time['total']:,}\n", text)
    assert f"code {report['flash']['code']:,} B" in text
    assert re.search(r"on +cortex-m4, .*, -Os\n", text)
    assert "- is measured" not in text


def test_time_at_the_clock_of_a_board(own: Path) -> None:
    counting()
    found = driftc_json("compile", "kws.tflite", "--board", "nucleo-f446re", cwd=own)["cycles"]
    assert 0 < found["waiting"] < found["total"]
    assert found["milliseconds"] == pytest.approx(1e3 * found["total"] / 180_000_000)
    kept = json.loads((own / "kws" / "report.json").read_text())
    assert kept["cycles"] == found == Compiled.load(own / "kws").report["cycles"]


def test_no_time_where_nothing_is_known_of_the_core(own: Path) -> None:
    report = driftc_json("compile", "kws.tflite", "--no-measure", "--board", "esp32", cwd=own)
    assert report["cycles"] is None
    assert "~ cycles" not in driftc("compile", "kws.tflite", "--no-measure", "--board", "esp32", cwd=own).stdout


def bare(kws: Path, cwd: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`driftc compile` without the packages of `sim` and with an empty PATH."""
    code = f"import sys; sys.modules.update(dict.fromkeys({OPTIONAL})); from driftc.codegen.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "compile", str(kws / "kws.tflite"), *options],
        cwd=cwd, capture_output=True, text=True, check=False,
        env={"PATH": "", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
    )  # fmt: skip


def test_compile_needs_no_compiler_and_none_of_the_extra(kws: Path, tmp_path: Path) -> None:
    """Everything is written, nothing is measured; buffers are placed as `--planner greedy` does anywhere."""
    done = bare(kws, tmp_path, "--planner", "greedy")
    assert done.returncode == 0, done.stderr
    assert "- is measured" in done.stdout
    driftc("compile", kws / "kws.tflite", "--no-measure", "--planner", "greedy", "-o", "with", cwd=tmp_path)
    assert (tmp_path / "kws" / "kws.c").read_bytes() == (tmp_path / "with" / "kws.c").read_bytes()


def test_without_or_tools_the_planner_is_chosen_by_name(kws: Path, tmp_path: Path) -> None:
    done = bare(kws, tmp_path)
    assert done.returncode == 2
    assert "OR-Tools is missing" in done.stderr
    assert "--planner greedy" in done.stderr
    assert not (tmp_path / "kws").exists()


def test_placement_is_reported(kws: Path, tmp_path: Path) -> None:
    for planner in ("optimal", "greedy"):
        options = ("compile", kws / "kws.tflite", "--no-measure", "--planner", planner)
        report = driftc_json(*options, cwd=tmp_path)
        placement = report["placement"]
        assert placement["planner"] == planner
        assert placement["bound_bytes"] <= report["arena_bytes"]
        assert placement["proven"] == (placement["gap"] == 0) == (placement["bound_bytes"] == report["arena_bytes"])
        assert planner == "greedy" or placement["proven"]
    assert "proven the smallest" in driftc("compile", kws / "kws.tflite", "--no-measure", cwd=tmp_path).stdout


def test_same_command_same_bytes(kws: Path, tmp_path: Path) -> None:
    shutil.copy(kws / "kws.tflite", tmp_path)
    driftc("compile", "kws.tflite", "--no-measure", "--board", "nucleo-l4r5zi", cwd=tmp_path)
    assert contents(tmp_path / "kws") == contents(kws / "kws")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_model_that_does_not_fit_its_board(tmp_path: Path) -> None:
    (tmp_path / "wide.tflite").write_bytes(keyword_model(channels=512))
    least = ("--minimize", "ram", "--overhead", "1000")
    arena = driftc_json("compile", "wide.tflite", "--no-measure", *least, "-o", "unbound", cwd=tmp_path)["arena_bytes"]
    done = driftc("compile", "wide.tflite", "--no-measure", "--board", "nucleo-f103rb", cwd=tmp_path, code=1)
    by = arena - 20_480
    assert f"arena {arena:,} B exceed nucleo-f103rb's 20,480 B of sram by {by:,} B" in done.stderr
    assert "tiled already, from " in done.stderr
    assert not (tmp_path / "wide").exists()


@pytest.mark.parametrize("stage", ["frontend", "fuse", "plan"])
def test_dump_after(own: Path, stage: str) -> None:
    done = driftc("compile", "kws.tflite", "--no-measure", "--dump-after", stage, cwd=own)
    assert f"--- after {stage}\n{'plan' if stage == 'plan' else 'graph'} kws" in done.stdout


def test_name_and_output(own: Path) -> None:
    driftc("compile", "kws.tflite", "--no-measure", "--name", "Spotter 2", "-o", "deep/out", cwd=own)
    assert "int spotter_2_init(spotter_2_t *" in (own / "deep" / "out" / "spotter_2.h").read_text()
    verified = driftc_json("verify", "deep/out", "--engine", "numpy", "--random", "1", cwd=own)
    assert verified["bit_exact"]


def test_ram_against_instructions(tmp_path: Path) -> None:
    (tmp_path / "ic.tflite").write_bytes(residual_model())
    found = driftc_json("compile", "ic.tflite", "--no-measure", "--pareto", "-o", "ic", cwd=tmp_path)
    sizes = [point["arena_bytes"] for point in found["pareto"]]
    assert sizes[0] == found["arena_bytes"]
    assert sizes == sorted(set(sizes), reverse=True)
    printed = driftc("compile", "ic.tflite", "--no-measure", "--pareto", "-o", "ic", cwd=tmp_path).stdout
    assert re.findall(r"^--ram (\d+)", printed, re.MULTILINE) == [str(size) for size in sizes[1:]]
    tight = ("--no-measure", "--ram", str(sizes[-1]))
    assert driftc_json("compile", "ic.tflite", *tight, "-o", "ic", cwd=tmp_path)["arena_bytes"] == sizes[-1]
    done = driftc("compile", "ic.tflite", "--no-measure", "--ram", str(sizes[-1] - 1), "-o", "ic", cwd=tmp_path, code=1)
    assert f"cannot be met: the least is {sizes[-1]:,} B" in done.stderr
