"""Settings of a fit: many at once, those that are neutral, tries that are left, stages on chosen scales."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import box_of, synthetic_config, synthetic_face, synthetic_model

from jaxclnf.fitting.fit import fit, fit_batch, fit_settings
from jaxclnf.models.storage import load_model, save_model

STARTS = np.array([[0, 0, 0], [0, 0.7, 0], [0, -0.7, 0]], np.float32)


@pytest.fixture(scope="module")
def faces():
    model = synthetic_model(jnp.float32)
    images, params = zip(*(synthetic_face(seed, jnp.float32) for seed in range(4)), strict=True)
    return model, np.stack(images), np.stack([box_of(model, p) for p in params]).astype(np.float32)


def test_settings_at_once_are_settings_one_by_one(faces):
    config = synthetic_config(start_rotations=STARTS, keep=(3, 1))
    changes = {
        "reg_factor": np.array([[20, 10], [2, 1], [100, 1]], np.float32),
        "sigma": np.array([[1.5, 1.75], [1, 1], [2, 0.8]], np.float32),
    }
    together = fit_settings(*faces, config, changes)
    assert together.landmarks.shape == (3, 4, 12, 2)
    for k in range(3):
        alone = fit_batch(*faces, config.changed(**{name: v[k] for name, v in changes.items()}))
        np.testing.assert_allclose(together.landmarks[k], alone.landmarks, atol=2e-3)
        np.testing.assert_array_equal(together.view[k], alone.view)
    moved = np.abs(np.diff(together.landmarks, axis=0)).max((1, 2, 3))
    assert (moved > 0.05).all()  # so the settings matter


def test_a_fit_may_be_mapped_over_faces(faces):
    model, images, boxes = faces
    config = synthetic_config(start_rotations=STARTS, keep=(3, 1))
    mapped = jax.vmap(lambda image, box: fit(model, image, box, config))(images, boxes)
    np.testing.assert_allclose(mapped.landmarks, fit_batch(*faces, config).landmarks, atol=2e-3)


def test_ones_for_landmarks_and_modes_change_nothing(faces):
    config = synthetic_config()
    ones = config.changed(landmark_weights=np.ones(12, np.float32), mode_stiffness=np.ones(4, np.float32))
    plain, same = fit_batch(*faces, config), fit_batch(*faces, ones)
    np.testing.assert_allclose(plain.landmarks, same.landmarks, atol=1e-3)


def test_a_stiff_mode_stays_at_rest_and_a_landmark_without_weight_has_no_say(faces):
    stiff = np.array([1, 1e6, 1, 1], np.float32)
    shape = np.abs(fit_batch(*faces, synthetic_config(mode_stiffness=stiff)).params.shape)
    assert shape[:, 1].max() < 1e-2 < shape[:, 0].max()
    model, images, boxes = faces
    weights = np.ones(12, np.float32)
    weights[5] = 0
    config = synthetic_config(landmark_weights=weights)
    before = fit_batch(model, images, boxes, config)
    x, y = np.round(np.asarray(before.landmarks)[0, 5]).astype(int)
    spoilt = images.copy()
    spoilt[0, y - 4 : y + 5, x - 4 : x + 5] = 255 * (np.indices((9, 9)).sum(0) % 2)
    heavy = fit_batch(model, spoilt, boxes, config).landmarks - before.landmarks
    free = fit_batch(model, spoilt, boxes, synthetic_config()).landmarks
    free = free - fit_batch(model, images, boxes, synthetic_config()).landmarks
    assert np.abs(heavy[0, 5]).max() < np.abs(free[0, 5]).max()


def test_a_corrected_box_is_that_box(faces):
    model, images, boxes = faces
    corrected = synthetic_config(box_correction=np.array([0.1, -0.05, np.log(1.2), np.log(0.9)], np.float32))
    centres, sizes = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]
    centres, sizes = centres + [0.1, -0.05] * sizes, sizes * [1.2, 0.9]
    by_hand = np.concatenate([centres - sizes / 2, sizes], axis=1).astype(np.float32)
    expected = fit_batch(model, images, by_hand, synthetic_config())
    np.testing.assert_allclose(fit_batch(*faces, corrected).landmarks, expected.landmarks, atol=2e-3)


def test_the_likeliest_tries_of_each_face_go_on(faces):
    model, images, boxes = faces
    ended = synthetic_config(windows=(7, 0), start_rotations=STARTS)
    one_stage = [fit_batch(*faces, ended.changed(start_rotations=s[None])) for s in STARTS]
    likelihood = np.stack([r.log_likelihood for r in one_stage])
    kept = fit_batch(*faces, synthetic_config(start_rotations=STARTS, keep=(3, 1)))
    alone = [fit_batch(*faces, synthetic_config(start_rotations=s[None])) for s in STARTS]
    expected = np.stack([r.landmarks for r in alone])[likelihood.argmax(0), np.arange(4)]
    np.testing.assert_allclose(kept.landmarks, expected, atol=2e-3)
    on_one_image = fit_batch(model, images[0], boxes, synthetic_config(start_rotations=STARTS, keep=(3, 1)))
    np.testing.assert_allclose(on_one_image.landmarks[0], expected[0], atol=2e-3)


def test_a_stage_may_return_to_a_scale(faces):
    per_stage = {name: np.array([2, 1, 1], np.float32) for name in ("reg_factor", "sigma", "weight_factor")}
    twice = synthetic_config(windows=(7, 5, 5), scales=(0, 1, 1), **per_stage)
    result = fit_batch(*faces, twice)
    assert (result.iterations[:, :, 1] > 0).all()
    lacking = synthetic_config(windows=(7, 5, 5), scales=(0, 1, 7), **per_stage)
    assert (fit_batch(*faces, lacking).iterations[:, 2] == 0).all()
    with pytest.raises(ValueError, match="expected scales for every one of 2"):
        fit_batch(*faces, synthetic_config(windows=(7, 5), scales=(0,)))


def test_new_values_of_settings_compile_nothing(faces):
    config = synthetic_config()
    fit_batch(*faces, config)
    before = fit_batch._cache_size()
    fit_batch(*faces, jax.tree.map(lambda a: a * 1.1, config))
    assert fit_batch._cache_size() == before


def test_a_fit_without_settings_takes_those_of_the_model(faces, tmp_path):
    model, images, boxes = faces
    own = synthetic_config(sigma=np.array([2.5, 1.1], np.float32), landmark_weights=np.linspace(1, 2, 12))
    save_model(replace(model, settings=own), tmp_path / "model.npz")
    loaded = load_model(tmp_path / "model.npz")
    assert loaded.settings.stages[0].window == own.stages[0].window and loaded.settings.kernel == own.kernel
    np.testing.assert_allclose(loaded.settings.landmark_weights, own.landmark_weights, rtol=1e-6)
    found, expected = fit_batch(loaded, images, boxes), fit_batch(model, images, boxes, own)
    np.testing.assert_allclose(found.landmarks, expected.landmarks, atol=1e-4)
    other = fit_batch(model, images, boxes, synthetic_config())
    assert np.abs(found.landmarks - other.landmarks).max() > 0.01
