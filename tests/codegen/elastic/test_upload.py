"""Which samples a device would send: the entropy in integers, the criteria, the budget; on every engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import ROOT, driftc, driftc_json, run_c
from counting import counting
from learning_models import classifier
from models import ModelBuilder, residual_model

from driftc.codegen.compiled import Compiled
from driftc.codegen.elastic.upload import LEAST, MOST, Chooser, Upload
from driftc.codegen.errors import ModelError, UsageError
from driftc.codegen.lower import lower
from driftc.codegen.operators.upload.decision_entropy import DecisionEntropy, log2_q12
from driftc.codegen.options import Options
from driftc.codegen.tensor import Quantization, Tensor
from driftc.simulator.engines import engine
from driftc.simulator.reference import run_graph
from driftc.simulator.uploads import as_uploading, chosen

STRICT = ("-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")
CORES = {"cortex-m0plus": "unicorn", "cortex-m4": "unicorn", "cortex-m55": "qemu", "rv32imc": "qemu"}


def entropy_of(classes: int, scale: float) -> DecisionEntropy:
    known = Quantization(np.array([scale], np.float32), np.zeros(1, np.int64), 0)
    logits = Tensor("logits", (1, classes), np.dtype(np.int8), known, label="logits")
    return DecisionEntropy.of("entropy", logits, Tensor("h", (1,), np.dtype(np.int32), label="h"))


def exact(logits: np.ndarray[Any, Any], scale: float) -> np.ndarray[Any, Any]:
    """Bits, float64, of logits [n, C]."""
    real = logits.astype(np.float64) * np.float64(np.float32(scale))
    powers = np.exp(real - real.max(axis=1, keepdims=True))
    p = powers / powers.sum(axis=1, keepdims=True)
    return np.asarray(-(p * np.log2(np.where(p > 0, p, 1))).sum(axis=1))


def some_logits(classes: int, count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """From sure to unsure."""
    random = np.random.default_rng(seed)
    spread = random.uniform(0.5, 60, (count, 1))
    found = random.normal(0, 1, (count, classes)) * spread + random.normal(0, 20, (count, 1))
    return np.clip(np.rint(found), -128, 127).astype(np.int8)


@pytest.mark.parametrize(("classes", "scale"), [(2, 0.1), (10, 0.16), (12, 0.2), (12, 0.05), (100, 0.11), (512, 0.3)])
def test_entropy_in_integers_is_that_in_float(classes: int, scale: float) -> None:
    """Within 0.001 bit up to 12 classes, and 999 of 1,000 decisions the same."""
    op, logits = entropy_of(classes, scale), some_logits(classes, 4000)
    found = np.array([int(op.spec(row)[0][0]) for row in logits])
    real = exact(logits, scale)
    assert np.abs(found / 4096 - real).max() < {100: 0.003, 512: 0.03}.get(classes, 0.001)
    upload = Upload("entropy", classes, 256, 0.5, False)
    low, high = LEAST * np.log2(classes), MOST * np.log2(classes)
    same = ((found > upload.least) & (found < upload.most)) == ((real > low) & (real < high))
    assert same.mean() >= 0.999


def test_logarithms_of_every_size() -> None:
    x = np.concatenate([np.arange(1, 5000), 2 ** np.arange(1, 32), 2 ** np.arange(1, 32) - 1]).astype(np.int64)
    assert np.abs(log2_q12(x) / 4096 - np.log2(x)).max() < 0.0004


CHOOSING = """
#include "driftc_chooser.h"
#include "driftc_upload.h"

#include <stdio.h>

#include "cases.h"

