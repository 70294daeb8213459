"""Fits with a convolutional expert: its sight, its place among the stages, its derivatives."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import chex
import jax
import jax.numpy as jnp
import numpy as np
from engine import box_of, synthetic_config, synthetic_face, synthetic_model

from jaxclnf import fit, fit_batch, landmarks
from jaxclnf.config import Stage
from jaxclnf.fitting import network_sight
from jaxclnf.fitting.box_starts import starts_in_boxes
from jaxclnf.fitting.network_sight import Sight, certainty_weights, sight_likelihood, window_on
from jaxclnf.fitting.nurlms import StageSettings, approach
from jaxclnf.ops.shape import shape_2d
from jaxclnf.training.conv.network_recipe import ConvRecipe
from jaxclnf.training.conv.normalisation import folded
from jaxclnf.training.conv.training_state import begin
from jaxclnf.types import ConvExperts, FaceParams, Visibility

RECIPE = ConvRecipe(side=32, stem=4, channels=(4, 6), blocks=(1, 1))
look = jax.jit(network_sight.look, static_argnums=4)


@cache
def with_network(dtype):
    """The synthetic model with a network of random weights before its other experts."""
    model = synthetic_model(dtype)

    @jax.jit
    def network():
        state = begin(RECIPE, model.pdm.n_points)
        return jax.tree.map(lambda a: a.astype(dtype), folded(state.kept, state.statistics))

    extent = float(np.ptp(np.asarray(model.pdm.mean)[:, :2], axis=0).max())
    scale = jnp.asarray(RECIPE.side / (RECIPE.reach * extent), dtype)
    experts = ConvExperts(
        scale, jnp.ones((), dtype), network(), RECIPE.side, tuple(range(model.pdm.n_points))
    )
    return replace(model, experts=(*model.experts, experts))


def config_with(model, **settings):
    """The network first, then the finest patch experts."""
    usual = synthetic_config()
    whole = Stage(window=None, scale=len(model.experts) - 1, **settings)
    # Maps of random weights are so wide that the face shrinks: no stage is to be left out for that.
    of_any_size = {"min_scale": np.float32(0), "scale_margin": np.float32(0)}
    starts = np.zeros((1, 3), np.float32)
    return replace(usual, stages=(whole, *usual.stages[-1:]), start_rotations=starts, **of_any_size)


def face(dtype):
    image, truth = synthetic_face(1, dtype)
    box = np.asarray(box_of(synthetic_model(dtype), truth), dtype)
    return image, box, truth


def test_the_shape_goes_where_the_maps_means_are(dtype) -> None:
    model, (_, _, truth) = synthetic_model(dtype), face(dtype)
    start = replace(truth, translation=truth.translation + 6, rotation=truth.rotation + 0.2)
    weights = jnp.ones(model.pdm.n_points, dtype)
    target = shape_2d(model.pdm, truth)
    settings = StageSettings(*jnp.array([0, 1, 1, 0.01], dtype))
    rigid = approach(model.pdm, target, weights, start, settings, 5, rigid=True)
    found = approach(model.pdm, target, weights, rigid, settings, 5, rigid=False)
    assert np.abs(shape_2d(model.pdm, start) - target).max() > 5
    np.testing.assert_allclose(shape_2d(model.pdm, found), target, atol=0.01)


def test_a_picture_shows_the_face_upright_and_of_one_size(dtype) -> None:
    model, (_, _, truth) = with_network(dtype), face(dtype)
    experts = model.experts[-1]
    turned = replace(truth, rotation=jnp.array([0, 0, 0.7], dtype), shape=jnp.zeros_like(truth.shape))
    window = window_on(model.pdm, experts, turned)
    offsets = (shape_2d(model.pdm, turned) - window.centre[None]) @ jnp.linalg.inv(window.img_from_ref).T
    mean = model.pdm.mean[:, :2] * experts.patch_scale
    np.testing.assert_allclose(offsets, mean - (mean.min(0) + mean.max(0))[None] / 2, atol=1e-3)


def test_a_sight_turns_and_moves_with_the_photo(dtype) -> None:
    """A photo turned by a quarter gives the same maps, in its own pixels."""
    model, (image, _, truth) = with_network(dtype), face(dtype)
    here = jax.tree.map(lambda a: a[None, None], truth)
    sight = look(model.pdm, model.experts[-1], image[None], here, False)
    side = image.shape[0]
    quarter = np.ascontiguousarray(np.rot90(image, -1))  # (x, y) -> (side - 1 - y, x)
    about = jnp.array([[0.0, -1], [1, 0]], dtype)
    moved = about @ truth.translation + jnp.array([side - 1.0, 0], dtype)
    turned = replace(here, rotation=_rolled(here.rotation), translation=moved[None, None])
    again = look(model.pdm, model.experts[-1], quarter[None], turned, False)
    expected = np.asarray(sight.landmarks_img) @ np.asarray(about).T + np.array([side - 1.0, 0])
    tolerance = 1e-3 if dtype == np.float32 else 1e-6
    np.testing.assert_allclose(again.landmarks_img, expected, atol=tolerance)
    np.testing.assert_allclose(
        again.covariance,
        about[None, None, None] @ sight.covariance @ about.T[None, None, None],
        rtol=1e-3,
        atol=1e-3,
    )


def _rolled(rotation):
    """Euler angles of the head turned by a quarter in the image's plane."""
    from scipy.spatial.transform import Rotation

    own = Rotation.from_euler("XYZ", np.asarray(rotation[0, 0]))
    quarter = Rotation.from_euler("XYZ", [0, 0, np.pi / 2])
    return jnp.asarray((quarter * own).as_euler("XYZ")[None, None], rotation.dtype)


