"""The installed command: what it prints, its JSON against docs/schemas, its exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import driftc, driftc_json
from models import ModelBuilder, keyword_model, residual_model

from driftc.codegen.api import compile as compile_model
from driftc.codegen.compiled import Compiled
from driftc.simulator.engines import engine
from driftc.simulator.reference import run_graph

LAYERS = 10  # of kws: conv, three depthwise separable blocks, pool, dense, softmax
OPTIONAL = ["ortools", "unicorn", "elftools", "capstone", "ziglang", "tflite_micro", "ai_edge_litert", "tflite_runtime"]
TARGET = "--core --cc -O --json"
CALIBRATION = "--ranges --correct-bias --no-correct-bias --equalize --no-equalize --input-divisor"
SAMPLES = "--data --random --labels --input-divisor --sample --engine"


def counting(core: str = "cortex-m4") -> str:
    """An engine that counts instructions; the test skips where there is none."""
    reasons = []
    for name in ("unicorn", "qemu"):
        absent = engine(name).missing_for(core)
        if absent is None:
            return name
        reasons.append(absent)
    pytest.skip("; ".join(reasons))


@pytest.fixture
def own(kws: Path, tmp_path: Path) -> Path:
    """A copy of the folder, to change."""
    shutil.copytree(kws, tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture
def data(kws: Path, tmp_path: Path) -> Path:
    """Six samples in an .npz: `features` real, labels `y` of which four are what the model says."""
    compiled = Compiled.load(kws / "kws")
    random = np.random.default_rng(5)
    real = random.normal(size=(6, 49, 10, 1)).astype(np.float32)
    np.savez(tmp_path / "x.npz", features=real)
    graph = compiled.lowered.graph
    said = [
        int(np.argmax(run_graph(graph, sample)[graph.outputs[0].name]))
        for sample in compiled.samples(tmp_path / "x.npz").quantized
    ]
    labels = [label if number < 4 else (label + 1) % 12 for number, label in enumerate(said)]
    np.savez(tmp_path / "data.npz", features=real, y=np.array(labels), other=labels[::-1])
    return tmp_path / "data.npz"


# --- compile ---


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


# --- verify ---


def test_verify_says_what_was_compared(kws: Path) -> None:
    text = driftc("verify", "kws", "--engine", "numpy", "--random", "2", cwd=kws).stdout
    assert "compared 11 of 11 tensors" in text
    assert "bit-exact: 5 samples on numpy" in text
    found = driftc_json("verify", "kws", "--engine", "numpy", "--random", "2", cwd=kws)
    assert found == {
        "bit_exact": True,
        "engines": ["numpy"],
        "samples": 5,
        "tensors_compared": 11,
        "tensors_fused": [],
        "first_difference": None,
    }


def test_verify_takes_every_engine_that_is_present(kws: Path) -> None:
    doctor = driftc_json("doctor", cwd=kws)["tools"]
    present = {row["tool"].removeprefix("engine ") for row in doctor if row["present"] == "yes"}
    found = driftc_json("verify", "kws", "--random", "1", cwd=kws)
    assert found["bit_exact"]
    assert set(found["engines"]) == present & {"numpy", "tflm", "litert", "host", "unicorn", "qemu"}


def test_verify_names_the_first_difference(own: Path) -> None:
    if (absent := engine("host").missing()) is not None:
        pytest.skip(absent)
    weights = own / "kws" / "kws_weights.h"
    text = weights.read_text()
    at = text.index("{", text.index("dense_weights["))
    number = re.compile(r"-?\d+").search(text, text.index("\n", at))
    assert number is not None
    wrong = str(-int(number[0]) or 1)
    weights.write_text(text[: number.start()] + wrong + text[number.end() :])
    found = driftc_json("verify", "kws", "--engine", "host", cwd=own, code=1)
    assert not found["bit_exact"]
    difference = found["first_difference"]
    assert (difference["engine"], difference["layer"], difference["element"]) == ("host", "dense", [0, 0])
    assert difference["expected"] != difference["got"]
    text = driftc("verify", "kws", "--engine", "host", cwd=own, code=1).stdout
    assert "NOT bit-exact (numpy, host): host: dense[0, 0] is" in text
    assert "Likely cause: kws_weights.h changed since driftc wrote it" in text


def test_a_difference_names_the_layer_as_compile_does(tmp_path: Path) -> None:
    """Tensor names of real models are long; the layer's is that of its function in C and in the other reports."""
    if (absent := engine("host").missing()) is not None:
        pytest.skip(absent)
    builder = ModelBuilder()
    x = builder.input("serving_default_x:0", (1, 4), scale=0.1)
    label = "net/dense/MatMul;net/dense/BiasAdd"
    weights = np.eye(4, dtype=np.int8) * 64
    builder.output(builder.fully_connected(builder.relu(x), weights, weight_scale=0.02, out_scale=0.2, name=label))
    (tmp_path / "m.tflite").write_bytes(builder.build())
    layers = driftc_json("compile", "m.tflite", "--no-measure", cwd=tmp_path)["layers"]
    stored = tmp_path / "m" / "m_weights.h"
    stored.write_text(stored.read_text().replace("64, 0, 0, 0, 0", "-64, 0, 0, 0, 0"))
    found = driftc_json("verify", "m", "--engine", "host", cwd=tmp_path, code=1)
    assert found["first_difference"]["layer"] == layers[-1]["name"]
    text = driftc("verify", "m", "--engine", "host", cwd=tmp_path, code=1).stdout
    assert f"host: {layers[-1]['name']}[0, 0] is" in text
    assert "(tensor 'dense/MatMul', sample 0;" in text  # in one line, wherever it goes


