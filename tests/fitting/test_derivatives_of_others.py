"""Faces that cannot be fitted leave the derivatives of the others of their batch alone."""

from __future__ import annotations

from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
from engine import box_of, quick_config, synthetic_config, synthetic_face, synthetic_model

from jaxclnf import FitResult, Status, fit_batch, fit_batch_from
from jaxclnf.config import FitConfig
from jaxclnf.types import Model, Part

SHARED = (1, 2, 5, 6, 9, 10)
"""The points of the synthetic face that its part shares with it."""


def usable_sum(result: FitResult) -> jax.Array:
    """Sum what a caller may use of a batch."""
    landmarks = jnp.where(result.usable[:, None, None], result.landmarks, 0)
    return landmarks.sum() / 1000 + jnp.where(result.usable, result.log_likelihood, 0).sum()


def with_shape(model: Model, mean: jax.Array, eigenvalues: jax.Array) -> Model:
    return replace(model, pdm=replace(model.pdm, mean=mean, eigenvalues=eigenvalues))


def shapes_of(model: Model) -> tuple[jax.Array, jax.Array]:
    return jnp.asarray(model.pdm.mean), jnp.asarray(model.pdm.eigenvalues)


def averaging() -> FitConfig:
    """One stage, a part that votes, tries that are averaged: all ways to a face's landmarks."""
    part = synthetic_config(windows=(7, 0), vote=np.float32(1))
    starts = np.array([[0, 0, 0], [0, 0.3, 0]], np.float32)
    config = synthetic_config(windows=(7, 0), start_rotations=starts, temperature=0.5, prior=np.float32(1))
    return config.changed(parts={"inner": part})


def test_of_boxes_that_hold_no_face() -> None:
    model = synthetic_model(np.float32)
    part = replace(model, experts=model.experts[1:])
    model = replace(model, parts=(Part("inner", SHARED, SHARED, part),))
    image, truth = synthetic_face(1, np.float32)
    box = box_of(model, truth)
    x, y, width, height = box
    none = [box * np.nan, [x, y, np.inf, height], [0, 0, 0, 0], [x, y, width, -height]]
    lost = [[x, y, 1e-30, 1e-30], [x, y, 3, 3], [1e9, 0, width, height]]
    boxes = np.array([box, *none, *lost], np.float32)

    @jax.jit
    def slopes(boxes):
        def total(shapes, config):
            result = fit_batch(with_shape(model, *shapes), image, boxes, config)
            first = replace(result, status=jnp.where(jnp.arange(len(boxes)) == 0, result.status, -1))
            return usable_sum(first), result.status

        config = jax.tree.map(jnp.asarray, averaging())
        return jax.grad(total, (0, 1), has_aux=True)(shapes_of(model), config)

    alone, _ = slopes(np.array([box] * len(boxes), np.float32))
    found, status = slopes(boxes)
    kinds = Status.BOX_INVALID, Status.FACE_TOO_SMALL, Status.BOX_OUTSIDE
    expected = [Status.OK, *[kinds[0]] * len(none), *[kinds[1]] * 2, kinds[2]]
    assert [Status(s) for s in status.tolist()] == expected
    assert np.abs(found[1].box_correction).max() > 1e-6
    chex.assert_trees_all_close(found, alone, rtol=1e-3, atol=1e-5)


def test_of_starts_that_are_no_face() -> None:
    model = synthetic_model(np.float32)
    image, truth = synthetic_face(1, np.float32)
    off = [
        jax.tree.map(lambda a: jnp.full_like(a, jnp.nan), truth),
        replace(truth, shape=truth.shape.at[0].set(jnp.inf)),
        replace(truth, scale=jnp.zeros_like(truth.scale)),
        replace(truth, scale=-truth.scale),
        replace(truth, translation=truth.translation + 1e9),
    ]
    rows, same = (
        jax.tree.map(lambda *row: jnp.stack(row), *starts)
        for starts in ([truth, *off], [truth] * (1 + len(off)))
    )
    images = np.stack([image] * (1 + len(off)))

    @jax.jit
    def slopes(starts):
        def total(shapes, sigma):
            config = quick_config().changed(sigma=sigma)
            result = fit_batch_from(with_shape(model, *shapes), images, starts, config)
            first = replace(result, status=jnp.where(jnp.arange(len(images)) == 0, result.status, -1))
            return usable_sum(first), result.status

        return jax.grad(total, (0, 1), has_aux=True)(shapes_of(model), jnp.float32(1.5))

    alone, _ = slopes(same)
    found, status = slopes(rows)
    kinds = [Status.NOT_FINITE] * 2 + [Status.FACE_TOO_SMALL] * 2 + [Status.BOX_OUTSIDE]
    assert [Status(s) for s in status.tolist()] == [Status.OK, *kinds]
    assert abs(found[1]) > 1e-6
    chex.assert_trees_all_close(found, alone, rtol=1e-3, atol=1e-5)
