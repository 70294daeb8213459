"""What C does faster than XLA's programs on a CPU: response maps, and small systems of equations.

The library is compiled when the package is installed (hatch_build.py). Where it is missing, or the
environment variable JAXCLNF_NATIVE is 0, XLA computes all; so it does on other devices, in float64, and for
derivatives.
"""

from __future__ import annotations

import ctypes
import os
import warnings
from functools import cache
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

LIBRARY = Path(__file__).with_name("_native.so")
RESPONSE_MAPS, SOLVE = "jaxclnf_response_maps", "jaxclnf_solve"


KINDS = (jnp.float32, jnp.int32, jnp.bool_)
"""What C reads: numbers, indices, truth values. Images may hold anything."""

MOST_SIDE, MOST_PIXELS = 2**24, 2**31 - 1
"""Limits of an image: float32 tells no more columns apart, int32 counts no more pixels."""

MOST_WINDOW, MOST_SUPPORT = 181, 128


@cache
def missing() -> str:
    """Say why C is not called; empty where it is. From the first call on, XLA has its functions."""
    if os.environ.get("JAXCLNF_NATIVE") == "0":
        return "JAXCLNF_NATIVE is 0"
    if not LIBRARY.exists():
        return f"{LIBRARY.name} was not compiled when jaxclnf was installed"
    try:
        library = ctypes.CDLL(str(LIBRARY))
        for name in (RESPONSE_MAPS, SOLVE):
            jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(library[name]), platform="cpu")
    except (OSError, AttributeError, RuntimeError, ValueError) as error:
        # Another machine's library, or an XLA that calls in another way.
        return f"{LIBRARY.name} cannot be used here: {error}"
    return ""


def available() -> bool:
    """Whether the library is there and XLA takes it."""
    return not missing()


@cache
def _warn_once() -> None:
    """Say that C is missing, but to those who have left it out themselves."""
    if missing() and os.environ.get("JAXCLNF_NATIVE") != "0":
        warnings.warn(
            f"fits on CPUs take about twice as long as they could: {missing()}. Install jaxclnf anew where a "
            "C compiler or the package index can be reached, or set JAXCLNF_NATIVE=0 to be content with it.",
            RuntimeWarning,
            stacklevel=2,
        )


def export_checks() -> list[jax.export.DisabledSafetyCheck]:
    """The checks that `jax.export.export` leaves out, so that a CPU's program may call C.

    A process that runs such a program imports jaxclnf first, in the version that exported it.
    """
    return [jax.export.DisabledSafetyCheck.custom_call(name) for name in (RESPONSE_MAPS, SOLVE)]


def serves(*arrays: Num[Array, "..."] | Bool[Array, "..."]) -> bool:
    """Whether C can be called with arrays of these types, on the platforms that are CPUs."""
    _warn_once()
    return all(a.dtype in KINDS for a in arrays) and available()


def can_map(image_shape: tuple[int, ...], support: tuple[int, int], window: int) -> bool:
    """Whether `response_maps` takes images, neurons and windows of these sizes."""
    height, width = image_shape
    few_pixels = max(height, width) <= MOST_SIDE and 0 < height * width <= MOST_PIXELS
    square = support[0] == support[1] and 0 < support[0] <= MOST_SUPPORT
    return few_pixels and square and 0 < window <= MOST_WINDOW


def response_maps(
    images: Num[Array, "n_images height width"],
    base: Float[Array, "n_faces n_points 2"],
    img_from_ref: Float[Array, "n_faces 2 2"],
    view: Int[Array, " n_faces"],
    visibility: Bool[Array, "n_views n_points"],
    weights: Float[Array, "n_views n_points n_neurons support support"],
    norm_weights: Float[Array, "n_views n_points n_neurons"],
    bias: Float[Array, "n_views n_points n_neurons"],
    alpha: Float[Array, "n_views n_points n_neurons"],
    sigma_index: Int[Array, "n_views n_points"],
    sigma: Float[Array, "n_distinct window_area window_area"] | None = None,
    *,
    window: int,
) -> Float[Array, "n_faces n_points window window"]:
    """Response maps of faces, an equal number in a row on each image.

    Landmarks that a view cannot see get empty maps. The arrays are those of
    `jaxclnf.fitting.responses.MapFrame` and `jaxclnf.PatchExperts`; C looks at their types, sizes and
    indices, and refuses what does not fit.
    """
    pixels = images if images.dtype == jnp.uint8 else images.astype(jnp.float32)
    faces = pixels, base, img_from_ref, view
    experts = visibility, weights, norm_weights, bias, alpha, sigma_index
    shape = jax.ShapeDtypeStruct((*base.shape[:2], window, window), jnp.float32)
    return jax.ffi.ffi_call(RESPONSE_MAPS, shape)(*faces, *experts, *([] if sigma is None else [sigma]))


def solve(
    hessian: Float[Array, "*batch k k"], gradient: Float[Array, "*batch k"]
) -> Float[Array, "*batch k"]:
    """Solutions of symmetric positive definite systems, by elimination without pivoting."""
    shape = jax.ShapeDtypeStruct(gradient.shape, jnp.float32)
    return jax.ffi.ffi_call(SOLVE, shape, vmap_method="broadcast_all")(hessian, gradient)


missing()  # so that stored programs find C's functions