def test_mirrored_maps_are_those_of_both_pictures() -> None:
    """Of a photo that is its own mirror image, seen straight on, they are symmetric."""
    model = with_network(np.float32)
    half = np.random.default_rng(0).integers(0, 256, (60, 30)).astype(np.float32)
    image = np.concatenate([half, half[:, ::-1]], 1)
    pdm = replace(model.pdm, mean=model.pdm.mean * jnp.array([[0.0, 1, 1]]))
    params = FaceParams(jnp.float32(0.5), jnp.zeros(3), jnp.array([29.5, 29.5]), jnp.zeros(pdm.n_modes))
    sight = look(pdm, model.experts[-1], image[None], jax.tree.map(lambda a: a[None, None], params), True)
    np.testing.assert_allclose(sight.landmarks_img[0, 0, :, 0], 29.5, atol=1e-2)


def test_uncertain_landmarks_weigh_less() -> None:
    covariance = jnp.eye(2)[None] * jnp.array([1.0, 4, 16])[:, None, None]
    np.testing.assert_allclose(certainty_weights(covariance, jnp.float32(1)), [4, 1, 0.25], rtol=1e-5)
    np.testing.assert_allclose(certainty_weights(covariance, jnp.float32(0)), 1)


def test_likelihoods_are_those_of_the_gaussian() -> None:
    sight = Sight(jnp.zeros((1, 2)), jnp.array([[[4.0, 0], [0, 9]]]))
    mean, each = sight_likelihood(sight, jnp.array([[2.0, 0]]), jnp.float32(2))
    expected = np.exp(-0.5) / (2 * np.pi * 6 / 4)
    np.testing.assert_allclose(each, expected, rtol=1e-5)
    np.testing.assert_allclose(mean, np.log(expected), rtol=1e-5)


def test_results_hold_covariances_only_where_a_network_looked() -> None:
    image, box, _ = face(np.float32)
    model = with_network(np.float32)
    result = fit(model, image, box, config_with(model))
    assert result.covariance is not None and result.covariance.shape == (model.pdm.n_points, 2, 2)
    assert (np.linalg.eigvalsh(result.covariance) > 0).all()
    assert fit(model, image, box, synthetic_config()).covariance is None


def test_batches_are_faces_one_by_one() -> None:
    model = with_network(np.float32)
    image, box, _ = face(np.float32)
    boxes = np.stack([box, box + 3, box - 2])
    together = fit_batch(model, image, boxes, config_with(model))
    for i, own in enumerate(boxes):
        alone = fit(model, image, own, config_with(model))
        np.testing.assert_allclose(together.landmarks[i], alone.landmarks, atol=1e-3)


