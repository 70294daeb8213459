"""Which of several starts to believe: the likelihood, or a calibration of it learned on faces. See README.md.

Fits every training face from five starts and lets choose among them: the likelihood, the truth, and linear
scores of the likelihood with other features, learned on three quarters of the faces and used on the fourth.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxclnf import FitConfig, convert_openface
from jaxclnf.data.datasets import read_faces
from jaxclnf.data.evaluate import point_errors
from jaxclnf.fitting.fit import fit_batch
from jaxclnf.sweeps.spec import Spec
from jaxclnf.sweeps.sweep_faces import Canvases, draw_photos

SHARED = Path(__file__).resolve().parents[3] / "shared"
N_FACES, BATCH, FOLDS = 240, 40, 4
STARTS = np.radians(np.array([[10, 0, 0], [10, 25, 0], [10, -25, 0], [0, 15, 0], [0, -15, 0]], np.float32))
LOST = 15.0  # percent
SHARPNESS = 6.0  # of the soft choice that is learned


def main() -> None:
    if not SHARED.exists():
        sys.exit("needs ../shared (OpenFace's model, annotated faces)")
    model = replace(convert_openface(SHARED / "openface" / "model" / "main_clnf_general.txt"), parts=())
    folders = tuple(SHARED / "faces" / name for name in ("lfpw_train", "helen_train"))
    photos = draw_photos(read_faces(folders), Spec(folders, (), faces=N_FACES, seed=0))
    config = FitConfig().changed(between_views=())
    tries = [fits(model, photos, config.changed(start_rotations=s[None])) for s in STARTS]
    result = jax.tree.map(lambda *a: np.stack(a, axis=1), *tries)  # faces, starts
    errors = np.stack(
        [point_errors(r.landmarks, photos.points, photos.eye_distances).mean(1) for r in tries], axis=1
    )
    likelihood = result.log_likelihood
    show("the first start alone", errors[:, 0])
    show("the likeliest", chosen(errors, likelihood))
    for name, features in sets_of_features(model, photos, result).items():
        show(f"learned: likelihood, {name}", cross_validated(features, errors))
    show("the truth chooses", errors.min(axis=1))


def fits(model, photos: Canvases, config: FitConfig):
    parts = [slice(i, i + BATCH) for i in range(0, len(photos.boxes), BATCH)]
    results = [jax.device_get(fit_batch(model, photos.canvases[s], photos.boxes[s], config)) for s in parts]
    return jax.tree.map(lambda *a: np.concatenate(a), *results)


def sets_of_features(model, photos: Canvases, result) -> dict[str, np.ndarray]:
    """Features of every try; the first is the likelihood."""
    likelihood = [3 * result.log_likelihood]
    views = list(np.moveaxis(np.eye(len(model.experts[0].view_centres))[result.view], -1, 0))
    prior = (result.params.shape**2 / np.asarray(model.pdm.eigenvalues)).sum(-1)
    size = np.log(result.params.scale / np.median(result.params.scale / photos.boxes[:, 2:].mean(1)[:, None]))
    size = size - np.log(photos.boxes[:, 2:].mean(1))[:, None]
    centre = photos.boxes[:, :2] + photos.boxes[:, 2:] / 2
    moved = np.sum(((result.params.translation - centre[:, None]) / photos.boxes[:, None, 2:]) ** 2, axis=-1)
    seen = result.landmark_likelihoods > -1
    logs = np.where(seen, np.log(np.maximum(result.landmark_likelihoods, 0) + 1e-8), 0)
    each = list(np.moveaxis(0.5 * logs, -1, 0))
    more = [prior / 30, np.log1p(prior), size, 5 * size**2, 5 * moved]
    sets = {
        "view": likelihood + views,
        "view, prior, size, movement": likelihood + views + more,
        "view, every landmark's": likelihood + views + each,
    }
    return {name: np.stack(features, axis=-1).astype(np.float32) for name, features in sets.items()}


def chosen(errors: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return errors[np.arange(len(errors)), scores.argmax(axis=1)]


def cross_validated(features: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Errors of the choices by scores that were learned without the face's own quarter."""
    fold = np.random.default_rng(0).permutation(len(errors)) % FOLDS
    found = np.zeros(len(errors))
    for k in range(FOLDS):
        weights = learned(features[fold != k], errors[fold != k])
        found[fold == k] = chosen(errors[fold == k], features[fold == k] @ weights)
    return found


@jax.jit
def learned(features: np.ndarray, errors: np.ndarray) -> jax.Array:
    """Weights that minimise the error expected under a soft choice; the likelihood alone is the start."""

    def loss(weights):
        share = jax.nn.softmax(SHARPNESS * (features @ weights), axis=1)
        return jnp.mean(jnp.sum(share * jnp.minimum(errors, LOST), axis=1)) + 1e-3 * jnp.sum(weights**2)

    optimiser = optax.adam(0.03)
    weights = jnp.zeros(features.shape[-1]).at[0].set(1.0)

    def step(state, _):
        weights, moments = state
        updates, moments = optimiser.update(jax.grad(loss)(weights), moments)
        return (optax.apply_updates(weights, updates), moments), None

    (weights, _), _ = jax.lax.scan(step, (weights, optimiser.init(weights)), length=400)
    return weights


def show(name: str, errors: np.ndarray) -> None:
    large = 100 * (errors > 10).mean()
    print(f"{name:<56}{errors.mean():.3f} / {np.median(errors):.3f} / {large:.1f} %", flush=True)


if __name__ == "__main__":
    main()
