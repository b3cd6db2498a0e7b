"""Golden hashes of five published models: every operator's output as TFLite Micro and CMSIS-NN give it on Cortex-M.

Measured on emulated M0+ to M55 cores with TFLite Micro 90b983c2; the reference and the CMSIS-NN kernels agree in all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Pattern(IntEnum):
    """The three inputs that the hashes belong to."""

    ZERO_POINT = 0  # every byte is the input's zero point
    RAMP = 1  # in[i] = int8(7 * i + 3)
    RANDOM = 2  # the high byte of a 32-bit linear congruential generator


@dataclass(frozen=True)
class Golden:
    name: str
    path: str  # below the data folder
    sha256: str  # the first 16 digits
    layers: dict[Pattern, tuple[int, ...]]  # FNV-1a of each operator's output, in program order


def fnv1a(data: NDArray[Any]) -> int:
    """FNV-1a, 32 bits, over the bytes of an array."""
    value = 2166136261
    for byte in data.tobytes():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value


def pattern_input(pattern: Pattern, shape: tuple[int, ...], zero_point: int) -> NDArray[np.int8]:
    """The int8 input of a pattern; its index runs over the tensor in memory order."""
    size = int(np.prod(shape))
    if pattern is Pattern.ZERO_POINT:
        return np.full(shape, zero_point, np.int8)
    if pattern is Pattern.RAMP:
        return (np.arange(size) * 7 + 3).astype(np.uint8).view(np.int8).reshape(shape)
    return np.fromiter(_congruential(size), np.uint8, size).view(np.int8).reshape(shape)


def _congruential(size: int) -> Iterator[int]:
    state = 12345
    for _ in range(size):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        yield state >> 24


def _layers(*lists: str) -> dict[Pattern, tuple[int, ...]]:
    return {
        pattern: tuple(int(digits, 16) for digits in text.split()) for pattern, text in zip(Pattern, lists, strict=True)
    }


GOLDEN: tuple[Golden, ...] = (
    Golden(
        "resnet8",
        "mlperf_tiny/models/ic/pretrainedResnet_quant.tflite",
        "3c002613d1b2475e",
        _layers(
            "f3382dc5 8ac4fb60 fe52dc18 39cabcd9 250d109b fb2576f0 782445e2 90382d7e 59014750 b5f28a67 fe0e19c0 "
            "08be5562 8820ce9e 8820ce9e 5a719be4 4abcc9c0",
            "d81ddade a1ac1068 8a3e97de c1265c20 5630125d c6466271 88e06aba b26047f0 bad5a58d e8abd8e1 babb8b85 "
            "44863e3f 77762d89 77762d89 1e7ff4cc a7e29098",
            "f34c711c f134bd2f ff72c1f1 c6aea5d3 d62c46cc c779577a edb1372d da6c69c8 24b70ea0 9ee3fe1f 4e0599ef "
            "e7196017 092365a6 092365a6 eec78c12 e5b25901",
        ),
    ),
    Golden(
        "kws",
        "mlperf_tiny/models/kws/kws_ref_model_int8.tflite",
        "aeea436800704fce",
        _layers(
            "ae202682 c13c90e0 a91873a9 51a387bc 893976e3 28a1789e 4658ebc6 392ea5bb 7559cdf6 2f5fe03c 2f5fe03c "
            "83a7e70f 8a2cb1e2",
            "42a57268 ee7c18a5 eaef8eb2 81a14283 c82e65bf 5074b874 56e3af43 ced144d7 ed940660 6164f58d 6164f58d "
            "30b1ef85 ce74d061",
            "5c192847 297fe593 eacddff5 a16e8b10 067d1cc2 80afb5f3 1a5fb4d6 6cc22493 f5e4f32d 92028e2b 92028e2b "
            "d6f7b595 f0b57151",
        ),
    ),
    Golden(
        "ad01",
        "mlperf_tiny/models/ad/ad01_int8.tflite",
        "87cf24194ef93d1d",
        _layers(
            "16513062 4ebf8207 b52593d7 d2559706 698763fc 7e28252e 2a28cb01 9b809d3d c53fc1d3 284d19fa",
            "6e4ac372 598ec298 8ace7537 96faae8f 26816ce7 93e19c44 d634344f 3a86dc35 88a0c3e7 8a8cbcda",
            "43ab9a7e 5b797a78 c6853d46 e2879d8f 01d71bbe b51d3604 576a07a3 3120dc27 de532fe0 1fd3ed06",
        ),
    ),
    Golden(
        "vww",
        "mlperf_tiny/models/vww/vww_96_int8.tflite",
        "597a384c8c2c8a12",
        _layers(
            "511b7bc5 19fde23e 052793d1 b0c4fe5b b28741d0 22ad3995 60e23994 0df08659 f5ca169c 6acc7ac3 f3a46980 "
            "3407b028 fc01b990 7211f2b4 51d4221e ecce67e9 00d3114a 75daee25 349b82d0 592546dd 21f3cba2 fe98d969 "
            "cd6fbcb2 d31431a4 6ece8433 f921ac99 b73fb070 da8f435a da8f435a 7b54ac69 6962079d",
            "bf7fdd55 9c5f7a21 3f28af50 4b056996 dc849057 e5904388 5e661dbd 3be95327 b0d5faba f18ea271 289ede5d "
            "208d5af6 674512b3 3fcc9db5 040d7e57 d0182fef 7cd0223a d6b943f3 d23e70a2 982f96a1 5c805bb9 77d5042f "
            "5d274a12 bac45731 3292a23f 86db0473 82210612 798b3b16 798b3b16 a35596f8 ab66ecb1",
            "68791e44 48a1b50a 44dfe6f3 a78edee5 c0aaf7e9 8e3908b9 64d9f52c b83d07b7 47577b2d 7829d8d7 989381a3 "
            "80765dee 64de0415 bc3225a6 2467bd88 b7baf564 902ef679 f13b3a28 a8004eab aab06ee1 2cf6ea2b afb13866 "
            "fddcc36a d2b9924d d73a19e1 ffc62733 c11b1088 448f05a3 448f05a3 9c4442d2 6962079d",
        ),
    ),
    Golden(
        "wakeword",
        "mlperf_tiny/models/sww/str_ww_ref_model_int8.tflite",
        "3af8550895ba7d5c",
        _layers(
            "9675c9e5 0aad0bc5 a819a835 6aa6f1a5 00e9bcfd 4f59964c cebdb46b 7f56fd23 7f56fd23 7533f873 f7970043",
            "d047c268 fccc5a00 29db3011 4b89e4d1 d70a312f 4bce3582 f8113191 43fd2b56 43fd2b56 dded18a7 bb19f336",
            "9b7e5024 399c9025 542f0d61 9b09d269 55959621 0b8fc716 87efc9f2 208727c5 208727c5 7df99546 bb19f336",
        ),
    ),
)