def test_an_edit_that_no_sample_meets_is_told(own: Path) -> None:
    weights = own / "kws" / "kws_weights.h"
    weights.write_text(weights.read_text() + "/* mine */\n")
    text = driftc("verify", "kws", "--engine", "numpy", "--random", "0", cwd=own).stdout
    assert "kws_weights.h changed since driftc wrote it" not in text  # NumPy does not read the C
    if (absent := engine("host").missing()) is not None:
        pytest.skip(absent)
    text = driftc("verify", "kws", "--engine", "host", "--random", "0", cwd=own).stdout
    assert "kws_weights.h changed since driftc wrote it; no sample shows a difference" in text


def test_no_operator_is_cut_short_in_the_table(tmp_path: Path) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 100, 100, 1), scale=0.1)
    name = "a_layer_with_a_name_that_takes_much_of_the_line"
    filters = np.ones((1, 3, 3, 1), np.int8)
    builder.output(builder.depthwise_conv_2d(x, filters, weight_scale=[0.1], out_scale=0.2, name=name))
    (tmp_path / "m.tflite").write_bytes(builder.build())
    text = driftc("compile", "m.tflite", "--no-measure", cwd=tmp_path).stdout
    assert "DEPTHWISE_CONV_2D" in text
    assert "1 x 100 x 100 x 1" in text


def test_random_indices_are_rows_of_every_table_they_choose_from(tmp_path: Path) -> None:
    """The references refuse an index outside; the smallest table decides, also behind a RESHAPE."""
    builder = ModelBuilder()
    x = builder.input("x", (1, 6), dtype=np.int32)
    tables = [builder.constant(np.ones((rows, 4), np.int8), scale=0.1) for rows in (3, 50)]
    indices = builder.reshape(x, (1, 2, 3))
    builder.output(*(builder.gather(table, indices) for table in tables))
    (tmp_path / "m.tflite").write_bytes(builder.build())
    samples = compile_model(tmp_path / "m.tflite", measure=False).samples(random=20)
    assert {int(index) for (row,) in samples.quantized for index in row.flat} == {0, 1, 2}


def test_saved_tensors(kws: Path, tmp_path: Path) -> None:
    driftc("verify", "kws", "--engine", "numpy", "--random", "2", "--save-tensors", tmp_path / "t.npz", cwd=kws)
    with np.load(tmp_path / "t.npz") as kept:
        assert next(iter(kept)) == "000_conv"
        assert list(kept)[-1] == "009_probabilities"
        assert kept["000_conv"].shape == (5, 25, 5, 8)
        assert kept["009_probabilities"].shape == (5, 12)


def test_fused_tensors_are_named(tmp_path: Path) -> None:
    builder = ModelBuilder()
    x = builder.input("x", (1, 6, 6, 2), scale=0.1)
    weights = np.ones((3, 3, 3, 2), np.int8)
    padded = builder.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], name="pad_1")
    builder.output(builder.conv_2d(padded, weights, weight_scale=0.1, padding="VALID", out_scale=0.5, name="conv_2"))
    (tmp_path / "m.tflite").write_bytes(builder.build())
    driftc("compile", "m.tflite", "--no-measure", cwd=tmp_path)
    assert "compared 1 of 2 tensors; fused: pad_1 -> conv_2" in driftc("verify", "m", cwd=tmp_path).stdout
    assert driftc_json("verify", "m", cwd=tmp_path)["tensors_fused"] == ["pad_1 -> conv_2"]


