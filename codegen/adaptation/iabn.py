"""iabn: what lies within k standard errors of the source moves nothing (instance-aware BatchNorm; NOTE, Gong 2022).

    mu = mu_s + softshrink(mu_i - mu_s, k s_mu)        s_mu = sqrt((var_s + eps) / n)
    var = var_s + softshrink(var_i - var_s, k s_var)   s_var = (var_s + eps) sqrt(2 / (n - 1))

Made for networks that were trained with it; here a baseline.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driftc.codegen.adaptation import fixed
from driftc.codegen.adaptation.calibration import Source
from driftc.codegen.adaptation.constants import Constants, Form

K = 4.0


def constants(source: Source, k: float = K) -> Constants:
    everywhere, nowhere = np.ones_like(source.mean), np.zeros_like(source.mean)
    return replace(
        fixed.constants(source),
        dm=everywhere,
        cm=nowhere,
        dv=everywhere,
        cv=nowhere,
        form=Form(linear=True, shrink=k),
    )
