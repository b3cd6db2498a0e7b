"""What is said of operators that driftc lacks: every kind once, with a layer that has it and the nearest that works."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from driftc.codegen.names import readable

BY_DATA = "its result has as many elements as the data say; end the model before it, and do this in the program around"
UNROLL = "export recurrent layers with unroll=True, or with fixed shapes, so that they become one operator each"
FEATURES = "compute features in front of the model, as examples/logmel.py does"
IN_CODE = "leave it to the program around the model"

# Kind -> what to do instead. TensorFlow Lite's names; other formats' beside them where they differ.
NEAREST: Mapping[str, str] = {
    **dict.fromkeys(
        ("NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "SPARSE_TO_DENSE", "UNIQUE", "WHERE", "NonZero"), BY_DATA
    ),
    **dict.fromkeys(("NonMaxSuppression", "TFLite_Detection_PostProcess", "TOPK_V2", "TopK"), IN_CODE),
    **dict.fromkeys(("WHILE", "IF", "CALL", "Loop", "If", "Scan"), UNROLL),
    **dict.fromkeys(
        ("RNN", "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_LSTM", "LSTM"),
        "UNIDIRECTIONAL_SEQUENCE_LSTM, as TensorFlow exports one keras.layers.LSTM of fixed shape, is the recurrence "
        "that works; or a causal Conv1D over a window of frames",
    ),
    **dict.fromkeys(("RFFT2D", "RFFT", "MULTINOMIAL", "AudioSpectrogram", "Mfcc", "DFT", "STFT"), FEATURES),
    **dict.fromkeys(("CONV_3D", "CONV_3D_TRANSPOSE", "Conv3D"), "CONV_2D, with one axis folded into the channels"),
    "LOCAL_RESPONSE_NORMALIZATION": "batch normalisation, which is folded into the convolution before it",
    "LRN": "batch normalisation, which is folded into the convolution before it",
    "ONE_HOT": "GATHER of the rows of a unit matrix, or an embedding",
    "SCATTER_ND": "CONCATENATION or SELECT_V2 with a constant mask",
    "HASHTABLE_LOOKUP": "EMBEDDING_LOOKUP",
    **dict.fromkeys(("FLOOR_DIV", "FLOOR_MOD"), "DIV, or MUL with a constant; TFLite Micro has it in float32 alone"),
    "L2_POOL_2D": "SQUARE, AVERAGE_POOL_2D and SQRT; TFLite Micro has it in float32 alone",
    "SIGN": "GREATER and LESS with a constant, and SELECT_V2",
    "POW": "SQUARE, SQRT, RSQRT or MUL",
    "DENSIFY": "export without sparsity: weights that are zero are stored as zeros",
    "Einsum": "matmul, which is BATCH_MATMUL",
}


def missing_text(
    found: Iterable[tuple[str, str]], nearest: Mapping[str, str] = NEAREST, manual: str = "'driftc operators'"
) -> str:
    """The refusal of a model in which `found`, kinds with the labels of their layers, cannot be compiled.

    `nearest` says by kind what to do instead, before NEAREST; `manual` is where one sees what can be compiled.
    """
    labels: dict[str, list[str]] = {}
    for kind, label in found:
        labels.setdefault(kind, []).append(readable(label))
    parts, said = [], set[str | None]()
    for kind, where in labels.items():
        more = f" and {len(where) - 1} more" if len(where) > 1 else ""
        instead = nearest.get(kind) or NEAREST.get(kind, NEAREST.get(kind.removeprefix("CUSTOM ")))
        advice = "" if not instead else "; instead: the same" if instead in said else f"; instead: {instead}"
        said.add(instead)
        parts.append(f"{kind} ('{where[0]}'{more}{advice})")
    kinds = "operator" if len(parts) == 1 else f"{len(parts)} kinds of operator"
    return f"not supported: {kinds} {', '.join(parts)}; {manual} lists what is"