# --- simulate ---


def simulated(kws: Path, *options: str | Path, using: str = "host") -> Any:
    absent = engine(using).missing_for("cortex-m4")
    if absent is not None:
        pytest.skip(absent)
    return driftc_json("simulate", "kws", "--engine", using, *options, cwd=kws)


def test_accuracy_from_labels_in_the_data(kws: Path, data: Path) -> None:
    found = simulated(kws, "--data", data)
    assert (found["engine"], found["core"], found["samples"]) == ("host", None, 6)
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["instructions"] is found["stack_peak_bytes"] is None


def test_labels_from_elsewhere_and_one_sample(kws: Path, data: Path) -> None:
    assert simulated(kws, "--data", data, "--labels", f"{data}:y")["accuracy"] == pytest.approx(4 / 6)
    assert simulated(kws, "--data", data, "--sample", "5")["accuracy"] == 0.0
    assert simulated(kws, "--random", "2")["accuracy"] is None


def test_kinds_of_data_that_mean_the_same(kws: Path, tmp_path: Path) -> None:
    """uint8 with a divisor, the same as float32, the same quantised, and an .npy: equal outputs."""
    tensor = Compiled.load(kws / "kws").lowered.graph.inputs[0]
    pixels = np.random.default_rng(3).integers(0, 256, (3, 49, 10, 1)).astype(np.uint8)
    real = (pixels / 64).astype(np.float32)
    steps = np.float64(real / np.float32(tensor.scale))
    rounded = np.trunc(steps + np.copysign(0.5, steps)) + tensor.zero_point
    np.savez(tmp_path / "uint8.npz", x=pixels)
    np.savez(tmp_path / "float.npz", features=real)
    np.save(tmp_path / "raw.npy", np.clip(rounded, -128, 127).astype(np.int8))
    kept = []
    divisor = ["--input-divisor", "64"]
    for name, options in (("uint8.npz", divisor), ("float.npz", []), ("raw.npy", [])):
        files = ("--data", tmp_path / name, "--save-tensors", tmp_path / f"{name}.out.npz")
        driftc("verify", "kws", "--engine", "numpy", *files, *options, cwd=kws)
        with np.load(tmp_path / f"{name}.out.npz") as tensors:
            kept.append({key: tensors[key] for key in tensors})
    assert all(np.array_equal(kept[0][key], other[key]) for other in kept[1:] for key in kept[0])


def test_counts(kws: Path) -> None:
    name = counting()
    found = simulated(kws, "--random", "1", using=name)
    assert (found["engine"], found["core"], found["samples"]) == (name, "cortex-m4", 4)
    per_layer = found["instructions"]["per_layer"]
    assert [step["name"] for step in per_layer][-2:] == ["dense", "probabilities"]
    assert found["instructions"]["total"] == sum(step["instructions"] for step in per_layer)
    assert found["stack_peak_bytes"] > 0
    text = driftc("simulate", "kws", "--engine", name, "--random", "1", "--sample", "0", cwd=kws).stdout
    assert f"1 samples on {name} (cortex-m4)" in text
    assert re.search(r"^output \[.*\]$", text, re.MULTILINE)


def test_core_and_optimisation_override_what_the_folder_remembers(kws: Path) -> None:
    name = counting("cortex-m33")
    found = simulated(kws, "--random", "0", "--core", "cortex-m33", "-O", "s", using=name)
    assert found["core"] == "cortex-m33"
    assert found["instructions"]["total"] > simulated(kws, "--random", "0", using=name)["instructions"]["total"]


def test_a_core_without_the_instructions_of_the_folder_is_refused(kws: Path) -> None:
    said = driftc("simulate", "kws", "--core", "cortex-m0plus", cwd=kws, code=2).stderr
    assert "its C is for cortex-m4 and its DSP instructions, which cortex-m0plus does not have" in said
    assert "compile the model with --core cortex-m0plus" in said


