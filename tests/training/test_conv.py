"""Networks learn from annotated faces, and the first teaches those after it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import synthetic_model

from jaxclnf.data.datasets import read_faces
from jaxclnf.fitting.pose import landmarks, params_from_box
from jaxclnf.training.conv.recipe import ConvRecipe
from jaxclnf.training.conv.train import train_networks

TINY = ConvRecipe(side=32, stem=8, channels=(8, 12), blocks=(1, 1), steps=120, batch=8, rate=5e-3)


@pytest.fixture
def faces(tmp_path):
    """Photos with a bright spot at every landmark of the synthetic model's mean face."""
    model, points = synthetic_model(np.float32), []
    for i in range(6):
        box = np.array([30 + 3 * i, 40 - 2 * i, 90, 90], np.float32)
        points.append(
            np.asarray(landmarks(model, params_from_box(model.pdm, jnp.asarray(box), jnp.zeros(3))))
        )
        photo = np.full((160, 160), 40, np.uint8)
        for x, y in points[-1]:
            cv2.circle(photo, (round(float(x)), round(float(y))), 3, 220, -1)
        cv2.imwrite(str(tmp_path / f"{i}.png"), photo)
    np.savez(tmp_path / "points.npz", names=[f"{i}.png" for i in range(6)], points=np.stack(points))
    n_points = model.pdm.n_points
    return replace(read_faces([tmp_path], n_points), mirror=tuple(range(n_points)))


def test_networks_learn_and_their_checkpoints_go(faces, tmp_path) -> None:
    model, told = synthetic_model(np.float32), []
    recipes = {"large": TINY, "conv": replace(TINY, seed=1)}
    with jax.numpy_dtype_promotion("standard"):  # optax counts steps in integers
        made = train_networks(faces, model.pdm, recipes, tmp_path / "m.npz", "run", told.append)
    assert [len(jax.tree.leaves(e.network)) > 0 for e in made] == [True, True]
    assert not list(tmp_path.glob("*.checkpoint.npz"))
    for name in recipes:
        own = [progress for progress in told if progress.name == name]
        assert own[-1].step == own[-1].n_steps == TINY.steps
        first, last = (np.mean([p.loss for p in part]) for part in (own[:4], own[-4:]))
        assert last < first - 0.5
