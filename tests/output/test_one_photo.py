"""A photo's faces in one call, and their picture in another."""

from __future__ import annotations

import matplotlib.cbook
import numpy as np

from jaxclnf.media.images import read_photo
from jaxclnf.models.storage import load_model
from jaxclnf.output.one_photo import draw, fit_photo
from jaxclnf.types import Status


def test_the_faces_of_a_photo_are_found_fitted_and_drawn() -> None:
    photo = read_photo(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    found = fit_photo(load_model(), photo)
    assert found.landmarks.shape == (1, 68, 2) and found.status[0] in (Status.OK, Status.NOT_CONVERGED)
    nose = found.landmarks[0, 30]
    np.testing.assert_allclose(nose, [266, 238], atol=5)  # as seen in the photo
    picture = np.asarray(draw(photo, found))
    x, y = np.round(nose).astype(int)
    assert picture.shape == photo.shape and np.all(picture[y, x] > 240)  # the point's white
    assert np.array_equal(picture[:60, :60], photo[:60, :60]) and not np.array_equal(picture, photo)


def test_a_photo_without_faces_has_no_rows() -> None:
    photo = np.full((64, 64, 3), 128, np.uint8)
    found = fit_photo(load_model(), photo)
    assert found.landmarks.shape == (0, 68, 2) and len(found.to_frame()) == 0
    assert np.array_equal(np.asarray(draw(photo, found)), photo)
