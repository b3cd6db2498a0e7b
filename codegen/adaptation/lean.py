"""lean: the sample is believed the less, the further its layer is from the source (LeanTTA, arXiv 2503.15889).

    mu_b = tau mu_s + (1 - tau) mu_i        var_b likewise
    d = 1 - exp(-sum_c (mu_b - mu_s)^2 / (var_s + eps))
    q = d^lambda        mu = q mu_s + (1 - q) mu_b        var likewise

The paper gives no tau and no lambda; a third-party implementation has 0.9 and 0.9, and q = lambda d. In wide layers the
sum makes d nearly 1; its mean over the channels does not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from driftc.codegen.adaptation import fixed
from driftc.codegen.adaptation.calibration import Source
from driftc.codegen.adaptation.constants import Constants, Form

TAU = 0.9
LAMBDA = 0.9
VARIANTS: dict[str, dict[str, Any]] = {
    "lean": {},
    "lean-mean": {"mean": True},
    "lean-product": {"trust": "product"},
    "lean-product-mean": {"trust": "product", "mean": True},
}


def constants(
    source: Source, tau: float = TAU, rate: float = LAMBDA, trust: str = "power", mean: bool = False
) -> Constants:
    """`trust`: how q comes from d, "power" or "product"; `mean`: d is of the mean over the channels."""
    believed = np.full_like(source.mean, 1 - tau)
    return replace(
        fixed.constants(source),
        dm=believed,
        cm=tau * source.mean,
        dv=believed,
        cv=np.zeros_like(source.mean),
        form=Form(linear=True, trust=trust, rate=rate, mean=mean),
    )