def test_derivatives_are_finite_differences() -> None:
    """By a setting of the network's stage, and by the image."""
    with jax.enable_x64(True):
        image, box, _ = face(np.float64)
        image = np.asarray(image, np.float64)
        waves = np.sin(np.arange(image.size)).reshape(image.shape)
        model = with_network(np.float64)
        config = config_with(model).changed(freedom=0.4)

        @jax.jit
        def total(values):
            first, *others = config.stages
            stages = (replace(first, reg_factor=values[0]), *others)
            result = fit(model, image + values[1] * waves, box, replace(config, stages=stages))
            return (result.landmarks**2).sum() / 1000

        at = jnp.array([0.7, 0.5])
        steps = 1e-5 * jnp.eye(2)
        slopes = jax.jit(jax.grad(total))(at)
        expected = np.array([(total(at + step) - total(at - step)) / 2e-5 for step in steps])
        assert (np.abs(expected) > 1e-6).all()
        np.testing.assert_allclose(slopes, expected, rtol=1e-3)


def test_what_is_no_face_leaves_the_derivatives_of_the_others() -> None:
    image, box, _ = face(np.float32)
    model = with_network(np.float32)
    config = config_with(model)
    config = replace(config, stages=(*config.stages[:-1], replace(config.stages[-1], anchor=0.3)))
    few, flat, point = [*box[:2], 3, 3], [*box[:2], 0, box[3]], [*box[:2], 1e-30, 1e-30]
    none = [box * np.nan, [*box[:2], np.inf, np.inf], np.zeros(4), [1e9, 0, *box[2:]]]
    boxes = np.stack([box, few, flat, point, *none]).astype(np.float32)
    known = Visibility(jnp.zeros(model.pdm.n_points), jnp.float32(-4), jnp.float32(2))

    @jax.jit
    def slope(boxes):
        def total(image, mean):
            seen = replace(model, pdm=replace(model.pdm, mean=mean), visibility=known)
            results = fit_batch(seen, image, boxes, config)
            first = results.usable & (jnp.arange(len(boxes)) == 0)
            assert results.visibility is not None
            shown = jnp.where(first[:, None], results.visibility, 0).sum()
            return jnp.where(first[:, None, None], results.landmarks, 0).sum() / 1000 + shown

        return jax.grad(total, (0, 1))(jnp.asarray(image, jnp.float32), model.pdm.mean)

    alone = slope(np.stack([box] * len(boxes)))
    assert all(np.abs(each).max() > 1e-6 for each in alone)
    chex.assert_trees_all_close(slope(boxes), alone, rtol=1e-2, atol=1e-5)


def test_landmarks_are_those_of_the_parameters_but_for_their_freedom() -> None:
    model, config = with_network(np.float32), config_with(with_network(np.float32))
    image, box, _ = face(np.float32)
    held, half, free, told = (
        fit(model, image, box, settings)
        for settings in (
            config,
            *(config.changed(freedom=f) for f in (0.5, 1)),
            config.changed(freedom=1, on_pdm=True),
        )
    )
    shape = landmarks(model, held.params)
    for result in (half, free, told):
        np.testing.assert_allclose(landmarks(model, result.params), shape, atol=1e-3)
    for result in (held, told):
        np.testing.assert_allclose(result.landmarks, shape, atol=1e-3)
    assert np.abs(free.landmarks - shape).max() > 0.1
    np.testing.assert_allclose(half.landmarks - shape, (free.landmarks - shape) / 2, atol=1e-3)


def test_landmarks_of_full_freedom_are_where_the_network_sees_them() -> None:
    model, (image, box, _) = with_network(np.float32), face(np.float32)
    config = config_with(model)
    config = replace(config, stages=config.stages[:1]).changed(freedom=1)
    start = starts_in_boxes(model.pdm, jnp.asarray(box)[None], jax.device_put(config))
    seen = look(model.pdm, model.experts[-1], image[None], start, False).landmarks_img[0, 0]
    np.testing.assert_allclose(fit(model, image, box, config).landmarks, seen, atol=1e-3)
