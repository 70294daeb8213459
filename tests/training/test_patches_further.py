"""Patch experts that learn further: what they are made from, the warped faces, a short run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from shared_data import shared

import jaxclnf
from jaxclnf.data.datasets import Faces, read_faces
from jaxclnf.training.checkpoint import Checkpoint
from jaxclnf.training.neurons import experts_of, neurons_of, yaws_of
from jaxclnf.training.patch_recipe import Recipe
from jaxclnf.training.patches_further import finest_patches, patches_further
from jaxclnf.training.warped_crops import CroppedFaces, with_warped

SIDE = 320


def dotted(points: np.ndarray) -> np.ndarray:
    """A picture with a soft bright dot on each point."""
    away = np.mgrid[:SIDE, :SIDE][::-1, None] - points.T[:, :, None, None]
    return (255 * np.exp(-(away**2).sum(0) / 18).max(0)).astype(np.uint8)


def test_points_follow_what_they_lie_on() -> None:
    grid = np.stack(np.meshgrid(np.linspace(90, 230, 5), np.linspace(90, 230, 5)), -1).reshape(-1, 2)
    box = np.array([90.0, 90, 140, 140], np.float32)
    crops = CroppedFaces(dotted(grid)[None], grid[None].astype(np.float32), box[None])
    more = with_warped(crops, 6, seed=1)
    assert len(more.pixels) == 7
    np.testing.assert_array_equal(more.pixels[0], crops.pixels[0])
    moved = np.linalg.norm(more.points[1:] - grid[None], axis=-1)
    assert 1 < moved.mean() < 15
    y, x = np.mgrid[-4:5, -4:5]
    for pixels, points in zip(more.pixels[1:], more.points[1:], strict=True):
        for px, py in points:
            near = pixels[round(py) - 4 : round(py) + 5, round(px) - 4 : round(px) + 5].astype(float)
            weights = np.maximum(near - near.max() / 2, 0)
            found = (
                round(px) + (weights * x).sum() / weights.sum(),
                round(py) + (weights * y).sum() / weights.sum(),
            )
            assert np.hypot(found[0] - px, found[1] - py) < 1.0


def test_experts_are_made_again_of_their_neurons() -> None:
    model = jaxclnf.load_model()
    _, experts = finest_patches(model)
    mirror = model.experts[1].mirror
    again = experts_of(
        neurons_of(experts, mirror), float(experts.patch_scale), yaws_of(experts), mirror, max(experts.edges)
    )
    for name in ("weights", "norm_weights", "bias", "alpha", "betas", "patch_confidence", "view_centres"):
        np.testing.assert_allclose(getattr(again, name), getattr(experts, name), rtol=1e-5, atol=1e-6)


def test_experts_with_fields_of_their_own_are_refused() -> None:
    _, experts = finest_patches(jaxclnf.load_model())
    betas = np.array(experts.betas)
    betas[0, 3] *= 2
    with pytest.raises(ValueError, match="only patch experts that `jaxclnf train` has made"):
        neurons_of(replace(experts, betas=betas), None)


@pytest.fixture(scope="module")
def faces() -> Faces:
    return read_faces([shared("faces", "lfpw_train")]).take(np.arange(6))


def test_a_short_run_teaches_the_patch_experts_alone(faces: Faces, tmp_path: Path) -> None:
    model = jaxclnf.load_model()
    recipe = Recipe(warped=1, further_steps=2, batch=2)
    reports = []
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        taught = patches_further(model, faces, recipe, Checkpoint(tmp_path / "c.npz", "run"), reports.append)
        again = patches_further(model, faces, recipe, Checkpoint(tmp_path / "c.npz", "run"), reports.append)
    assert len(reports) == 1 and 1 < reports[0].error < 15
    place, before = finest_patches(model)
    _, after = finest_patches(taught)
    _, once_more = finest_patches(again)
    change = np.abs(np.asarray(after.weights) - np.asarray(before.weights))
    assert 0 < change.max() < 0.1
    for i, (old, new) in enumerate(zip(model.experts, taught.experts, strict=True)):
        assert (old is new) == (i != place)
    np.testing.assert_array_equal(once_more.weights, after.weights)


def test_without_a_network_there_is_nowhere_to_begin(faces: Faces, tmp_path: Path) -> None:
    model = jaxclnf.load_model()
    place, _ = finest_patches(model)
    stages = tuple(stage for stage in model.settings.stages if stage.scale == place)
    alone = replace(model, settings=replace(model.settings, stages=stages))
    with pytest.raises(ValueError, match="this model has none"):
        patches_further(alone, faces, Recipe(warped=0), Checkpoint(tmp_path / "c.npz", "run"), print)
