"""Parts of the face, fitted after the whole, and what is made of several tries."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from engine import box_of, synthetic_config, synthetic_face, synthetic_model

from jaxclnf.config import FitConfig
from jaxclnf.fitting.fit import fit, fit_batch, fit_from, fit_settings
from jaxclnf.models.storage import load_model, save_model
from jaxclnf.ops.shape import shape_2d
from jaxclnf.types import FitResult, Model, Part

STARTS = np.array([[0, 0, 0], [0, 0.7, 0], [0, -0.7, 0]], np.float32)
SHARED = (1, 2, 5, 6, 9, 10)
"""The points of the synthetic face that its part shares with it."""


@cache
def whole_and_part() -> Model:
    """The synthetic model, whose part is a likeness of it that knows a finer scale alone."""
    model = synthetic_model(np.float32)
    part = replace(model, experts=model.experts[1:])
    return replace(model, parts=(Part("inner", SHARED, SHARED, part),))


@cache
def faces() -> tuple[np.ndarray, np.ndarray]:
    model = synthetic_model(np.float32)
    images, params = zip(*(synthetic_face(seed, np.float32) for seed in range(4)), strict=True)
    return np.stack(images), np.stack([box_of(model, p) for p in params]).astype(np.float32)


def run(config: FitConfig, model: Model | None = None) -> FitResult:
    return fit_batch(model or whole_and_part(), *faces(), config)


def of_part(**changes) -> FitConfig:
    return synthetic_config(windows=(7, 0), **changes)


COARSE = synthetic_config(windows=(7, 0))


def test_a_parts_landmarks_are_its_own_and_the_others_stay() -> None:
    plain, refined = run(COARSE), run(COARSE.changed(parts={"inner": of_part()}))
    others = np.setdiff1d(np.arange(12), SHARED)
    np.testing.assert_array_equal(refined.landmarks[:, others], plain.landmarks[:, others])
    assert np.abs(refined.landmarks - plain.landmarks)[:, list(SHARED)].max() > 0.05
    fine = run(synthetic_config())
    gap = lambda result: np.abs(result.landmarks - fine.landmarks)[:, list(SHARED)].mean()  # noqa: E731
    assert gap(refined) < 0.6 * gap(plain)


def test_on_the_pdm_landmarks_are_those_of_the_parameters() -> None:
    config = COARSE.changed(parts={"inner": of_part()})
    for on_pdm in (True, False):
        result = run(config.changed(on_pdm=on_pdm))
        of_params = jax.vmap(shape_2d, (None, 0))(whole_and_part().pdm, result.params)
        gap = np.abs(of_params - result.landmarks).max()
        assert gap < 1e-4 if on_pdm else 1e-3 < gap < 3


def test_a_fit_with_parts_has_a_reverse_derivative() -> None:
    with jax.enable_x64(True):
        model = synthetic_model(np.float64)
        part = replace(model, experts=model.experts[1:])
        model = replace(model, parts=(Part("inner", SHARED, SHARED, part),))
        images, boxes = (np.asarray(a, np.float64) for a in faces())
        rest = COARSE.changed(tolerance=np.float32(0), temperature=0.5, start_rotations=STARTS[:2], keep=())

        @jax.jit
        def height(reg):
            inner = of_part(reg_factor=jnp.array([reg, 1.0]), tolerance=np.float32(0))
            config = rest.changed(parts={"inner": inner})
            return jnp.mean(fit(model, images[0], boxes[0], config).landmarks[..., 1])

        found = float(jax.jit(jax.grad(height))(20.0))
        expected = float(height(20.0 + 1e-4) - height(20.0 - 1e-4)) / 2e-4
        assert abs(expected) > 1e-6
        np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_parts_that_a_model_lacks_are_left_out() -> None:
    inner = COARSE.changed(parts={"inner": of_part()})
    without = run(inner, replace(whole_and_part(), parts=()))
    np.testing.assert_array_equal(without.landmarks, run(COARSE).landmarks)


def test_a_part_with_too_few_pixels_is_left_out() -> None:
    part = whole_and_part().parts[0]
    fine = tuple(replace(e, patch_scale=jnp.float32(9)) for e in part.model.experts)
    model = replace(whole_and_part(), parts=(replace(part, model=replace(part.model, experts=fine)),))
    result = run(COARSE.changed(parts={"inner": of_part(vote=np.float32(1))}), model)
    np.testing.assert_allclose(result.landmarks, run(COARSE).landmarks, atol=1e-5)


def test_a_margin_lets_a_part_see_small_faces() -> None:
    part = whole_and_part().parts[0]
    fine = tuple(replace(e, patch_scale=jnp.float32(2)) for e in part.model.experts)
    model = replace(whole_and_part(), parts=(replace(part, model=replace(part.model, experts=fine)),))
    fitted = {
        m: run(COARSE.changed(parts={"inner": of_part(scale_margin=np.float32(m))}), model)
        for m in (0.9, 0.1)
    }
    np.testing.assert_allclose(fitted[0.9].landmarks, run(COARSE).landmarks, atol=1e-5)
    assert np.abs(fitted[0.1].landmarks - fitted[0.9].landmarks).max(axis=(1, 2)).min() > 0.05


def test_a_part_has_a_vote_among_tries() -> None:
    """A vote so strong that the part decides: what it found likeliest by itself is what remains."""
    several = synthetic_config(windows=(7, 0), start_rotations=STARTS, keep=())
    chosen = run(several.changed(parts={"inner": of_part(vote=np.float32(1e6))}))
    for_each = [run(several.changed(start_rotations=s[None], parts={"inner": of_part()})) for s in STARTS]
    candidates = np.stack([r.landmarks for r in for_each])
    gaps = np.abs(candidates - np.asarray(chosen.landmarks)).max((-2, -1))
    np.testing.assert_allclose(gaps.min(0), 0, atol=2e-3)


def test_a_strong_prior_takes_the_plainest_shape() -> None:
    several = synthetic_config(start_rotations=STARTS, keep=())
    eigenvalues = np.asarray(whole_and_part().pdm.eigenvalues)[None]
    effort = [
        np.sum(run(several.changed(start_rotations=s[None])).params.shape ** 2 / eigenvalues, -1)
        for s in STARTS
    ]
    chosen = run(several.changed(prior=np.float32(1e6)))
    np.testing.assert_allclose(np.sum(chosen.params.shape**2 / eigenvalues, -1), np.min(effort, 0), rtol=1e-2)


def test_tries_are_averaged_by_their_likelihood() -> None:
    several = synthetic_config(start_rotations=STARTS, keep=())
    alone = [run(several.changed(start_rotations=s[None])) for s in STARTS]
    weights = jax.nn.softmax(jnp.stack([r.log_likelihood for r in alone]) / 0.5, axis=0)
    expected = np.einsum("kf,kfni->fni", weights, np.stack([r.landmarks for r in alone]))
    np.testing.assert_allclose(run(several.changed(temperature=0.5)).landmarks, expected, atol=5e-3)


def test_a_bad_image_keeps_to_itself() -> None:
    config = FitConfig.best().changed(
        parts={"inner": of_part(vote=np.float32(1))}, windows=(7, 0), scales=(0, 1)
    )
    images, boxes = faces()
    broken = images.copy()
    broken[1] = np.nan
    sound = fit_batch(whole_and_part(), images, boxes, config)
    found = fit_batch(whole_and_part(), broken, boxes, config)
    others = np.array([0, 2, 3])
    np.testing.assert_allclose(found.landmarks[others], sound.landmarks[others], atol=1e-4)
    assert found.status[1] != 0 and not found.status[others].any()


def test_parts_go_through_settings_at_once_and_tracking() -> None:
    config = COARSE.changed(parts={"inner": of_part()})
    many = fit_settings(whole_and_part(), *faces(), config, {"tolerance": np.array([0.01, 0.5], np.float32)})
    np.testing.assert_allclose(many.landmarks[0], run(config).landmarks, atol=2e-3)
    first = jax.tree.map(lambda a: a[0], run(COARSE).params)
    followed, whole = (
        fit_from(whole_and_part(), faces()[0][0], first, c).landmarks for c in (config, COARSE)
    )
    others = np.setdiff1d(np.arange(12), SHARED)
    np.testing.assert_array_equal(followed[others], whole[others])
    assert np.abs(followed - whole).max() > 0.05


def test_settings_of_parts_are_saved_with_the_model(tmp_path) -> None:
    settings = COARSE.changed(parts={"inner": of_part(vote=np.float32(0.5))}, temperature=0.1)
    save_model(replace(whole_and_part(), settings=settings), tmp_path / "model.npz")
    loaded = load_model(tmp_path / "model.npz").settings
    assert jax.tree.structure(loaded) == jax.tree.structure(settings)
    jax.tree.map(np.testing.assert_array_equal, loaded, settings)


def test_settings_of_parts_are_described_for_tables() -> None:
    told = json.loads(json.dumps(FitConfig.best().described()))
    assert told["parts"]["inner"]["vote"] == 1 and told["temperature"] == FitConfig.best().temperature
