"""The choice among a face's tries: the likeliest, or the average of all, weighted by likelihood."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxclnf.config import FitConfig
from jaxclnf.fitting.face_params import params_near
from jaxclnf.fitting.parts import Refined
from jaxclnf.fitting.ranking import likeliest, scores
from jaxclnf.fitting.tries import Tries, taken, where
from jaxclnf.types import PDM, PartFit


class Chosen(NamedTuple):
    """The chosen try of each face; leading axis: faces."""

    best: Tries
    landmarks: Float[Array, "n_faces n_points 2"]
    parts: dict[str, PartFit]


def choose(pdm: PDM, refined: Refined, config: FitConfig, n_faces: int) -> Chosen:
    """Take each face's likeliest try; with a ``temperature`` its landmarks are the average of all tries'."""
    tries, landmarks, votes, parts = refined
    n_tries = tries.view.size // n_faces
    score = scores(pdm, tries, config, _if_all_vote(votes, n_tries))
    best = likeliest((tries, landmarks, parts), score, n_tries, 1)
    chosen = Chosen(*jax.tree.map(lambda a: a.reshape(n_faces, *a.shape[2:]), best))
    if config.on_pdm and not config.as_openface2:
        own = {name: _as_openface(part, tries.log_likelihood, n_tries) for name, part in parts.items()}
        chosen = chosen._replace(parts=own)
    if config.temperature == 0 or n_tries == 1:
        return chosen
    by_face = landmarks.reshape(n_faces, n_tries, *landmarks.shape[2:]), score.reshape(n_faces, n_tries)
    mean, found = _averaged(*by_face, chosen.landmarks, config.temperature)
    own = chosen.best.params
    params = jax.vmap(partial(params_near, pdm))(mean, own.rotation)
    params = jax.tree.map(partial(where, found), params, own)  # where no try got anywhere, none is averaged
    return Chosen(chosen.best._replace(params=params), mean, chosen.parts)


def _as_openface(part: PartFit, whole: Float[Array, "n_images n_tries"], n_tries: int) -> PartFit:
    """Choose a part's try as OpenFace's 2016 release does, which need not be the face's.

    It is the first try, or the last whose likelihood is above that of the likeliest whole face so far.
    """
    best = jax.lax.cummax(whole.reshape(-1, n_tries), axis=1)
    above = (part.log_likelihood.reshape(-1, n_tries) > best).at[:, 0].set(True)
    last = n_tries - 1 - jnp.argmax(above[:, ::-1], axis=1)
    own = taken(part, last[:, None].astype(jnp.int32), n_tries)
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), own)


def _averaged(
    landmarks: Float[Array, "n_faces n_tries n_points 2"],
    score: Float[Array, "n_faces n_tries"],
    best: Float[Array, "n_faces n_points 2"],
    temperature: float,
) -> tuple[Float[Array, "n_faces n_points 2"], Bool[Array, " n_faces"]]:
    """Average a face's tries, weighted by their scores; those without a finite score are left out.

    Tells of which faces any are left; the others have their ``best`` landmarks.
    """
    usable = jnp.isfinite(score) & jnp.isfinite(landmarks).all((-2, -1))
    weights = jax.nn.softmax(jnp.where(usable, score / temperature, -1e9), axis=1)
    found = jnp.where(usable[..., None, None], landmarks, 0)
    mean = jnp.einsum("fk,fkni->fni", weights, found)
    return jnp.where(usable.any(1)[:, None, None], mean, best), usable.any(1)


def _if_all_vote(votes: Float[Array, "n_images n_tries"], n_tries: int) -> Float[Array, "n_images n_tries"]:
    """Drop the votes of faces of which a try has none, since only likelihoods of the same parts compare."""
    by_face = votes.reshape(-1, n_tries)
    comparable = jnp.isfinite(by_face).all(1, keepdims=True)
    return jnp.where(comparable, by_face, 0).reshape(votes.shape)
