"""Whether landmarks are visible: by the spread of a hidden one's maps, and what a face learns of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import synthetic_model

import jaxclnf
from jaxclnf.data.datasets import Faces
from jaxclnf.data.harder_photos import painted, patched
from jaxclnf.fitting.visibility import log_area, visibility
from jaxclnf.models.storage import load_model, save_model
from jaxclnf.training import learned_visibility as training
from jaxclnf.types import FitResult, Visibility

MODEL = synthetic_model(np.float32)
N_POINTS = MODEL.pdm.n_points
KNOWN = Visibility(jnp.zeros(N_POINTS), jnp.float32(-4), jnp.float32(2))


def test_areas_are_those_of_ellipses_in_model_units() -> None:
    covariance = jnp.array([[[4.0, 1], [1, 9]]])
    expected = np.log(np.sqrt(35) / 2**2)
    np.testing.assert_allclose(log_area(covariance, jnp.float32(2)), [expected], rtol=1e-5)


def test_a_landmark_of_wide_maps_is_hidden_and_a_bad_photo_hides_none() -> None:
    plain = jnp.broadcast_to(jnp.eye(2), (N_POINTS, 2, 2))
    hidden = jnp.zeros(N_POINTS, bool).at[:2].set(True)
    covered = jnp.where(hidden[:, None, None], 200 * plain, plain)
    told, of_bad = (visibility(MODEL.pdm, KNOWN, c, jnp.float32(1)) for c in (covered, 50 * plain))
    assert told[:2].max() < 0.5 < told.max()
    np.testing.assert_allclose(of_bad, jax.nn.sigmoid(2.0), rtol=1e-5)


def test_covers_are_learned_from_faces_that_are_partly_covered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Fits whose maps are three times as wide where something was painted teach just that."""
    rng = np.random.default_rng(0)
    photo = tmp_path / "a.png"
    cv2.imwrite(str(photo), rng.integers(1, 255, (300, 300, 3)).astype(np.uint8))
    points = rng.uniform(100, 200, (12, N_POINTS, 2)).astype(np.float32)
    faces = Faces((photo,) * 12, points)
    box = np.array([90, 90, 120, 120], np.float32)
    like = jaxclnf.fit(MODEL, np.zeros((300, 300), np.uint8), box)

    def fitted(_, pictures) -> list[FitResult]:
        before = jaxclnf.to_grey(jaxclnf.read_photo(photo))
        found = []
        for n, (grey, _) in enumerate(pictures):
            x, y = np.round(points[n // 3]).astype(int).T
            wide = np.where(before[y, x] == grey[y, x], 1.0, 9.0)[:, None, None] * np.eye(2)
            found.append(replace(jax.device_get(like), covariance=wide, status=np.int32(0)))
        return found

    monkeypatch.setattr(training, "fit_stream", fitted)
    assert training.learn_visibility(MODEL, faces) is None  # its own settings look with no network
    monkeypatch.setattr(training, "uses_network", lambda *_: True)
    known = training.learn_visibility(MODEL, faces)
    assert known is not None and known.slope < -1
    np.testing.assert_allclose(known.usual, -2 * np.log(like.params.scale), rtol=1e-3)
    save_model(replace(MODEL, visibility=known), tmp_path / "m.npz")
    again = load_model(tmp_path / "m.npz").visibility
    assert again is not None
    np.testing.assert_array_equal(again.usual, known.usual)


def test_points_under_a_patch_are_painted() -> None:
    rgb, points = np.full((100, 100, 3), 50, np.uint8), np.array([[20.0, 20], [50, 50], [80, 80]])
    after, _ = patched((0.5, 0.5), (0.3, 0.3))(rgb, points)
    assert painted(rgb, after, points).tolist() == [False, True, False]
