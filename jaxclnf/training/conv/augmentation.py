"""Training pictures: disturbed frames, sampled faces, and the effects of cameras, light and occlusion."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from jaxclnf.ops.sample import bilinear
from jaxclnf.training.conv.network_recipe import ConvRecipe


class Crops(NamedTuple):
    """Faces on photos cropped to one size, with the frames that fits look at them in.

    A frame takes pixels about the picture's centre to the crop: ``x_img = frame[:, :2] x_ref + frame[:, 2]``.
    """

    pixels: UInt8[Array, "n_faces height width"]
    points: Float[Array, "n_faces n_points 2"]
    box_frames: Float[Array, "n_faces 2 3"]
    true_frames: Float[Array, "n_faces 2 3"]


class Lesson(NamedTuple):
    """Pictures (grey 0..255) and their landmarks in pixels of the picture."""

    pictures: Float[Array, "batch side side"]
    points: Float[Array, "batch n_points 2"]


def draw_lesson(crops: Crops, mirror: Int[Array, " n_points"], recipe: ConvRecipe, key: Array) -> Lesson:
    """Draw a batch of disturbed pictures of random faces, half of them mirrored."""
    k_face, k_frame, k_mirror, k_look = jax.random.split(key, 4)
    faces = jax.random.randint(k_face, (recipe.batch,), 0, len(crops.pixels))
    frames = _disturbed(crops, faces, recipe, k_frame)
    pictures, points = jax.vmap(_sampled, (0, 0, 0, None))(
        crops.pixels[faces], crops.points[faces], frames, recipe.side
    )
    turned = jax.random.bernoulli(k_mirror, shape=(recipe.batch,))
    pictures = jnp.where(turned[:, None, None], pictures[:, :, ::-1], pictures)
    other_side = jnp.stack([recipe.side - 1 - points[..., 0], points[..., 1]], -1)[:, mirror]
    points = jnp.where(turned[:, None, None], other_side, points)
    return Lesson(_weathered(pictures, recipe.clean, k_look), points)


def _disturbed(crops: Crops, faces: Array, recipe: ConvRecipe, key: Array) -> Float[Array, "batch 2 3"]:
    """Disturb frames: those of boxes widely, those of the truth a little."""
    keys = jax.random.split(key, 5)
    n = (recipe.batch,)
    boxed = jax.random.bernoulli(keys[0], recipe.from_box, n)
    frames = jnp.where(boxed[:, None, None], crops.box_frames[faces], crops.true_frames[faces])
    # A few boxes lie far off, so the distributions have heavier tails than a Gaussian.
    turn = jnp.where(boxed, 0.33, 0.08) * jnp.clip(jax.random.t(keys[1], 6.0, n), -3.0, 3.0)
    size = jnp.exp(jnp.where(boxed, 0.14, 0.05) * jnp.clip(jax.random.t(keys[2], 6.0, n), -2.5, 2.5))
    move = jnp.where(boxed, 0.055, 0.02)[:, None] * recipe.side
    move = move * jnp.clip(jax.random.t(keys[3], 6.0, (*n, 2)), -3.0, 3.0)
    cos, sin = size * jnp.cos(turn), size * jnp.sin(turn)
    spin = jnp.stack([jnp.stack([cos, -sin], -1), jnp.stack([sin, cos], -1)], -2)
    if recipe.stretch:
        wider = jnp.exp(recipe.stretch / 2 * jax.random.normal(jax.random.fold_in(key, 5), n))
        spin = spin * jnp.stack([wider, 1 / wider], -1)[:, None]
    shift = jnp.einsum("bij,bj->bi", frames[:, :, :2], move)
    return jnp.concatenate([frames[:, :, :2] @ spin, (frames[:, :, 2] + shift)[..., None]], -1)


def _sampled(image: Array, points: Array, frame: Array, side: int) -> tuple[Array, Array]:
    """Sample one face's picture, and express its points in it."""
    centre = (side - 1) / 2
    grid = jnp.arange(side, dtype=frame.dtype) - centre
    x = frame[0, 0] * grid[None] + frame[0, 1] * grid[:, None] + frame[0, 2]
    y = frame[1, 0] * grid[None] + frame[1, 1] * grid[:, None] + frame[1, 2]
    own = (points - frame[None, :, 2]) @ jnp.linalg.inv(frame[:, :2]).T + centre
    return bilinear(image[None], jnp.uint32(0), x, y), own


