"""Landmarks that follow their shifts off the shape."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from engine import box_of, synthetic_config, synthetic_face, synthetic_model

from jaxclnf import fit
from jaxclnf.fitting.map_frames import map_frame
from jaxclnf.fitting.nurlms import off_shape, positions_in_maps
from jaxclnf.ops.mean_shift import mean_shift
from jaxclnf.ops.shape import shape_2d

WINDOW = 11


def _peaks(model, truth, at):
    """A face's frame, and where mean shifts lead on maps that are peaks ``at`` pixels from the landmarks."""
    frame = map_frame(model.pdm, model.experts[0], truth)
    positions = positions_in_maps(frame, shape_2d(model.pdm, truth), WINDOW)
    y, x = jnp.asarray(np.mgrid[:WINDOW, :WINDOW], positions.dtype)
    where = positions + jnp.asarray([at], positions.dtype)
    away = (x[None] - where[:, 0, None, None]) ** 2 + (y[None] - where[:, 1, None, None]) ** 2
    return frame, positions + mean_shift(jnp.exp(-away / 2), positions, jnp.asarray(1.5, positions.dtype))


def test_what_the_shape_leaves_of_a_shift_is_followed_by_its_share(dtype) -> None:
    model, (_, truth) = synthetic_model(dtype), synthetic_face(1, dtype)
    frame, asked = _peaks(model, truth, (1, -0.5))
    half = jnp.asarray(0.5, dtype)
    here = shape_2d(model.pdm, truth)
    off = off_shape(frame, asked, here, WINDOW, half)
    in_maps = np.asarray(off) @ np.asarray(frame.ref_from_img).T
    # A mean shift under a kernel of variance 2.25 leads to a peak of variance 1 by 2.25 / 3.25 of the way ...
    middle = np.array([1, -0.5]) * 2.25 / 3.25
    seen = np.asarray(frame.visible)
    assert seen.any()
    np.testing.assert_allclose(np.median(in_maps[seen], axis=0), middle / 2, atol=0.03)
    # ... and what the shape follows of it is no longer left.
    moved = here + jnp.asarray([middle], dtype) @ frame.img_from_ref.T
    rest = off_shape(frame, asked, moved, WINDOW, half)
    assert np.median(np.abs(rest)[seen]) < 0.1 * np.median(np.abs(off)[seen])


def test_landmarks_that_a_view_cannot_see_stay_on_the_shape() -> None:
    model, (_, truth) = synthetic_model(np.float32), synthetic_face(1, np.float32)
    frame, asked = _peaks(model, truth, (1, 1))
    hidden = jnp.arange(model.pdm.n_points) % 2 == 0
    off = off_shape(frame._replace(visible=~hidden), asked, frame.base, WINDOW, 1.0)
    assert not np.asarray(off)[hidden].any() and np.asarray(off)[~hidden].any()


def test_patch_experts_alone_give_freedom_too() -> None:
    model, (image, truth) = synthetic_model(np.float32), synthetic_face(1, np.float32)
    box = np.asarray(box_of(model, truth), np.float32)
    last = f"freedom.{len(synthetic_config().stages) - 1}"
    changes = {"freedom": 0}, {"freedom": 1}, {last: 1}
    held, free, at_last = (fit(model, image, box, synthetic_config().changed(c)) for c in changes)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), held.params, free.params)
    assert np.abs(held.landmarks - free.landmarks).max() > 0.05
    np.testing.assert_allclose(at_last.landmarks, free.landmarks, atol=1e-4)  # finer patches know better
