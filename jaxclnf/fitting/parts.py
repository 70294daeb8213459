"""Parts of a face, fitted after the whole: OpenFace's hierarchical refinement.

Source: OpenFace's `CLNF::DetectLandmarks`.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxclnf.fitting.pose import OPENFACE, OPENFACE2, Search, params_from_landmarks, params_near
from jaxclnf.fitting.stages import Tries, fit_tries, has_pixels, likeliest, over_tries, scores, where
from jaxclnf.ops.shape import shape_2d
from jaxclnf.types import PDM, FaceParams, FitConfig, Model, Part, PartFit


def best_tries(
    model: Model, images: Array, tries: Tries, config: FitConfig, n_faces: int
) -> tuple[Tries, Float[Array, "n_faces n_points 2"], dict[str, PartFit]]:
    """The likeliest try of each face, a leading axis of all results, its landmarks and what its parts found.

    All tries that are left get those of the model's parts fitted first that ``config.parts`` names. A part's
    landmarks take the place of the whole's, whose parameters are found anew from all of them.
    """
    n_tries = tries.view.size // n_faces
    parts = [part for part in model.parts if part.name in config.parts]
    votes, fitted = jnp.zeros_like(tries.log_likelihood), {}
    landmarks = over_tries(partial(shape_2d, model.pdm))(tries.params)
    if parts:
        tries, landmarks, votes, fitted = _refined(model.pdm, images, tries, landmarks, parts, config)
    score = scores(model.pdm, tries, config, _if_all_vote(votes, n_tries))
    best = likeliest((tries, landmarks, fitted), score, n_tries, 1)
    best, best_landmarks, fitted = jax.tree.map(lambda a: a.reshape(n_faces, *a.shape[2:]), best)
    if config.temperature > 0 and n_tries > 1:
        by_face = landmarks.reshape(n_faces, n_tries, *landmarks.shape[2:]), score.reshape(n_faces, n_tries)
        best_landmarks = _averaged(*by_face, best_landmarks, config.temperature)
        params = jax.vmap(partial(params_near, model.pdm))(best_landmarks, best.params.rotation)
        best = best._replace(params=params)
    return best, best_landmarks, fitted


def _averaged(
    landmarks: Float[Array, "n_faces n_tries n_points 2"],
    score: Float[Array, "n_faces n_tries"],
    best: Float[Array, "n_faces n_points 2"],
    temperature: float,
) -> Float[Array, "n_faces n_points 2"]:
    """Means of a face's tries by their scores; those without a finite one keep out."""
    usable = jnp.isfinite(score) & jnp.isfinite(landmarks).all((-2, -1))
    weights = jax.nn.softmax(jnp.where(usable, score / temperature, -1e9), axis=1)
    found = jnp.where(usable[..., None, None], landmarks, 0)
    mean = jnp.einsum("fk,fkni->fni", weights, found)
    return jnp.where(usable.any(1)[:, None, None], mean, best)


def _refined(
    pdm: PDM, images: Array, tries: Tries, landmarks: Array, parts: list[Part], config: FitConfig
) -> tuple[Tries, Array, Array, dict[str, PartFit]]:
    """Tries and landmarks with their parts, what these think of them (NaN: too small), and the parts."""
    fitted: dict[str, PartFit] = {}
    merged, votes = landmarks, jnp.zeros_like(tries.log_likelihood)
    large = jnp.zeros_like(tries.too_small)
    rotations = tries.params.rotation
    near = params_near
    if config.on_pdm:
        near = partial(_as_openface, search=OPENFACE2 if config.as_openface2 else OPENFACE)
    for part in parts:
        settings = config.parts[part.name]
        enough = has_pixels(part.model.experts[0], tries.params, settings)
        starts = over_tries(partial(_start, part, near))(landmarks, rotations)
        fitted[part.name] = own = _fit_part(part, images, starts, enough, settings)
        if settings.merged:
            shared = own.landmarks[:, :, jnp.array(part.part_points)]
            merged = merged.at[:, :, jnp.array(part.main_points)].set(shared)
            votes = votes + jnp.where(enough, settings.vote * own.log_likelihood, jnp.nan)
            large |= enough
    # A part too small to be fitted follows the whole, and is heeded where another was fitted.
    large &= jnp.isfinite(merged).all((-2, -1))
    merged = where(large, merged, landmarks)
    refound = over_tries(partial(near, pdm))(merged, rotations)
    params = jax.tree.map(partial(where, large), refound, tries.params)
    if config.on_pdm:
        merged = over_tries(partial(shape_2d, pdm))(params)
    return tries._replace(params=params), merged, votes, fitted


def _as_openface(
    pdm: PDM, landmarks_img: Array, rotation: Array, visible: Array | None = None, *, search: Search
) -> FaceParams:
    """OpenFace's search in place of `params_near`: from the frontal face, and stopped a little early."""
    return params_from_landmarks(pdm, landmarks_img, visible, search)


def _start(
    part: Part,
    near: Callable[..., FaceParams],
    whole: Float[Array, "n_points 2"],
    rotation: Float[Array, "3"],
) -> FaceParams:
    """A part's parameters by the landmarks that it shares with the whole."""
    pdm, shared = part.model.pdm, jnp.array(part.part_points)
    visible = jnp.zeros(pdm.n_points, bool).at[shared].set(True)
    own = jnp.zeros((pdm.n_points, 2), whole.dtype).at[shared].set(whole[jnp.array(part.main_points)])
    return near(pdm, own, rotation, visible)


def _fit_part(
    part: Part, images: Array, starts: FaceParams, enough: Bool[Array, "n_images n_tries"], config: FitConfig
) -> PartFit:
    """A part of every try, fitted where ``enough`` pixels show it."""
    tries = fit_tries(part.model, images, starts, config)
    params = jax.tree.map(partial(where, enough), tries.params, starts)
    found = over_tries(partial(shape_2d, part.model.pdm))(params)
    return PartFit(found, params, tries.log_likelihood)


def _if_all_vote(votes: Float[Array, "n_images n_tries"], n_tries: int) -> Float[Array, "n_images n_tries"]:
    """Votes count where every try of the face has one: likelihoods are compared of the same parts alone."""
    by_face = votes.reshape(-1, n_tries)
    comparable = jnp.isfinite(by_face).all(1, keepdims=True)
    return jnp.where(comparable, by_face, 0).reshape(votes.shape)