int main(void)
{
    for (int i = 0; i < CASES; i++)
        printf("%ld ", (long)driftc_decision_entropy(logits[i], CLASSES, powers, REACH, BITS, FACTOR));
    for (int method = 0; method < 2; method++) {
        driftc_chooser_t chooser = { 0, 0, 0, BUDGET, 7 };

        for (int i = 0; i < CASES; i++) {
            int good;

            if (i % 400 == 399)
                chooser.tokens = BUDGET;
            good = method ? driftc_upload_drawn(&chooser, CHANCE)
                          : driftc_upload_unsure(&chooser, entropies[i], LEAST, MOST);
            printf("%d ", driftc_upload_take(&chooser, good));
        }
    }
    return 0;
}
"""


@pytest.mark.parametrize(("classes", "scale"), [(2, 0.1), (10, 0.16), (500, 0.3)])
def test_the_c_is_the_specification(classes: int, scale: float, tmp_path: Path) -> None:
    """Entropies of random logits, and the decisions of both methods along a stream whose mean entropy falls."""
    op, logits, random = entropy_of(classes, scale), some_logits(classes, 1500, 3), np.random.default_rng(1)
    upload = Upload("entropy", classes, 90, 0.3, False)
    falling = np.linspace(1.2, 0.3, 1500) * random.uniform(0, 2, 1500) * upload.most
    entropies = falling.astype(np.int64)

    def array(kind: str, name: str, values: Any) -> str:
        return f"static const {kind} {name} = {{ {', '.join(map(str, values))} }};\n"

    rows = ["{" + ", ".join(map(str, row)) + "}" for row in logits]
    numbers = {"CASES": 1500, "CLASSES": classes, "REACH": op.powers.size, "FACTOR": f"{op.factor}u", "BUDGET": 90,
               "CHANCE": upload.chance, "BITS": op.fraction, "LEAST": upload.least, "MOST": upload.most}  # fmt: skip
    text = "".join(f"#define {name} {value}\n" for name, value in numbers.items())
    text += array("int8_t", f"logits[CASES][{classes}]", rows) + array("int32_t", "powers[]", op.powers)
    (tmp_path / "cases.h").write_text(text + array("int32_t", "entropies[]", entropies))
    (tmp_path / "main.c").write_text(CHOOSING)
    printed = [int(word) for word in run_c(tmp_path, ["main.c"], *STRICT, f"-I{ROOT / 'firmware'}", "-I.").split()]
    assert printed[:1500] == [int(op.spec(row)[0][0]) for row in logits]
    for number, method in enumerate(("entropy", "random")):
        chooser = Chooser(Upload(method, classes, 90, 0.3, False), 7)
        expected = []
        for count, entropy in enumerate(entropies.tolist()):
            if count % 400 == 399:
                chooser.round()
            expected.append(int(chooser.wanted(entropy)))
        assert printed[1500 * (number + 1) : 1500 * (number + 2)] == expected
        assert 90 < sum(expected) <= 90 * 4


def test_the_threshold_falls_with_the_mean_and_never_rises() -> None:
    upload = Upload("entropy", 10, 1000, 0.5, False)
    chooser = Chooser(upload)
    first = [chooser.wanted(upload.most // 2) for _ in range(128)]
    assert all(first)
    for _ in range(2000):
        chooser.wanted(upload.most // 8)
    chooser.round()
    assert not chooser.wanted(upload.most // 2)
    assert chooser.wanted(upload.most // 8 - 1)
    for _ in range(3000):
        chooser.wanted(2 * upload.most)
    chooser.round()
    assert chooser.wanted(upload.most - 1) and not chooser.wanted(upload.most)


def compiled(folder: Path, model: bytes | None = None, **options: Any) -> Compiled:
    path = folder / "net.tflite"
    path.write_bytes(residual_model() if model is None else model)
    chosen_options = Options(planner="greedy", **{"upload": "entropy"} | options)
    return Compiled(path.read_bytes(), chosen_options, lower(path, chosen_options))


def a_stream(found: Compiled, count: int, seed: int = 2) -> list[tuple[np.ndarray[Any, Any], ...]]:
    shape, random = found.lowered.graph.inputs[0].shape, np.random.default_rng(seed)
    return [(random.normal(0, 40, shape).clip(-128, 127).astype(np.int8),) for _ in range(count)]


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("method", ["entropy", "random"])
def test_on_emulated_cores(method: str, core: str, tmp_path: Path) -> None:
    model = classifier(known=5, length=6, out_scale=0.03)
    found = compiled(tmp_path, model, core=core, upload=method, upload_budget=9)
    runs(found, CORES[core], 150)
    result = found.verify(random=1, engines=["numpy", CORES[core]])
    assert result.bit_exact, str(result.first_difference)


def runs(found: Compiled, name: str, count: int) -> list[bool]:
    chooser = engine(name)
    if absent := chooser.missing_for(found.core):
        pytest.skip(f"engine {name}: {absent}")
    samples, upload = a_stream(found, count), found.lowered.upload
    assert upload is not None
    graph = found.lowered.graph
    entropies = [int(run_graph(graph, each).get("decision_entropy", [0])[0]) for each in samples]
    expected = chosen(upload, entropies)
    said = [bool(each.outputs[-1][0]) for each in chooser.run(as_uploading(found.program()), samples, trace=False)]
    assert said == expected
    assert 0 < sum(said) <= upload.budget
    return said


def test_on_this_machine(tmp_path: Path) -> None:
    said = runs(compiled(tmp_path, classifier(known=5, length=6, out_scale=0.03), upload_budget=30), "host", 400)
    assert sum(said) == 30


PROGRAM = """
#include "net_upload.h"

#include <stdio.h>
#include <string.h>

NET_STATIC_MEMORY(memory);
static net_t net;
static net_upload_t upload;

