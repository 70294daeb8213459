"""Copies of training faces with their heads turned to the sides."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from portrait_face import face_part

import jaxclnf
from jaxclnf.fitting.face_params import params_from_landmarks
from jaxclnf.training.turned_crops import FARTHEST, LEAST, turned_copies
from jaxclnf.training.warped_crops import CroppedFaces

SIDE = 160


@pytest.fixture(scope="module")
def model() -> jaxclnf.Model:
    return jaxclnf.load_model()


@pytest.fixture(scope="module")
def crops(model) -> CroppedFaces:
    """Grace Hopper's face, twice."""
    part, points = face_part(model, SIDE)
    pixels = jaxclnf.to_grey(part).astype(np.uint8)
    box = np.concatenate([points.min(axis=0), np.ptp(points, axis=0)])
    return CroppedFaces(*(np.stack([a, a]) for a in (pixels, points, box)))


def test_copies_are_turned_and_their_boxes_hold_them(model, crops) -> None:
    told = []
    copies = turned_copies(crops, model.pdm, 2, seed=0, on_face=lambda: told.append(1))
    assert len(copies) == len(told) == 4
    for pixels, points, box in copies:
        assert pixels.shape == crops.pixels.shape[1:] and pixels.min() >= 0 and pixels.max() <= 255
        yaw = abs(float(params_from_landmarks(model.pdm, jnp.asarray(points, jnp.float32)).rotation[1]))
        assert 0.7 * LEAST < yaw < 1.1 * FARTHEST
        np.testing.assert_allclose(box, np.concatenate([points.min(axis=0), np.ptp(points, axis=0)]))
    assert len({float(points[30, 0]) for _, points, _ in copies}) == 4


def test_copies_are_the_same_for_the_same_seed(model, crops) -> None:
    one, same, other = (turned_copies(crops, model.pdm, 1, seed)[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(one[0], same[0])
    assert (one[0] != other[0]).any()


def test_only_faces_with_68_landmarks_are_turned(model, crops) -> None:
    few = model.pdm.__class__(model.pdm.mean[:5], model.pdm.basis[:5], model.pdm.eigenvalues)
    assert turned_copies(crops, few, 0, seed=0) == []
    with pytest.raises(ValueError, match="5 landmarks cannot be turned"):
        turned_copies(crops, few, 1, seed=0)
