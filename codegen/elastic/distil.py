"""What an update should be, in real numbers: the edge model taught by the teacher's decisions on the uploads.

    loss = KL(teacher(upload) || edge(upload)) + KL(source(clean) || edge(clean))

over batches of 32 uploads and 16 clean samples, on which the source model's own decisions are held: without them an
update costs many points where nothing is shifted. Of a layer normalised by each sample's statistics, what moves is its
gain, its beta and the offset of its mean; its weights stay. Of a folded layer it is gain and bias, and they begin where
the uploads have the mean and deviation that clean samples have there: that fits one environment, and no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftc.codegen.adaptation.adam import Adam, cosine
from driftc.codegen.adaptation.constants import Constants
from driftc.codegen.adaptation.learning import Progress
from driftc.codegen.adaptation.network import Network, tensorflow
from driftc.codegen.elastic.coding import Codes, Folded, Live, UpdatableLayer
from driftc.codegen.elastic.student import Raw, Student
from driftc.codegen.errors import UsageError
from driftc.codegen.operators.adapt.adapt_rank import REACH
from driftc.codegen.operators.adapt.adapt_statistics import FRACTIONS

Floats = NDArray[np.float64]
PASSES, RATE = 8, 2e-3
BATCH, CLEAN = 32, 16
AT_ONCE = 128


@dataclass(frozen=True, eq=False)
class Change:
    """Of one layer, float64 [channels]: the logarithm of its gain over the compiled one, and what is added besides.

    Live: to beta, in the output's units, and to the mean, in those of the values before. Folded: to the bias.
    """

    gain: Floats
    added: tuple[Floats, ...]

    def towards(self, other: Change, share: float) -> Change:
        """`share` of the way."""
        added = (np.asarray(a + share * (b - a)) for a, b in zip(self.added, other.added, strict=True))
        return Change(self.gain + share * (other.gain - self.gain), tuple(added))

    def codes(self, layer: UpdatableLayer) -> Codes:
        """The nearest that the layer's coding and bounds allow."""
        if isinstance(layer, Live):
            return layer.codes(np.exp(self.gain), *self.added)
        return layer.codes(np.exp(self.gain), _compiled_bias(layer) + self.added[0])


def changes(layers: Sequence[UpdatableLayer], codes: Sequence[Codes]) -> list[Change]:
    """What an update's codes stand for."""
    found = []
    for layer, coded in zip(layers, codes, strict=True):
        after = layer.updated(coded)
        if isinstance(layer, Live):
            level, base, centre = (
                np.asarray(now - before) * 2.0 ** -FRACTIONS[name]
                for now, before, name in zip(
                    after, (layer.level, layer.base, layer.centre), ("level", "base", "centre"), strict=True
                )
            )
            found.append(Change(level * np.log(2), (np.asarray(base * layer.scale), np.asarray(centre * layer.unit))))
        else:
            gain = coded.gain * 2.0**-coded.octave
            step = _step(layer) * np.exp2(gain)
            found.append(Change(gain * np.log(2), (after[2] * step - _compiled_bias(layer),)))
    return found


def _step(layer: Folded) -> Floats:
    """One unit of the accumulator in the output's real units."""
    return np.asarray(layer.multiplier * np.exp2(-31.0 - layer.shift) * layer.scale)


def _compiled_bias(layer: Folded) -> Floats:
    return np.asarray(layer.raw * _step(layer))


