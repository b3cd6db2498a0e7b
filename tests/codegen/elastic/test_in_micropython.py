"""Updates and uploads from Python on a device: a native module, on this machine and on an emulated board."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from elastic_models import KEY, random_codes
from learning_models import classifier
from micropython import printed_by

from driftc.codegen.compiled import Compiled
from driftc.codegen.elastic.packet import encode
from driftc.codegen.elastic.parameters import apply
from driftc.codegen.elastic.upload import Chooser
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.simulator.reference import run_graph

SCRIPT = """
import net
def fails(function, *arguments):
    try:
        function(*arguments)
    except ValueError as problem:
        print(problem)
n = net.Network()
fails(n.update, PACKETS[0])
fails(n.update_key, b"short")
n.update_key(KEY, b"device 1")
fails(n.update, PACKETS[0][:-1])
fails(n.update, PACKETS[0][:-1] + bytes([PACKETS[0][-1] ^ 1]))
fails(n.update, PACKETS[2])
print(n.update_active(), list(n.invoke(GIVEN[0])))
n.update(PACKETS[0])
print(n.update_active(), list(n.invoke(GIVEN[0])))
fails(n.update, PACKETS[0])
n.update(PACKETS[1])
print(n.update_active(), list(n.invoke(GIVEN[0])))
n.update_revert()
print(n.update_active(), list(n.invoke(GIVEN[0])))
fails(n.update, PACKETS[1])
n.upload_round(1)
for x in GIVEN:
    n.invoke(x)
    print(n.upload_entropy(), n.upload_wanted(), n.upload_wanted(), bytes(n.input) == x)
"""


def test_native_module(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(classifier(known=5, length=6, out_scale=0.03))
    options = Options(core="cortex-m3", planner="greedy", upload="entropy", upload_budget=12)
    found = Compiled(path.read_bytes(), options, lower(path, options))
    known, upload, graph = found.lowered.parameters, found.lowered.upload, found.lowered.graph
    assert known is not None and upload is not None
    codes = [random_codes(known, seed) for seed in (1, 2)]
    packets = [encode(known, each, key=KEY, sequence=n + 3) for n, each in enumerate(codes)]
    packets.append(encode(known, codes[0], key=KEY, sequence=3, device=b"device 2"))
    given = np.random.default_rng(0).integers(-128, 128, (40, 1, 8)).astype(np.int8)
    out = graph.outputs[0].name
    said = [run_graph(each, [given[0]])[out].reshape(-1).tolist() for each in
            (graph, *(apply(graph, known, each) for each in codes))]  # fmt: skip
    assert said[0] != said[1] != said[2]
    lines = [
        "update: not signed with the key",
        "update_key: 16 to 64 bytes wanted",
        "update: no packet for this model",
        "update: not signed with the key",
        "update: for another device",
        f"0 {said[0]}",
        f"3 {said[1]}",
        "update: not newer than the last",
        f"4 {said[2]}",
        f"0 {said[0]}",
        "update: not newer than the last",
    ]
    chooser = Chooser(upload)
    for x in given:
        entropy = int(run_graph(graph, [x])["decision_entropy"][0])
        lines.append(f"{entropy} {chooser.wanted(entropy)} False True")
    assert sum(" True False" in line for line in lines) == 12
    printed = "\n".join(lines) + "\n"
    names = {"PACKETS": packets, "KEY": KEY, "GIVEN": [bytes(x.tobytes()) for x in given]}
    script = "".join(f"{name} = {value!r}\n" for name, value in names.items()) + SCRIPT
    assert printed_by(tmp_path, found, script) == (printed, printed)