def _weathered(
    pictures: Float[Array, "batch side side"], clean: float, key: Array
) -> Float[Array, "batch side side"]:
    """Degrade pictures as bad cameras, light and occlusion do, but for the share ``clean``."""
    keys, before = jax.random.split(key, 6), pictures
    pictures = _hidden(pictures, keys[0])
    pictures = _lit(pictures, keys[1])
    blurred = _blurred(pictures, keys[2])
    often = jax.random.bernoulli(keys[3], 0.5, (len(pictures), 1, 1))
    pictures = jnp.where(often, blurred, pictures)
    strength = 7 * jax.random.exponential(keys[4], (len(pictures), 1, 1))
    pictures = pictures + jnp.minimum(strength, 30) * jax.random.normal(keys[5], pictures.shape)
    if not clean:
        return pictures
    left = jax.random.bernoulli(jax.random.fold_in(key, 6), clean, (len(pictures), 1, 1))
    return jnp.where(left, before, pictures)


def _hidden(pictures: Array, key: Array) -> Array:
    """Cover about half of the pictures with a rectangle of grey or of another face."""
    n, side = len(pictures), pictures.shape[1]
    keys = jax.random.split(key, 6)
    size = jax.random.uniform(keys[0], (n, 2), minval=side / 16, maxval=side / 2)
    middle = jax.random.uniform(keys[1], (n, 2), minval=0, maxval=side)
    grid = jnp.arange(side, dtype=jnp.float32)
    inside = jnp.abs(grid[None, None] - middle[..., None]) < size[..., None] / 2
    mask = inside[:, 1, :, None] & inside[:, 0, None, :]
    mask &= jax.random.bernoulli(keys[2], 0.55, (n, 1, 1))
    flat = jax.random.uniform(keys[3], (n, 1, 1), maxval=255)
    other = jnp.roll(jnp.roll(pictures, 1, 0), side // 3, 2)
    cover = jnp.where(jax.random.bernoulli(keys[4], 0.5, (n, 1, 1)), flat, other)
    return jnp.where(mask, cover, pictures)


def _lit(pictures: Array, key: Array) -> Array:
    """Change gamma and contrast, and add a gradient of light across the picture."""
    n, side = len(pictures), pictures.shape[1]
    keys = jax.random.split(key, 4)
    gamma = jnp.exp(0.4 * jax.random.normal(keys[0], (n, 1, 1)))
    grey = 255 * (jnp.clip(pictures, 0, 255) / 255 + 1e-4) ** gamma
    gain = jnp.exp(0.35 * jax.random.normal(keys[1], (n, 1, 1)))
    slope = 0.5 * jax.random.normal(keys[2], (n, 2, 1, 1))
    grid = jnp.linspace(-0.5, 0.5, side)
    light = jnp.exp(slope[:, 0] * grid[None, None] + slope[:, 1] * grid[None, :, None])
    shadow = 60 * jax.random.normal(keys[3], (n, 1, 1))
    return jnp.clip(gain * light * grey + jnp.minimum(shadow, 60), 0, 255)


def _blurred(pictures: Array, key: Array) -> Array:
    """Blur pictures by Gaussians, each of its own width in each direction."""
    widths = jax.random.uniform(key, (len(pictures), 2), minval=0.3, maxval=2.6)
    taps = jnp.arange(-6, 7, dtype=pictures.dtype)[None, None]
    kernels = jnp.exp(-(taps**2) / (2 * widths[..., None] ** 2))
    kernels = kernels / kernels.sum(-1, keepdims=True)
    side = pictures.shape[1]
    for axis in (1, 2):
        padding = [(0, 0)] * 3
        padding[axis] = (6, 6)
        wide = jnp.pad(pictures, padding, mode="edge")
        parts = [
            kernels[:, axis - 1, k, None, None] * jax.lax.slice_in_dim(wide, k, k + side, axis=axis)
            for k in range(taps.size)
        ]
        pictures = sum(parts[1:], parts[0])
    return pictures
