"""Weights of networks in eight bits."""

from __future__ import annotations

import numpy as np

from jaxclnf.models.stored_networks import STEPS, rounded


def test_kernels_are_rounded_channel_by_channel() -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 4, 5)).astype(np.float32) * np.array([1, 1e-3, 1e3, 1, 0], np.float32)
    arrays = {"head/kernel": kernel, "head/bias": rng.normal(size=5)}
    found = rounded(arrays)
    steps, scale = found["head/kernel"], found["head/kernel_scale"]
    assert steps.dtype == np.int8
    np.testing.assert_array_equal(np.abs(steps[..., :4]).max((0, 1, 2)), STEPS)
    off = np.abs(steps * scale - kernel).max((0, 1, 2))
    assert (off <= 0.5001 * np.abs(kernel).max((0, 1, 2)) / STEPS).all()
    np.testing.assert_array_equal(steps[..., 4], 0)  # a channel of zeros stays one
    assert found["head/bias"] is arrays["head/bias"]