def test_a_core_that_only_has_other_preferences_is_taken(kws: Path) -> None:
    driftc("compile", "kws.tflite", "--core", "cortex-m3", "-o", "m3", "--no-measure", cwd=kws)
    report = json.loads((kws / "m3" / "report.json").read_text())
    assert "portable/blocked" in {layer["kernel"] for layer in report["layers"]}
    name = counting("cortex-m0plus")
    out = driftc("simulate", "m3", "--engine", name, "--core", "cortex-m0plus", "--random", "1", cwd=kws).stdout
    assert f"on {name} (cortex-m0plus)" in out


# --- what there is ---


def test_boards_operators_and_doctor(tmp_path: Path) -> None:
    boards = {row["board"]: row for row in driftc_json("boards", cwd=tmp_path)["boards"]}
    assert boards["nucleo-f446re"]["core"] == "cortex-m4"
    assert "nucleo-f446re" in driftc("boards", cwd=tmp_path).stdout
    operators = {row["operator"] for row in driftc_json("operators", cwd=tmp_path)["operators"]}
    assert {"CONV_2D", "SOFTMAX", "EMBEDDING_LOOKUP"} <= operators
    assert "CONV_2D" in driftc("operators", cwd=tmp_path).stdout
    tools = {row["tool"]: row for row in driftc_json("doctor", cwd=tmp_path)["tools"]}
    assert {"engine numpy", "engine qemu", "compiler for this machine", "zig"} <= tools.keys()
    assert tools["engine numpy"]["present"] == "yes"
    assert "engine numpy" in driftc("doctor", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (
            "compile",
            "--output --board --name --match --planner --float-io --adapt --adapt-layers --adapt-budget "
            "--adapt-rank --adapt-constants --measure --no-measure --dump-after "
            f"--calibrate {CALIBRATION} {TARGET}",
        ),
        ("quantize", f"--calibrate --output --float-io {CALIBRATION} --json"),
        ("verify", f"{SAMPLES} --save-tensors --sanitize {TARGET}"),
        ("simulate", f"{SAMPLES} {TARGET}"),
        ("report", "--output"),
        ("boards", "--json"),
        ("operators", "--json"),
        ("doctor", "--json"),
    ],
)
def test_help_of(command: str, options: str, tmp_path: Path) -> None:
    text = driftc(command, "--help", cwd=tmp_path).stdout
    for option in options.split():
        assert f" {option}" in text, option


def test_help_teaches_and_version(tmp_path: Path) -> None:
    text = driftc("--help", cwd=tmp_path).stdout
    codes = "Exit codes: 0 done; 1 the bytes differ or the model does not fit the board; 2 bad use, bad"
    assert codes in " ".join(text.split())
    assert "driftc compile kws.tflite --board" in text
    assert text == driftc("-h", cwd=tmp_path).stdout
    assert re.fullmatch(r"driftc, version \d+\.\d+\.\d+\n", driftc("--version", cwd=tmp_path).stdout)


def test_help_loads_neither_numpy_nor_the_compiler() -> None:
    code = (
        "import atexit, sys\n"
        "heavy = {'numpy', 'jinja2', 'tflite', 'unicorn', 'rich'}\n"
        "atexit.register(lambda: print('loaded:', sorted(heavy & set(sys.modules))))\n"
        "sys.argv = ['driftc', '--help']\n"
        "from driftc.codegen.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "loaded: []" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("compile", "kws.tflite", "--board", "nucleo-f446"), "did you mean nucleo-f446re"),
        (("compile", "kws.tflite", "--core", "cortex-m9"), "core 'cortex-m9' is unknown"),
        (("compile", "kws.tflite", "--dump-after", "magic"), "the stages are"),
        (("compile", "absent.tflite"), "absent.tflite"),
        (("verify", "nothing"), "not a folder that driftc compile wrote"),
        (("verify", "kws", "--engine", "gdb"), "engine 'gdb' is unknown"),
        (("simulate", "kws", "--engine", "gdb"), "engine 'gdb' is unknown"),
        (("simulate", "kws", "--data", "none.npz"), "none.npz: no such file"),
        (("simulate", "kws", "--data", "none.npz", "--random", "1"), "either data or random"),
        (("fly",), "No such command 'fly'"),
    ],
)
def test_bad_use_is_2(kws: Path, arguments: tuple[str, ...], problem: str) -> None:
    assert problem in driftc(*arguments, cwd=kws, code=2).stderr


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
