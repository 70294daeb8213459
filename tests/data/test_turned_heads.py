"""Heads on photos turned out of the image: where landmarks go, what hides them, and what is seen."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from portrait_face import face_part

import jaxclnf
from jaxclnf.data import turned_heads
from jaxclnf.data.markup import LANDMARKS_68
from jaxclnf.data.turned_heads import SolidHead, solid_head
from jaxclnf.fitting.face_params import params_from_landmarks

SIDE = 240
FAR_EYE, NEAR_EYE = 39, 42  # of one who turns to the left of the picture
"""Inner corners: the far one lies behind the nose."""


@pytest.fixture(scope="module")
def model() -> jaxclnf.Model:
    return jaxclnf.load_model()


@pytest.fixture(scope="module")
def head(model) -> SolidHead:
    """Grace Hopper's, on a round part of her photo."""
    part, points = face_part(model, SIDE)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    return solid_head(part, (np.hypot(x, y) < 115).astype(np.float32), points, model.pdm)


def test_a_head_that_is_not_turned_is_as_it_was(head) -> None:
    seen = head.turned(0.0)
    np.testing.assert_allclose(seen.points, head.points[:, :2], atol=1e-6)
    np.testing.assert_allclose(seen.outline, seen.points, atol=0.75)  # pixels: the depth's own grid
    inside = (head.opacity == 1) & (seen.opacity > 0.99)
    assert inside.sum() > 0.95 * head.opacity.sum()
    assert np.median(np.abs(seen.picture - head.picture)[inside]) < 2.5
    assert seen.seen.mean() > 0.95


@pytest.mark.parametrize("yaw", [-0.9, -0.4, 0.5, 1.0])
def test_landmarks_turn_as_the_shape_model_does(model, head, yaw) -> None:
    before, after = (
        params_from_landmarks(model.pdm, jnp.asarray(points, jnp.float32))
        for points in (head.points[:, :2], head.turned(yaw).points)
    )
    assert float(after.rotation[1] - before.rotation[1]) == pytest.approx(yaw, abs=0.06)
    assert float(after.scale) == pytest.approx(float(before.scale), rel=0.03)


def test_the_far_half_is_hidden_and_the_near_one_seen(head) -> None:
    left, right = (head.turned(sign * 1.0) for sign in (1, -1))
    if left.points[30, 0] > right.points[30, 0]:  # the nose tells to which side a head looks
        left, right = right, left
    assert left.seen[NEAR_EYE] and not left.seen[FAR_EYE]
    assert right.seen[FAR_EYE] and not right.seen[NEAR_EYE]
    assert left.seen[10:17].all() and right.seen[:7].all()


def test_hidden_points_of_the_jaw_lie_on_the_outline(head) -> None:
    for seen in (head.turned(0.8), head.turned(-0.8)):
        moved = np.linalg.norm(seen.outline - seen.points, axis=1)
        assert moved[17:].max() == 0
        assert moved[:17].max() > 0.05 * head.width
        out = seen.outline[:17] - seen.points[:17]
        assert (out[:8, 0] <= 0).all() and (out[9:, 0] >= 0).all()


def test_a_mirrored_head_turns_the_other_way(model, head) -> None:
    other = solid_head(
        np.ascontiguousarray(head.picture[:, ::-1]),
        np.ascontiguousarray(head.opacity[:, ::-1]),
        np.stack([SIDE - 1 - head.points[:, 0], head.points[:, 1]], -1)[list(LANDMARKS_68.mirror)],
        model.pdm,
    )
    here, there = head.turned(0.7), other.turned(-0.7)
    both = (here.opacity > 0.99) & (there.opacity[:, ::-1] > 0.99)
    assert both.sum() > 0.9 * (here.opacity > 0.99).sum()
    assert np.median(np.abs(here.picture - there.picture[:, ::-1])[both]) < 8


@pytest.mark.parametrize("size", [(60, 61), (128, 100)])
def test_depths_lie_at_their_pixels(size: tuple[int, int]) -> None:
    """Depths that grow by one a pixel are found as they are, whatever pixels they are computed at."""
    height, width = size
    known = np.stack(np.meshgrid(np.linspace(0, width - 1, 12), np.linspace(0, height - 1, 12)), -1)
    known = known.reshape(-1, 2)
    points = np.array([[0.1 * width, 0.1 * height], [0.9 * width, 0.9 * height]])
    down, right = np.mgrid[:height, :width]
    middle = np.s_[height // 2 - 8 : height // 2 + 8, width // 2 - 8 : width // 2 + 8]
    for axis, expected in ((0, right), (1, down)):
        found = turned_heads._depth(known, known[:, axis], 0.0, points, size)
        np.testing.assert_allclose(found[middle], expected[middle], atol=0.1)
