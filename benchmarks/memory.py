"""RAM: driftc's arenas beside TFLite Micro's and TinyEngine's, and MobileNetV2 beside msf-CNN.

Inputs and outputs count where nothing else is said.

    python benchmarks/memory.py [--measure/--no-measure] [--verify]

The published models are in the shared data (DRIFTC_DATA); what the peers need is in peers.toml. Instructions are
counted on the emulated Cortex-M4. `--verify` proves the plans beside msf-CNN's on the host and the emulated core.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from driftc.codegen.api import compile
from driftc.codegen.compiled import Compiled
from driftc.codegen.errors import DriftcError
from driftc.codegen.graph import Graph
from driftc.codegen.kernels.portable.loops import MAC
from driftc.codegen.lower import lower
from driftc.codegen.options import Options
from driftc.codegen.plan.candidates import candidates
from driftc.codegen.plan.place import Problem
from driftc.codegen.plan.propose import arrange, untiled
from driftc.codegen.plan.schedule import Memory, Step, problem_of
from driftc.codegen.plan.search import Label, Roads
from driftc.codegen.plan.solve import solve
from driftc.codegen.plan.unit import Unit

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "examples")]
EXTRA = "extra_models"
OTHERS = (
    "mlperf_tiny/models/ic/pretrainedResnet_large_int8.tflite",
    f"{EXTRA}/tflm/person_detect.tflite",
    f"{EXTRA}/tflm/hello_world_int8.tflite",
    f"{EXTRA}/mltk/autoencoder_example.tflite",
    f"{EXTRA}/mltk/image_example1.tflite",
    f"{EXTRA}/mltk/keyword_spotting.tflite",
    f"{EXTRA}/mltk/keyword_spotting_mobilenetv2.tflite",
    f"{EXTRA}/mltk/keyword_spotting_on_off.tflite",
    f"{EXTRA}/mltk/tflite_micro_magic_wand.tflite",
    f"{EXTRA}/openmv/fomo_face_detection.tflite",
    f"{EXTRA}/tinyengine/vww.tflite",
)
TINYENGINE = {"vww": 60_736}  # static RAM of the code it generates for the same network
CALLS = 0.7  # of the instructions: what calls and sums may add beside MACs, which alone are limited here
OPTIONS = Options(planner="greedy")
# bytes as it counts them, factor of MACs
MSF_CNN = ((194_400, 1.0), (83_065, 1.02), (25_674, 1.25), (8_560, 1.68))
MSF_CNN_VWW = ((96_000, 1.0), (26_128, 1.11), (13_376, 1.35), (12_000, 1.96))  # of MCUNetV2-vww-5fps, at 80 x 80


def table_of(title: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right")
    return table


def apart(graph: Graph) -> int:
    """Whole tensors, none over another's bytes."""
    units = [replace(unit, step=replace(unit.step, distances={})) for unit in untiled(graph)]
    return arrange(graph, units, "optimal").arena_bytes


def row(name: str, path: Path, measure: bool, tflm: int | None, tinyengine: int | None = None) -> tuple[str, ...]:
    plain = compile(path, measure=measure)
    started = time.perf_counter()
    tiled = compile(path, measure=False, minimize="ram")
    seconds = time.perf_counter() - started
    if measure:
        tiled.measure()
    proven = [made.report["placement"]["proven"] for made in (plain, tiled)]
    return (
        name,
        f"{apart(plain.lowered.graph):,}",
        f"{plain.report['arena_bytes']:,}{'' if proven[0] else ' ?'}",
        f"{tiled.report['arena_bytes']:,}{'' if proven[1] else ' ?'}",
        more(plain, tiled),
        f"{tiled.report['tiling']['extra_cycles']:+.1%}",
        f"{seconds:.1f}",
        row_fed(path),
        "-" if tflm is None else f"{tflm:,}",
        "-" if tinyengine is None else f"{tinyengine:,}",
    )


def row_fed(path: Path) -> str:
    """The arena where the input arrives row by row."""
    try:
        return f"{compile(path, measure=False, feed='rows').report['arena_bytes']:,}"
    except DriftcError:
        return "-"  # an input without rows, or more than one


def more(plain: Compiled, tiled: Compiled) -> str:
    """Measured instructions of `tiled` beyond those of `plain`."""
    counts = [made.report["instructions"] for made in (plain, tiled)]
    return "-" if None in counts else f"{counts[1] / counts[0] - 1:+.1%}"


