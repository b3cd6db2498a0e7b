"""A keyword spotter learns two new words, twenty samples each: compiled, taught on the simulated device, plotted.

    python examples/new_word.py [FOLDER]        (default: build/new_word)

The spotter of keywords.py knows four words. It is compiled with room for two more, and taught them as a device would
be: someone says a word and presses a button, and now and then the device learns. All of it is the C that is flashed,
built for this machine. Needs the extras sim and benchmarks (matplotlib).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from keywords import TIME, TRACKS, WORDS, keyword_spotter, utterances

import driftc

NEW = ("late", "wave")  # the words that it learns
NEW_TRACKS = np.stack([np.maximum(0, 2 * TIME - 1), 0.5 + 0.5 * np.sin(4 * np.pi * TIME)])
SAMPLES = 20  # of each
EVERY = 8  # samples after which it learns
STORE = 16_020  # bytes: 20 samples of 800 features and a label, of which five a word stay once they are learnt
SEED = 5


def taught(folder: Path) -> Any:
    """The four words, the new ones with their labels behind them, and tests of all six; what the device made of it."""
    (folder / "words.tflite").write_bytes(keyword_spotter())
    known, label = utterances(400, SEED)
    np.savez(folder / "known.npz", x=known, y=label)
    new, label = utterances(4 * SAMPLES, SEED + 1, NEW_TRACKS)
    said = np.sort(np.concatenate([np.flatnonzero(label == word)[:SAMPLES] for word in range(len(NEW))]))
    np.savez(folder / "new.npz", x=new[said], y=label[said] + len(WORDS))
    test, label = utterances(600, SEED + 2, np.concatenate([TRACKS, NEW_TRACKS]))
    np.savez(folder / "test.npz", x=test, y=label)
    compiled = driftc.compile(
        folder / "words.tflite", calibrate=folder / "known.npz", learn="classifier",
        learn_classes=len(WORDS) + len(NEW), learn_store=STORE, class_names=(*WORDS, *NEW), measure=False,
    )  # fmt: skip
    compiled.write(folder / "words")
    return compiled.teach(folder / "new.npz", folder / "test.npz", every=EVERY)


def plot(counts: list[int], rows: dict[str, list[float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for name, values in rows.items():
        axes.plot(counts, values, marker="o", label=name)
    axes.set(xlabel="samples of the new words so far", ylabel="accuracy", ylim=(0, 1.02))
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[1] / "build" / "new_word"
    parser.add_argument("folder", type=Path, nargs="?", default=default)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    found = taught(folder)
    counts = [0, *(each.added for each in found.rounds)]
    scores = [found.before, *(each.scores for each in found.rounds)]
    print(f"{'samples':>8}{', '.join(WORDS):>24}{', '.join(NEW):>14}")
    for count, score in zip(counts, scores, strict=True):
        print(f"{count:>8}{score.old:>24.1%}{score.new:>14.1%}")
    rows = {", ".join(WORDS): [s.old for s in scores], ", ".join(NEW): [s.new for s in scores]}
    plot(counts, rows, folder / "new_word.png")
    print(
        f"\nRAM for samples {found.store_bytes:,} B, weights and masters {found.trained_bytes:,} B; references "
        f"{found.reference_bytes:,} B of flash\nplot: {folder / 'new_word.png'}"
    )


if __name__ == "__main__":
    main()
