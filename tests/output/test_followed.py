"""What is said of the faces of a frame."""

from __future__ import annotations

import jax
import numpy as np
from engine import box_of, synthetic_config, synthetic_face, synthetic_model

import jaxclnf
from jaxclnf.output.video_pipeline import _measured
from jaxclnf.tracking import Tracked
from jaxclnf.types import Camera


def test_new_and_followed_faces_of_a_frame_are_measured_together() -> None:
    """A new face has gone through all stages, one that is followed through the small windows alone."""
    model, config = synthetic_model(np.float32), synthetic_config()
    image, params = synthetic_face(0, np.float32)
    new = jaxclnf.fit(model, image, box_of(model, params).astype(np.float32), config)
    followed = jaxclnf.fit_from(model, image, params, config.tracking())
    assert new.iterations.shape != followed.iterations.shape
    tracked = [Tracked(3, jax.device_get(r), p, True) for r, p in ((new, 0.5), (followed, 0.75))]
    faces = list(_measured(model, tracked, Camera.default(200, 160)))
    assert [face.confidence for _, face, _ in faces] == [0.5, 0.75]
    np.testing.assert_allclose(faces[1][1].result.landmarks, followed.landmarks)