class AsMsfCnn(Roads):
    """Bytes as msf-CNN counts them: without the network's input and output, and without what waits for an addition."""

    def __init__(self, graph: Graph, order: list[Unit]) -> None:
        self.free = dict.fromkeys((tensor.name for tensor in (*graph.inputs, *graph.outputs)), 0)
        super().__init__(graph, order, candidates(graph, order))
        self.start = 0

    def held(self, first: int, stop: int, step: Step, sizes: Mapping[str, int]) -> int:
        return super().held(first, stop, self._counted(step), {**sizes, **self.free})

    def passing(self, first: int, used: Set[str]) -> int:
        return 0

    def _counted(self, step: Step) -> Step:
        return replace(step, distances={pair: d for pair, d in step.distances.items() if pair[0] not in self.free})

    def placed(self, units: list[Unit]) -> int:
        """The fullest unit's bytes when its blocks are placed by themselves."""
        return max(solved(self._alone(unit)) for unit in units)

    def _alone(self, unit: Unit) -> Problem:
        sizes = {**self.sizes, **unit.private, **self.free}
        step = self._counted(unit.step)
        kept = {name: sizes[name] for name in (*step.reads, *step.writes)}
        written = tuple(name for name in step.writes if name not in unit.private)
        return problem_of([step], Memory(kept, step.reads, written))[0]


def solved(problem: Problem) -> int:
    placement = solve(problem)
    assert placement is not None
    return placement.bytes


def against_msf_cnn(title: str, path: Path, front: Sequence[tuple[int, float]], verify: bool) -> Table:
    """For each point of msf-CNN's front, the plan that needs least by its own count with no more of its MACs."""
    graph = lower(path, OPTIONS).graph
    order = untiled(graph)
    roads = AsMsfCnn(graph, order)
    whole = sum(unit.macs for unit in order)
    columns = ("msf-CNN", "at MACs", "driftc, so counted", "at MACs", "all counted", "in parts")
    table = table_of(title, *columns, *(["bit-exact"] * verify))
    known: dict[Label, str] = {}
    for size, most in front:
        dearest = MAC * whole * (most - 1) + CALLS * sum(roads.costs)
        weighed = ((sum(unit.macs for unit in label.units) / whole, label) for label in roads.smallest(dearest))
        factor, label = next(found for found in weighed if found[0] <= most + 0.005)
        cells = (
            f"{size:,}",
            f"{most:.2f}",
            f"{roads.placed(label.units):,}",
            f"{factor:.2f}",
            f"{arrange(graph, label.units, 'optimal').arena_bytes:,}",
            ", ".join(f"{len(unit.operators)} by {unit.kind}" for unit in label.units if unit.kind) or "-",
        )
        if verify and label not in known:
            known[label] = proven(path, graph, label)
        table.add_row(*cells, *([known[label]] if verify else []))
    return table


def proven(path: Path, graph: Graph, label: Label) -> str:
    """The engines on which this plan computes every tensor to the byte."""
    lowered = replace(lower(path, OPTIONS), graph=graph, plan=arrange(graph, label.units, "optimal"))
    found = Compiled(path.read_bytes(), OPTIONS, lowered).verify(engines=["numpy", "host", "unicorn"], random=1)
    return ", ".join(found.engines) if found.bit_exact else str(found.first_difference)


@click.command()
@click.option("--measure/--no-measure", default=True, show_default=True)
@click.option("--verify", is_flag=True)
def main(measure: bool, verify: bool) -> None:
    data = Path(os.environ.get("DRIFTC_DATA", HERE.parent.parent / "shared" / "data"))
    console = Console(width=150)
    columns = (
        "model",
        "tensors apart",
        "overlapping",
        "tiled",
        "instructions",
        "estimated",
        "plan s",
        "row-fed",
        "TFLM",
        "TinyEngine",
    )
    table = table_of("arena, bytes (?: not proven the smallest)", *columns)
    for name, peer in tomllib.loads((HERE / "peers.toml").read_text()).items():
        table.add_row(
            *row(name, data / peer["path"], measure, peer["cortex-m4"]["cmsis"]["arena"], TINYENGINE.get(name))
        )
    for path in OTHERS:
        table.add_row(*row(Path(path).stem, data / path, measure, None))
    from mobilenet_v2 import mobilenet_v2

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mobilenet_v2.tflite"
        path.write_bytes(mobilenet_v2())
        table.add_row(*row(path.stem, path, measure, None))
        console.print(table)
        console.print(against_msf_cnn("MobileNetV2 w0.35, 144 x 144", path, MSF_CNN, verify))
    console.print(
        against_msf_cnn("TinyEngine's vww, 80 x 80", data / f"{EXTRA}/tinyengine/vww.tflite", MSF_CNN_VWW, verify)
    )


if __name__ == "__main__":
    main()
