"""Whether images are grey from 0 to 255, as far as a look at their pixels tells."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Num

MOST_GREY = 512
"""Grey beyond which an image is surely not of 8 bits; noise and interpolation may go beyond 255."""


def check_brightness(images: object, known: bool = False) -> None:
    """Raise ValueError for grey from 0 to 1, in an image or in all of several, or far beyond 255.

    Those in this host's memory are looked at: a sample of the pixels, and all of them where it is dark.
    Images of floats up to 1 are only dark if another one of the call is brighter, if their range is ``known``
    from others, or if they hold whole numbers. These, and all up to 1 elsewhere and within JAX's functions,
    end as `Status.TOO_DARK`.
    """
    given: Any = images if isinstance(images, list | tuple) else (images,)
    # Those of 8 bits are not looked at, which would wait for JAX to compute them.
    deep = [np.asarray(each) for each in given if _is_grey_here(each) and each.dtype.itemsize > 1]
    for each in deep:
        _check_most(each)
    floats = [each for each in deep if jnp.issubdtype(each.dtype, jnp.floating)]
    if floats and not known and not any(map(is_bright, given)):
        _refuse_fractions(floats)


def is_bright(image: object) -> bool:
    """Tell whether an image, or one of a stack, is brighter than 1, as far as it can be looked at."""
    if not _is_grey_here(image):
        return False
    pixels = np.asarray(image)
    return bool((_sample(pixels) > 1).any() or (pixels > 1).any())


def is_real(dtype: Any) -> bool:
    """Tell the types of real numbers, those of JAX's own, too; truth values are none."""
    return jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)


def from_0_to_1(images: Num[Array, "*n_images height width"]) -> Bool[Array, "*n_images"]:
    """Tell images of floats from 0 to 1; black ones may be of any range."""
    most = images.max((-2, -1))
    return (most > 0) & (most <= 1) & jnp.issubdtype(images.dtype, jnp.floating)


def _is_grey_here(image: Any) -> bool:
    """Tell images of real numbers in this host's memory, in one piece."""
    if isinstance(image, Tracer) or not isinstance(image, np.ndarray | jax.Array):
        return False
    if isinstance(image, jax.Array) and [d.platform for d in image.sharding.device_set] != ["cpu"]:
        return False
    return is_real(image.dtype) and image.ndim in (2, 3) and image.size > 0


def _sample(images: np.ndarray) -> np.ndarray:
    return images[..., ::16, ::16]


def _check_most(images: np.ndarray) -> None:
    if MOST_GREY < (most := float(_sample(images).max((-2, -1)).max())) < np.inf:
        raise ValueError(f"expected grey from 0 to 255; got {images.dtype} up to {most:.5g}: scale it to 255")


def _refuse_fractions(dark: list[np.ndarray]) -> None:
    """Raise ValueError for the first of images up to 1 that hold other than whole numbers."""
    for images in dark:
        most = images.max((-2, -1))
        pixels = images[(most > 0) & (most <= 1)].astype(np.float64)
        if (pixels != np.rint(pixels)).any():
            found = f"{images.dtype} up to {pixels.max():.4g}"
            raise ValueError(f"expected grey from 0 to 255; got {found}: multiply it by 255")
