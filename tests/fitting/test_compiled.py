"""Fits compiled ahead of time."""

from __future__ import annotations

import numpy as np
import pytest
from engine import box_of, quick_config, synthetic_face, synthetic_model

from jaxclnf import compile_fit, fit_batch


def test_a_fit_compiled_ahead_finds_what_any_fit_finds_and_takes_its_shapes_only() -> None:
    model, config = synthetic_model(np.float32), quick_config()
    faces = [synthetic_face(seed, np.float32) for seed in range(2)]
    images = np.stack([image for image, _ in faces])
    boxes = np.stack([box_of(model, params) for _, params in faces]).astype(np.float32)
    fit = compile_fit(model, 2, images.shape[1:], config, image_dtype=np.float32)
    found, expected = fit(images, boxes), fit_batch(model, images, boxes, config)
    np.testing.assert_allclose(found.landmarks, expected.landmarks, atol=1e-4)
    with pytest.raises(TypeError):
        fit(images[:1], boxes[:1])
    for wrong, sentence in (
        ((images,), "takes images and boxes alone.*: missing a required argument: 'boxes'"),
        ((model, images, boxes), "model and settings are part of it: too many positional arguments"),
    ):
        with pytest.raises(TypeError, match=sentence):
            fit(*wrong)
