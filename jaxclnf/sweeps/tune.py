"""Learning settings by gradient descent on the mean landmark error, differentiated through the whole fit.

The derivative is that of the iterations as they ran (unrolled): they stop after a few steps, far
from convergence, so the derivative of the fixed point would answer another question. It ignores that another
start might win, another view be nearest or a step be clamped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logit
from jaxtyping import Array, Float

from jaxclnf.config import FitConfig, setting
from jaxclnf.fitting.fit import fit_batch
from jaxclnf.sweeps.sweep_faces import Canvases
from jaxclnf.types import Model

POSITIVE = ("reg_factor", "sigma", "weight_factor", "landmark_weights", "mode_stiffness")
"""Positive settings, which are learned by their logarithm, those of a single stage or of a part, too."""

SHARES = ("anchor", "freedom")
"""Settings from 0 to 1, which are learned by the logarithm of their odds."""

LOST = 12.0
"""Percent; faces with larger errors do not contribute to the gradient."""

Free = dict[str, Float[Array, "..."]]
"""The learned values, any numbers, by the names of their settings; `with_learned` makes settings of them."""


def face_errors(model: Model, photos: Canvases, config: FitConfig) -> Float[Array, " n_faces"]:
    """Compute each face's mean landmark error, percent of the eye distance, differentiable by ``config``."""
    dtype = model.pdm.mean.dtype
    landmarks = fit_batch(model, photos.canvases, photos.boxes, config).landmarks
    squares = jnp.sum((landmarks - jnp.asarray(photos.points, dtype)) ** 2, axis=-1)
    # The root's derivative at zero would be infinite.
    distances = jnp.sqrt(squares + jnp.finfo(dtype).eps)
    return 100 * distances.mean(-1) / jnp.asarray(photos.eye_distances, dtype)


def freed(config: FitConfig, names: Sequence[str], sizes: dict[str, int] | None = None) -> Free:
    """Collect the settings to learn; those in ``sizes`` get a value for every landmark or mode."""
    values = {name: np.asarray(setting(config, name)) for name in names}
    for name, size in (sizes or {}).items():
        values[name] = np.broadcast_to(values[name], size)
    return {name: _as_any_number(name, jnp.asarray(value)) for name, value in values.items()}


def with_learned(config: FitConfig, free: Free) -> FitConfig:
    """Put the learned values into the settings."""
    return config.changed({name: _as_setting(name, value) for name, value in free.items()})


def _as_any_number(name: str, value: Array) -> Array:
    """Convert a setting's values to numbers that any step may change."""
    if _own_name(name) in POSITIVE:
        return jnp.log(value)
    return logit(value) if _own_name(name) in SHARES else value


def _as_setting(name: str, number: Array) -> Array:
    """Convert what was learned back: the inverse of `_as_any_number`."""
    if _own_name(name) in POSITIVE:
        return jnp.exp(number)
    return jax.nn.sigmoid(number) if _own_name(name) in SHARES else number


def _own_name(name: str) -> str:
    """Give a setting's name without part and number of its stage: ``sigma`` of ``parts.inner.sigma.0``."""
    return [word for word in name.split(".") if not word.isdecimal()][-1]


def loss(free: Free, model: Model, photos: Canvases, config: FitConfig) -> Float[Array, ""]:
    """Compute the mean error, in which lost faces count as `LOST` and have no gradient."""
    return jnp.minimum(face_errors(model, photos, with_learned(config, free)), LOST).mean()


def tune(
    model: Model,
    photos: Canvases,
    config: FitConfig,
    free: Free,
    steps: int,
    batch: int = 8,
    learning_rate: float = 0.05,
    seed: int = 0,
    report: Callable[[int, float, Free], None] = lambda step, error, free: None,
) -> Free:
    """Learn settings on faces drawn anew for each step; ``report`` is told of every step."""
    import optax

    optimiser = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    state = optimiser.init(free)
    gradient = jax.jit(jax.value_and_grad(loss))
    rng = np.random.default_rng(seed)
    for step in range(steps):
        drawn = rng.choice(len(photos.boxes), batch, replace=False)
        error, slope = gradient(free, model, Canvases(*(a[drawn] for a in photos)), config)
        updates, state = optimiser.update(slope, state)
        free = optax.apply_updates(free, updates)  # type: ignore[assignment]
        report(step, float(error), free)
    return free
