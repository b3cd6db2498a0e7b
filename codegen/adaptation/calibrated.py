"""calibrated: what each channel should believe of a sample, learnt before compiling, from the samples alone.

Per channel a gain d and a constant b for the mean and for the log variance (in the line of TTN, Lim et al. 2023), such
that the adapted network says of a shifted sample what the source network says of the same sample unshifted:

    z = (mu_i - m0) / s0, (ln(var_i + eps) - l0) / t0      over the source's samples, each has mean 0 and deviation 1
    mu = mu_s + s0 (d z + b)                               ln var = ln var_s + t0 (d z + b)
    loss = KL(source(clean) || adapted(shifted)) + CLEAN * KL(source(clean) || adapted(clean))

With a rank, what all channels of a layer say together moves each of them too; B starts at 0, A is seeded:

    d z + b + B relu(A z + a)      z there within +-8, as on the device

Where the shifted samples are the user's own, and copies of none that is known unshifted, the first term is that the
adapted network decides on each, and over all of them as the source does over clean ones (SHOT, Liang et al. 2020):

    mean H(adapted(shifted)) + KL(mean adapted(shifted) || mean source(clean))

The network's own weights stay as they are; no labels. Start: the fixed blend. Adam with cosine decay, seeded.

What the samples say little of stays near the source network: sum(d^2 + o^2 + B^2) / HELD is added to the loss, o being
what d z + b is at the source's own statistics. And of what is learnt, d, b and B, a share is kept: on the way back to
the source, what is lost on clean samples falls faster than what is gained on shifted ones (WiSE-FT, Wortsman et al.
2022).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from driftc.codegen.adaptation import fixed
from driftc.codegen.adaptation.adam import Adam, cosine
from driftc.codegen.adaptation.augment import Shifts
from driftc.codegen.adaptation.calibration import Source
from driftc.codegen.adaptation.constants import Constants, Rank
from driftc.codegen.adaptation.learning import Learning, Progress, Worth
from driftc.codegen.adaptation.network import Network, tensorflow
from driftc.codegen.graph import Graph
from driftc.codegen.operators.adapt.adapt_rank import REACH

EPOCHS = 10
STEPS = 230  # at least, where the samples are few
LOOKED = 60  # steps, to see what layers are worth
BATCH = 128  # samples as they are, and as many shifted
RATE = 0.01
CLEAN = 1.0  # weight of the clean term: less gains more under shift and costs more where there is none
HELD = 1000.0  # how large sum(d^2 + o^2 + B^2) must be to weigh 1
KEPT = 0.8  # share of what is learnt
START = 0.3
SEED = 0
GAINS = True  # d is learnt; False: it is 0, so that nothing of the sample is left (benchmarks/robustness: the control)


class Fitting:
    """The source network, and the adapted one with its constants still variables."""

    def __init__(
        self,
        graph: Graph,
        measured: Callable[[], Mapping[str, Source]],
        shifts: Shifts,
        learning: Learning,
        real: Graph | None = None,
    ) -> None:
        """`graph` is int8 to int8, `measured` the sources of the layers that are to be live; `shifts` samples and
        shifted ones; `real` the float Graph that it was made of, which is then what the adapted network is to agree
        with. Raises UsageError or ToolError where it cannot be fitted, before anything is measured.
        """
        self._tf = tf = tensorflow()
        (tensor,) = graph.inputs
        self._network = Network(graph)
        self._source_network = Network(real) if real else self._network
        self._sources = measured()
        self._known = {name: _standard(source) for name, source in self._sources.items()}
        self._low, self._span = (tensor.limits[0] - tensor.zero_point) * tensor.scale, 255 * tensor.scale
        self._shifts = shifts
        self._clean = CLEAN if learning.clean is None else learning.clean
        self._batches = max(1, shifts.count // BATCH)
        self._learnt = {
            name: [
                tf.Variable(v, dtype=tf.float32) for v in (*_start(source), *_start_rank(source, learning.rank, number))
            ]
            for number, (name, source) in enumerate(self._sources.items())
        }

    def fit(self, progress: Progress | None = None) -> dict[str, Constants]:
        self._train(max(EPOCHS * self._batches, STEPS), progress)
        return {
            name: _constants(self._sources[name], self._known[name], [variable.numpy() for variable in group])
            for name, group in self._learnt.items()
        }

    def worth(self, progress: Progress | None = None) -> Worth:
        """Of some layers, live together: what the loss would gain, were one of them not. After a short fit of all."""
        self._train(LOOKED, progress)
        random = np.random.default_rng(SEED)
        both = self._pairs(random.permutation(self._shifts.count)[:BATCH], random)

        def found(names: Sequence[str]) -> dict[str, float]:
            live = set(names)
            whole = float(self._loss(both, live))
            return {name: float(self._loss(both, live - {name})) - whole for name in names}

        return found

    def _train(self, steps: int, progress: Progress | None) -> None:
        tf = self._tf
        still = () if GAINS else (0, 2)
        variables = [v for group in self._learnt.values() for number, v in enumerate(group) if number not in still]
        adam = Adam(variables)

        @tf.function  # type: ignore[untyped-decorator]
        def step(both: Any, rate: Any, number: Any) -> None:
            with tf.GradientTape() as tape:
                loss = self._loss(both, self._sources) + self._learnt_square() / HELD
            adam.apply(tape.gradient(loss, variables), rate, number)

        random = np.random.default_rng(SEED)
        for number in range(steps):
            if number % self._batches == 0:
                order = random.permutation(self._shifts.count)
            both = self._pairs(order[number % self._batches * BATCH :][:BATCH], random)
            rate = tf.constant(cosine(RATE, number, steps), tf.float32)
            step(both, rate, tf.constant(number + 1.0, tf.float32))
            if progress is not None:
                progress(number + 1, steps)

    def _pairs(self, numbers: Any, random: np.random.Generator) -> Any:
        """Samples as the network takes them, then a shifted one of each."""
        return self._tf.constant(np.concatenate(self._shifts.batch(numbers, random))) * self._span + self._low

    def _loss(self, both: Any, live: Collection[str]) -> Any:
        """Of the network in which the layers `live` are."""

        def normalise(name: str, x: Any) -> Any:
            return self._normalised(name, x) if name in live else x

        tf, count = self._tf, both.shape[0] // 2
        wanted = tf.exp(self._source_network.decisions(self._source_network.run(both[:count])))
        found = self._network.decisions(self._network.run(both, normalise))
        if self._shifts.paired:
            apart = tf.reduce_sum(wanted * (tf.math.log(wanted + 1e-9) - found[count:]), (2, 3))
        else:
            mean = tf.reduce_mean(tf.exp(found[count:]), 0)
            apart = tf.reduce_sum(mean * tf.math.log((mean + 1e-9) / (tf.reduce_mean(wanted, 0) + 1e-9)), (1, 2))
            apart -= tf.reduce_sum(tf.exp(found[count:]) * found[count:], (2, 3))
        spoilt = tf.reduce_sum(wanted * (tf.math.log(wanted + 1e-9) - found[:count]), (2, 3))
        return tf.reduce_mean(apart) + self._clean * tf.reduce_mean(spoilt)

    def _learnt_square(self) -> Any:
        """How far all layers are from the source network: sum(d^2 + o^2 + B^2)."""
        tf, total = self._tf, 0.0
        for name, (dm, bm, dv, bv, *across) in self._learnt.items():
            source, (m0, s0, l0, t0) = self._sources[name], self._known[name]
            log_source = np.log(source.var + source.eps).astype(np.float32)
            om = dm * (source.mean.astype(np.float32) - m0) / s0 + bm
            ov = dv * (log_source - l0) / t0 + bv
            total += sum(tf.reduce_sum(array**2) for array in (dm, om, dv, ov, *across[2:]))
        return total

    def _normalised(self, name: str, x: Any) -> Any:
        tf = self._tf
        source, (m0, s0, l0, t0) = self._sources[name], self._known[name]
        dm, bm, dv, bv, *across = self._learnt[name]
        mean, variance = tf.nn.moments(x, range(1, len(x.shape) - 1), keepdims=True)
        zm, zv = (mean - m0) / s0, (tf.math.log(variance + source.eps.astype(np.float32)) - l0) / t0
        om, ov = dm * zm + bm, dv * zv + bv
        if across:
            down, start, up = across
            z = tf.clip_by_value(tf.concat([zm, zv], -1), -REACH, REACH)
            rm, rv = tf.split(tf.nn.relu(z @ tf.transpose(down) + start) @ tf.transpose(up), 2, -1)
            om, ov = om + rm, ov + rv
        mu, moved = source.mean.astype(np.float32) + s0 * om, t0 * ov
        return tf.exp(-moved / 2) * (x - mu) + source.mean.astype(np.float32)


def _standard(source: Source) -> tuple[Any, Any, Any, Any]:
    """m0, s0, l0, t0, float32 [channels]."""
    logs = np.log(source.variances + source.eps)
    found = (
        source.means.mean(axis=0),
        np.maximum(source.means.std(axis=0), np.sqrt(source.eps)),
        logs.mean(axis=0),
        np.maximum(logs.std(axis=0), 0.01),
    )
    m0, s0, l0, t0 = (array.astype(np.float32) for array in found)
    return m0, s0, l0, t0


def _start(source: Source) -> list[Any]:
    """The fixed blend: d, b of the mean; d, b of the log variance."""
    m0, s0, l0, t0 = _standard(source)
    start = START if GAINS else 0.0
    everywhere = np.full(source.mean.shape, start)
    log_source = np.log(source.var + source.eps)
    return [everywhere, start * (m0 - source.mean) / s0, everywhere, start * (l0 - log_source) / t0]


def _start_rank(source: Source, rank: int | None, layer: int) -> list[Any]:
    """A, a, B: nothing is moved yet. None of them without a rank."""
    if rank is None:
        return []
    count = 2 * source.mean.size
    down = np.random.default_rng((SEED, layer)).normal(0, count**-0.5, (rank, count))
    return [down, np.zeros(rank), np.zeros((count, rank))]


def _constants(source: Source, standard: tuple[Any, Any, Any, Any], learnt: list[Any]) -> Constants:
    m0, s0, l0, t0 = (array.astype(np.float64) for array in standard)
    dm, bm, dv, bv, *across = (array.astype(np.float64) for array in learnt)
    dm, bm, dv, bv = (KEPT * array for array in (dm, bm, dv, bv))
    rank = None
    if across:
        down, start, up = across
        rank = Rank(down, start, KEPT * up, m0, s0, l0 / np.log(2), t0 / np.log(2))
    log_source = np.log(source.var + source.eps)
    return replace(
        fixed.constants(source),
        dm=dm,
        cm=source.mean - dm * m0 + s0 * bm,
        dv=dv,
        cv=(log_source - dv * l0 + t0 * bv) / np.log(2),
        rank=rank,
    )
