"""Learning a PDM from made-up faces whose 3D shapes are known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclnf.fitting.face_params import params_from_landmarks
from jaxclnf.ops.rotation import euler_to_matrix
from jaxclnf.training.pdm import learn_pdm, mirrored
from jaxclnf.types import PDM

MIRROR = (1, 0, 3, 2, 5, 4, 7, 6, 8, 9, 10, 11, 13, 12)
# Pairs of eye corners, mouth corners, jaw and brows; nose tip, nose bridge, lips, chin; cheeks
HALF = [(45, -35, 5), (25, 30, 0), (65, 0, 50), (55, -60, 5), (50, 15, 20)]
MIDDLE = [(0, 0, -40), (0, -30, -12), (0, 25, -25), (0, 75, -5)]


def made_up_mean():
    pairs = [(side * x, y, z) for x, y, z in HALF[:4] for side in (-1, 1)]
    cheeks = [(side * HALF[4][0], *HALF[4][1:]) for side in (-1, 1)]
    mean = np.array([*pairs, *MIDDLE, *cheeks], float)
    return mean - mean.mean(axis=0)


def rigid_motions(mean):
    """Moves, turns and scaling of the mean as columns."""
    axes = np.eye(3)
    motions = [np.broadcast_to(a, mean.shape) for a in axes] + [np.cross(a, mean) for a in axes] + [mean]
    return np.stack([m.ravel() for m in motions], axis=1)


def made_up_modes(mean):
    """Three symmetric, orthonormal modes without rigid motion."""
    raw = np.random.default_rng(5).normal(size=(3, *mean.shape))
    raw = raw + raw[:, list(MIRROR)] * [-1, 1, 1]
    columns = np.hstack([rigid_motions(mean), raw.reshape(3, -1).T])
    return np.linalg.qr(columns)[0][:, 7:].reshape(*mean.shape, 3)


def made_up_faces(n=120, noise=0.2):
    """Landmarks of random faces at random poses, with what made them."""
    rng = np.random.default_rng(1)
    mean = made_up_mean()
    basis, deviations = made_up_modes(mean), np.array([14.0, 9.0, 6.0])
    coefficients = rng.normal(size=(n, 3)) * deviations
    euler = np.radians(rng.normal(size=(n, 3)) * [10, 18, 8]).astype(np.float32)
    rotations = np.asarray(jax.vmap(euler_to_matrix)(jnp.asarray(euler)))
    shapes = mean + np.einsum("pim,nm->npi", basis, coefficients)
    scales = rng.uniform(0.5, 3, (n, 1, 1))
    points = scales * np.einsum("nki,npi->npk", rotations[:, :2], shapes) + rng.uniform(50, 400, (n, 1, 2))
    points += scales * rng.normal(size=points.shape) * noise
    return points.astype(np.float32), mean, basis, deviations, euler


@pytest.fixture(scope="module")
def learned():
    points, *truth = made_up_faces()
    eyes = np.linalg.norm(points[:, 0] - points[:, 1], axis=1)
    steps = []
    pdm = learn_pdm(
        points, 3, MIRROR, eyes, steps=30, on_step=lambda done, total: steps.append((done, total))
    )
    return pdm, points, truth, steps


def test_mean_shape_is_recovered_in_millimetres(learned):
    pdm, _, (mean, *_), _ = learned
    np.testing.assert_allclose(np.asarray(pdm.mean), mean, atol=2.5)


def test_modes_and_their_variances_are_recovered(learned):
    """But for rigid motion, of which a mode may hold any amount: pose makes up for it."""
    pdm, _, (mean, basis, deviations, _), _ = learned
    scaled = (np.asarray(pdm.basis) * np.sqrt(pdm.eigenvalues)).reshape(-1, 3)
    rigid = np.linalg.qr(rigid_motions(mean))[0]
    modes, found, _ = np.linalg.svd(scaled - rigid @ (rigid.T @ scaled), full_matrices=False)
    cosines = np.linalg.svd(basis.reshape(-1, 3).T @ modes, compute_uv=False)
    assert cosines.min() > 0.95
    np.testing.assert_allclose(found, deviations, rtol=0.2)


def test_basis_is_orthonormal_and_sorted(learned):
    pdm, *_ = learned
    flat = np.asarray(pdm.basis).reshape(-1, 3)
    np.testing.assert_allclose(flat.T @ flat, np.eye(3), atol=1e-5)
    assert (np.diff(pdm.eigenvalues) <= 0).all()


def test_mirror_images_of_the_mean_agree(learned):
    pdm, *_ = learned
    mean = np.asarray(pdm.mean)
    np.testing.assert_allclose(mean[list(MIRROR)] * [-1, 1, 1], mean, atol=1e-3)


def test_yaw_of_faces_is_recovered(learned):
    pdm, points, (*_, euler), _ = learned
    params = jax.jit(jax.vmap(params_from_landmarks, (None, 0)))(pdm, points)
    off = np.degrees(np.abs(np.asarray(params.rotation)[:, 1] - euler[:, 1]))
    assert np.median(off) < 2
    assert np.corrcoef(np.asarray(params.rotation)[:, 1], euler[:, 1])[0, 1] > 0.97


def test_progress_counts_every_step(learned):
    *_, steps = learned
    assert [done for done, _ in steps] == list(range(1, steps[0][1] + 1))


def test_without_mirror_table_and_eye_distance():
    points, mean, *_ = made_up_faces(240)
    pdm = learn_pdm(points, 3, steps=30)
    learned = np.asarray(pdm.mean)
    np.testing.assert_allclose(np.sqrt((learned[:, :2] ** 2).sum(axis=1).mean()), 50, rtol=1e-5)
    scale = 50 / np.sqrt((mean[:, :2] ** 2).sum(axis=1).mean())
    np.testing.assert_allclose(learned, scale * mean, atol=6)


def test_mirrored_faces_of_a_symmetric_face_are_the_face():
    face = made_up_mean()[None, :, :2]
    np.testing.assert_allclose(mirrored(face, MIRROR), face)


@pytest.mark.parametrize(
    ("faces", "landmarks", "modes", "message"),
    [(50, 3, 1, "3 landmarks cannot"), (50, 5, 9, "cannot carry 9"), (10, 14, 3, "10 faces are too few")],
)
def test_too_little_data_says_so(faces, landmarks, modes, message):
    with pytest.raises(ValueError, match=message):
        learn_pdm(np.zeros((faces, landmarks, 2), np.float32), modes)


def test_result_is_a_float32_pdm(learned):
    pdm, *_ = learned
    assert isinstance(pdm, PDM)
    assert {a.dtype for a in jax.tree.leaves(pdm)} == {np.dtype(np.float32)}
