"""Networks learn from annotated faces, and the first teaches those after it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import synthetic_model
from scipy.stats import multivariate_t

import jaxclnf
from jaxclnf.data.datasets import Faces, read_faces
from jaxclnf.fitting.face_params import landmarks, params_from_box
from jaxclnf.ops.certainty import FREEDOM
from jaxclnf.ops.conv_network import logits
from jaxclnf.training.checkpoint import checkpoint_of
from jaxclnf.training.conv import learned_spread as spread
from jaxclnf.training.conv.network_recipe import RECIPES, ConvRecipe
from jaxclnf.training.conv.normalisation import folded, network_logits
from jaxclnf.training.conv.training_run import train_networks, unlearned
from jaxclnf.training.conv.training_state import begin, begin_from
from jaxclnf.types import ConvExperts

HERE = Path(__file__).parents[2]
TINY = ConvRecipe(side=32, stem=8, channels=(8, 8), blocks=(1, 0), steps=120, batch=8, rate=5e-3)


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


def test_networks_learn_and_leave_checkpoints(faces, tmp_path) -> None:
    model, told = synthetic_model(np.float32), []
    recipes = {"large": TINY, "conv": replace(TINY, seed=1)}
    with jax.numpy_dtype_promotion("standard"):  # optax counts steps in integers
        made = train_networks(faces, model.pdm, recipes, tmp_path / "m.npz", "run", told.append)
    assert [len(jax.tree.leaves(e.network)) > 0 for e in made] == [True, True]
    assert all(checkpoint_of(tmp_path / "m.npz", name).exists() for name in recipes)
    for name in recipes:
        own = [progress for progress in told if progress.name == name]
        assert own[-1].step == own[-1].n_steps == TINY.steps
        first, last = (np.mean([p.loss for p in part]) for part in (own[:4], own[-4:]))
        assert last < first - 0.5


def test_what_was_measured_of_a_network_stays_while_it_learns_further(faces, tmp_path) -> None:
    model, recipe = synthetic_model(np.float32), replace(TINY, steps=1)
    new = unlearned(model.pdm, recipe, faces.mirror)
    known = replace(new, spread=jnp.float32(0.11), patch_scale=new.patch_scale * 1.0001, mirror=())
    with jax.numpy_dtype_promotion("standard"):
        (taught,) = train_networks(
            faces, model.pdm, {"conv": recipe}, tmp_path / "m.npz", "run", lambda _: None, {"conv": known}
        )
    assert (taught.spread, taught.patch_scale, taught.mirror) == (
        known.spread,
        known.patch_scale,
        faces.mirror,
    )


def test_a_network_that_learns_further_begins_as_it_was() -> None:
    """Before the first step, normalised by the pictures that it sees, it gives the maps that it gave."""
    network = begin(TINY, 5).kept.network
    pictures = jax.random.normal(jax.random.key(0), (4, 32, 32))
    state = begin_from(network, TINY, pictures)
    again = logits(folded(state.learned, state.statistics), pictures)
    np.testing.assert_allclose(again, logits(network, pictures), rtol=1e-3, atol=1e-4)
    found, _ = network_logits(state.learned, pictures)
    np.testing.assert_allclose(found, again, rtol=1e-3, atol=1e-4)


def test_the_recipe_of_a_network_is_known_by_its_size() -> None:
    model = jaxclnf.load_model()
    networks = [e for e in model.experts if isinstance(e, ConvExperts)]
    known = [[r.makes(n, model.pdm) for n in networks] for r in RECIPES.values()]
    assert known == np.eye(3, dtype=bool).tolist()
    for other in ({"side": 96}, {"reach": 1.6}, {"stem": 8}):
        assert not replace(RECIPES["conv"], **other).makes(networks[1], model.pdm)


def test_covariances_are_made_to_hold_what_they_say() -> None:
    """On faces whose landmarks are told off by what a spread of nine would say, it becomes nine."""
    model = jaxclnf.load_model()
    photo = jaxclnf.to_grey(jaxclnf.read_photo(HERE / "docs" / "grace_hopper.png"))
    box = np.array([[185, 110, 175, 175]], np.float32)
    once = jaxclnf.fit_faces(model, [photo], box)
    root = np.linalg.cholesky(once.covariance[0])
    errors = multivariate_t([0, 0], (FREEDOM - 2) / FREEDOM * np.eye(2), FREEDOM)
    off = np.einsum("nij,fnj->fni", 3 * root, errors.rvs((20, 68), random_state=0))
    faces = Faces((Path("photo.png"),) * 20, once.landmarks[0] + off)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spread, "fit_annotated", lambda *_: [jax.tree.map(lambda a: a[0], once)] * 20)
        learned = spread.with_learned_spread(model, faces)
    large, default, fast = (float(learned.experts[i].spread / model.experts[i].spread) for i in (1, 2, 3))
    assert default == pytest.approx(9, rel=0.1)
    assert large == fast == 1  # networks that did not look