int main(void)
{
    int8_t given[NET_INPUT_LEN];

    if (net_init(&net, &memory) != 0)
        return 1;
    net_upload_init(&upload, &net, 3);
    if (net_upload_wanted(&upload) != 0)
        return 2;
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < NET_INPUT_LEN; i++)
            given[i] = (int8_t)((i * 37 + turn * 11) % 251 - 125);
        memcpy(net_input(&net), given, sizeof given);
        (void)net_step(&net);
        if (net_upload_wanted(&upload) != 0)
            return 3;
        while (net_step(&net) > 0)
            continue;
        if (memcmp(net_upload_input(&upload), given, sizeof given) != 0)
            return 4;
        if (net_upload_wanted(&upload) != (turn != 1 ? 1 : 0))
            return 5 + turn;
        if (net_upload_wanted(&upload) != 0)
            return 9;
        if (turn == 1)
            net_upload_round(&upload);
    }
    return 0;
}
"""


def test_the_input_is_kept_and_each_sample_counts_once(tmp_path: Path) -> None:
    """A budget of one: the second waits for the next round. An inference that has not ended is none."""
    found = compiled(tmp_path, name="net", upload="random", upload_share=1.0, upload_budget=1)
    found.write(tmp_path / "net")
    (tmp_path / "main.c").write_text(PROGRAM)
    sources = ["main.c", "net/net.c", "net/net_upload.c", "net/net_update.c"]
    assert run_c(tmp_path, sources, *STRICT, "-Inet") == ""


def test_the_planner_counts_the_input(tmp_path: Path) -> None:
    kept, copied = compiled(tmp_path), compiled(tmp_path, upload_copy="caller")
    without = lower(tmp_path / "net.tflite", Options(planner="greedy")).plan.arena_bytes
    assert without <= copied.lowered.plan.arena_bytes < kept.lowered.plan.arena_bytes <= without + 16 * 16 * 3 + 16
    assert "net_upload_input" not in str(copied.sources["net_upload.h"])


def test_ten_classes_take_few_instructions(tmp_path: Path) -> None:
    found = compiled(tmp_path)
    counting("cortex-m4")
    measured = found.simulate(random=3, engine="unicorn")
    steps = dict(zip(measured.steps, measured.instructions or (), strict=True))
    assert steps["decision_entropy"] <= 220  # and 30 are for NAME_upload_wanted


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(residual_model())
    driftc(
        "compile", "net.tflite", "--no-measure", "--upload", "random", "--planner", "greedy", "-o", "net", cwd=tmp_path
    )
    said = driftc_json("simulate", "net", "--random", "20", "--engine", "host", cwd=tmp_path)
    assert 5 < said["wanted"] < 18
    assert (
        "samples for a server" in driftc("simulate", "net", "--random", "20", "--engine", "host", cwd=tmp_path).stdout
    )
    assert driftc_json("simulate", "net", "--random", "2", "--engine", "numpy", cwd=tmp_path)["wanted"] is None
    done = driftc("compile", "net.tflite", "--no-measure", "--upload-budget", "3", cwd=tmp_path, code=2)
    assert "belong to --upload" in done.stderr


def sigmoid_model() -> bytes:
    m = ModelBuilder()
    x = m.input("x", (1, 8), scale=0.05, zero_point=3)
    x = m.fully_connected(x, np.ones((3, 8), np.int8), weight_scale=0.01, out_scale=0.1, name="dense")
    m.output(m.logistic(x, name="says"))
    return m.build()


def one_class() -> bytes:
    m = ModelBuilder()
    x = m.input("x", (1, 8), scale=0.05, zero_point=3)
    m.output(m.fully_connected(x, np.ones((1, 8), np.int8), weight_scale=0.01, out_scale=0.1, name="dense"))
    return m.build()


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (sigmoid_model, {}, "its output is a sigmoid's"),
        (sigmoid_model, {"upload": "random"}, "its output is a sigmoid's"),
        (one_class, {}, "no decision between classes"),
        (residual_model, {"feed": "rows"}, "does not go with --feed rows"),
        (residual_model, {"upload": "best"}, "entropy and random choose samples"),
        (residual_model, {"upload_share": 0.0}, "needs to be above 0"),
        (residual_model, {"upload_budget": 0}, "1 sample a round or more"),
        (residual_model, {"upload_copy": "me"}, "caller is who can keep a copy"),
        (residual_model, {"upload": None, "upload_copy": "caller"}, "belong to --upload"),
        (residual_model, {"upload": "entropy", "upload_share": 0.3}, "belongs to --upload random"),
    ],
)
def test_what_is_refused(model: Any, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises((ModelError, UsageError), match=message):
        compiled(tmp_path, model(), **options)


@pytest.mark.parametrize("border", ["int8", "uint8", "float32"])
def test_whatever_the_model_takes_and_gives(border: str, tmp_path: Path) -> None:
    found = compiled(tmp_path, classifier(border=border))
    result = found.verify(random=3, engines=["numpy", "host"])
    assert result.bit_exact, str(result.first_difference)
    entropy = next(op for op in found.lowered.graph.operators if isinstance(op, DecisionEntropy))
    assert entropy.inputs[0].label == "decides"