class Distillation:
    """The differentiable edge model. Raises UsageError where it cannot be taught, before anything is computed."""

    def __init__(self, student: Student, one_environment: bool = False) -> None:
        self._tf = tensorflow()
        self._student, self._network = student, Network(student.source)
        layers = student.parameters.layers
        weights = {op.name: getattr(op, "channels", 0) for op in student.source.operators}
        self._moving = [n for n, layer in enumerate(layers) if isinstance(layer, Live) or one_environment]
        self.notes: list[str] = []
        for number in list(self._moving):
            layer = layers[number]
            if weights.get(layer.name) != layer.channels:  # channels that never change were removed
                self._moving.remove(number)
                self.notes.append(f"'{layer.label}': some of its channels were removed; compile with --keep-constant")
        if not self._moving:
            raise UsageError(
                f"{student.graph.source}: none of its layers is live (--adapt calibrated), and folded ones suit one "
                "environment alone once they are updated: --one-environment says that there is but one"
            )

    def teach(
        self,
        uploads: Raw,
        wanted: NDArray[np.float32],
        clean: Raw,
        start: Sequence[Codes],
        seed: int = 0,
        progress: Progress | None = None,
    ) -> list[Change]:
        """Of every updatable layer, in order. `wanted` are the teacher's probabilities of the uploads; `start` the
        codes that are active.
        """
        student = self._student
        before = changes(student.parameters.layers, start)
        x, held = student.real(uploads), student.real(clean)
        moved: dict[str, _Moved] = {}
        for number in self._moving:
            layer = student.parameters.layers[number]
            if isinstance(layer, Live):
                moved[layer.name] = _MovedLive(self._tf, student.live[layer.name], before[number])
        compiled = self._compiled()
        folded = {layer.name: layer for n in self._moving if isinstance(layer := student.parameters.layers[n], Folded)}
        if folded:
            moved |= self._by_statistics(folded, compiled, x, held)
        self._fit(
            {**compiled, **moved}, list(moved), (x, wanted), (held, self._decided(held, compiled)), seed, progress
        )
        found = list(before)
        for number in self._moving:
            found[number] = moved[student.parameters.layers[number].name].change()
        return found

    def _compiled(self) -> dict[str, Any]:
        """Every live layer as compiled."""
        return {name: _MovedLive(self._tf, constants, None) for name, constants in self._student.live.items()}

    def _log_probabilities(self, x: Any, layers: dict[str, Any]) -> Any:
        def normalise(name: str, values: Any) -> Any:
            return layers[name](values) if name in layers else values

        return self._network.decisions(self._network.run(x, normalise))[:, 0, 0]

    def _decided(self, x: NDArray[np.float32], layers: dict[str, Any]) -> NDArray[np.float32]:
        run = self._tf.function(lambda some: self._log_probabilities(some, layers), autograph=False)
        parts = [np.exp(run(self._tf.constant(x[n : n + AT_ONCE])).numpy()) for n in range(0, len(x), AT_ONCE)]
        return np.concatenate(parts)

    def _by_statistics(
        self, folded: dict[str, Folded], compiled: dict[str, Any], x: NDArray[np.float32], held: NDArray[np.float32]
    ) -> dict[str, _Moved]:
        """Each folded layer such that the uploads have the clean samples' mean and deviation there, in order."""
        tf, known = self._tf, dict[str, Any]()
        found: dict[str, _Moved] = {}

        def moments(values: Any) -> tuple[Any, Any]:
            mean, variance = tf.nn.moments(values, range(len(values.shape) - 1))
            return mean.numpy(), np.sqrt(variance.numpy() + 1e-6 * (variance.numpy().max() + 1e-12))

        def see(name: str, values: Any) -> Any:
            if name in folded:
                known[name] = moments(values)
            return compiled[name](values) if name in compiled else values

        def move(name: str, values: Any) -> Any:
            if name not in folded:
                return compiled[name](values) if name in compiled else values
            found[name] = _MovedFolded(tf, moments(values), known[name], _compiled_bias(folded[name]))
            return found[name](values)

        self._network.run(tf.constant(held[:256]), see)
        self._network.run(tf.constant(x[:256]), move)
        return found

    def _fit(
        self,
        layers: dict[str, Any],
        moving: list[str],
        shifted: tuple[NDArray[np.float32], NDArray[np.float32]],
        clean: tuple[NDArray[np.float32], NDArray[np.float32]],
        seed: int,
        progress: Progress | None,
    ) -> None:
        tf = self._tf
        adam = Adam([variable for name in moving for variable in layers[name].variables])

        @tf.function(autograph=False)  # type: ignore[untyped-decorator]
        def step(samples: Any, wanted: Any, held: Any, kept: Any, rate: Any, number: Any) -> None:
            with tf.GradientTape() as tape:
                found = self._log_probabilities(tf.concat([samples, held], 0), layers)
                count = samples.shape[0]
                loss = -tf.reduce_mean(tf.reduce_sum(wanted * found[:count], -1))
                loss -= tf.reduce_mean(tf.reduce_sum(kept * found[count:], -1))
            adam.apply(tape.gradient(loss, adam.variables), rate, number)

        random = np.random.default_rng(seed)
        (x, wanted), (held, kept) = shifted, clean
        size, batches = min(BATCH, len(x)), max(1, len(x) // BATCH)
        steps = PASSES * batches
        for number in range(steps):
            if number % batches == 0:
                order = random.permutation(len(x))
            some = order[number % batches * size :][:size]
            other = random.choice(len(held), min(CLEAN, len(held)), replace=False)
            given = (tf.constant(array) for array in (x[some], wanted[some], held[other], kept[other]))
            rate = tf.constant(cosine(RATE, number, steps), tf.float32)
            step(*given, rate, tf.constant(number + 1.0, tf.float32))
            if progress is not None:
                progress(number + 1, steps)


class _Moved:
    """A layer with variables; called with the values that it is to normalise."""

    variables: list[Any]

    def __call__(self, x: Any) -> Any:
        raise NotImplementedError

    def change(self) -> Change:
        raise NotImplementedError


class _MovedLive(_Moved):
    """y = gamma e^a 2^(-L / 2) (x - mu - s m) + beta + s b, s the source's deviation. `start` None: as compiled."""

    def __init__(self, tf: Any, constants: Constants, start: Change | None) -> None:
        self._tf, self._constants = tf, constants
        self._deviation = np.sqrt(constants.var + constants.eps)
        begun = [np.zeros_like(constants.mean)] * 3
        if start is not None:
            begun = [start.gain, *(added / self._deviation for added in start.added)]
        self.variables = [tf.Variable(values, dtype=tf.float32) for values in begun]

    def __call__(self, x: Any) -> Any:
        tf, c = self._tf, self._constants
        gain, beta, offset = self.variables
        s, dm, cm, dv, cv, eps, gamma, start = (
            values.astype(np.float32)
            for values in (self._deviation, c.dm, c.cm, c.dv / np.log(2), c.cv, c.eps, c.gamma, c.beta)
        )
        mean, variance = tf.nn.moments(x, range(1, len(x.shape) - 1), keepdims=True)
        mu, level = dm * mean + cm, dv * tf.math.log(variance + eps) + cv
        if c.rank is not None:
            moved_mean, moved_level = self._ranked(mean, variance + eps)
            mu, level = mu + moved_mean, level + moved_level
        scale = gamma * tf.exp(gain - np.float32(np.log(2) / 2) * level)
        return scale * (x - mu - s * offset) + start + s * beta

    def _ranked(self, mean: Any, variance: Any) -> tuple[Any, Any]:
        """What all channels say together of each, of the mean and of the log variance."""
        tf, rank = self._tf, self._constants.rank
        assert rank is not None
        logs = tf.math.log(variance) / np.float32(np.log(2))
        zs = (
            (mean - _float32(rank.mean)) / _float32(rank.deviation),
            (logs - _float32(rank.log_mean)) / _float32(rank.log_deviation),
        )
        z = tf.concat(zs, -1)
        hidden = tf.nn.relu(tf.clip_by_value(z, -REACH, REACH) @ _float32(rank.down.T) + _float32(rank.start))
        of_mean, of_level = tf.split(hidden @ _float32(rank.up.T), 2, -1)
        return of_mean * _float32(rank.deviation), of_level * _float32(rank.log_deviation)

    def change(self) -> Change:
        gain, beta, offset = (variable.numpy().astype(np.float64) for variable in self.variables)
        return Change(gain, (beta * self._deviation, offset * self._deviation))


class _MovedFolded(_Moved):
    """y = e^a (x - m) + mean + s b, with the uploads' mean m, and mean and deviation s of clean samples."""

    def __init__(self, tf: Any, seen: tuple[Any, Any], clean: tuple[Any, Any], bias: Floats) -> None:
        (self._seen, deviation), (self._mean, self._deviation) = seen, clean
        self._tf, self._bias = tf, bias
        gain = np.log(self._deviation / deviation)
        self.variables = [tf.Variable(values, dtype=tf.float32) for values in (gain, np.zeros_like(gain))]

    def __call__(self, x: Any) -> Any:
        gain, offset = self.variables
        return self._tf.exp(gain) * (x - self._seen) + self._mean + self._deviation * offset

    def change(self) -> Change:
        gain, offset = (variable.numpy().astype(np.float64) for variable in self.variables)
        bias = np.exp(gain) * (self._bias - self._seen) + self._mean + self._deviation * offset
        return Change(gain, (bias - self._bias,))


def _float32(values: Floats) -> NDArray[np.float32]:
    return values.astype(np.float32)
