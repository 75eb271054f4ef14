"""Weights of the blend, in the order of `blend.features`."""

from __future__ import annotations

import numpy as np

BLEND_WEIGHTS = np.zeros(33, np.float32)
BLEND_WEIGHTS[[0, 4, 5, 1]] = 4, 2.8, 1.2, 2
