"""Of the largest boxes of a photo the first that is of a face counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from engine import box_of, synthetic_config, synthetic_face, synthetic_model

from jaxclnf.media.detection import Detections
from jaxclnf.media.read_and_detect import detected
from jaxclnf.models.calibration import by_likelihood
from jaxclnf.output.photo_pipeline import Photo, fit_loaded
from jaxclnf.types import Camera


def test_a_larger_box_that_holds_no_face_gives_way_to_the_face() -> None:
    model = replace(
        synthetic_model(np.float32), calibration=by_likelihood(np.float32(-0.76), np.float32(5.8))
    )
    grey, params = synthetic_face(0, np.float32, (160, 400))
    rgb = np.repeat(grey[..., None].astype(np.uint8), 3, axis=2)
    face, larger = box_of(model, params), np.float32([5, 10, 120, 130])
    for boxes, there in (([face, larger], face), ([larger], larger)):
        found = Detections(np.float32(boxes), np.ones(len(boxes), np.float32))
        looked = detected(only_largest=True, detector=lambda _, found=found: found)(Path("a.png"), rgb)
        np.testing.assert_array_equal(looked[0, :4], larger)
        photo = Photo(Path("a.png"), rgb, Camera.default(400, 160), looked)
        (fitted,) = fit_loaded(model, [photo], synthetic_config(), only_largest=True)
        assert isinstance(fitted, Photo) and len(fitted.faces) == 1
        np.testing.assert_array_equal(fitted.boxes[:, :4], [np.float32(there)])
