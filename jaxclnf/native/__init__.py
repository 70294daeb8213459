"""C for CPUs, where it is faster than XLA's programs: response maps, networks, small systems of equations.

The library is compiled when the package is installed (hatch_build.py). Where it is missing, or the
environment variable JAXCLNF_NATIVE is 0, XLA computes everything, as it does on other devices, in float64,
and for derivatives.
"""

from __future__ import annotations

import ctypes
import os
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

LIBRARY = Path(__file__).with_name("_native.so")
RESPONSE_MAPS, SOLVE, MOMENTS = FUNCTIONS = (
    "jaxclnf_response_maps",
    "jaxclnf_solve",
    "jaxclnf_map_moments",
)

KINDS = (jnp.float32, jnp.int32, jnp.bool_)
"""Dtypes that C reads: numbers, indices, truth values. Images may be of any dtype."""

MOST_SIDE, MOST_PIXELS = 2**24, 2**31 - 1
"""Limits of an image: float32 cannot tell more columns apart, int32 cannot count more pixels."""

MOST_WINDOW, MOST_SUPPORT = 181, 128

MOST_LEVELS, MOST_LAYERS, MOST_PICTURE, MOST_BLOCKS = 8, 128, 512, 16
WHOLE_CHANNELS, MOST_CHANNELS = 16, 4096
"""Limits of a network: levels, layers, pixels of a picture's side, blocks of a level; channels, which come in
multiples of the former of the two."""


@cache
def missing() -> str:
    """Say why C is not called; empty if it is. The first call registers its functions with XLA."""
    if os.environ.get("JAXCLNF_NATIVE") == "0":
        return "JAXCLNF_NATIVE is 0"
    if not LIBRARY.exists():
        return f"{LIBRARY.name} was not compiled when jaxclnf was installed"
    try:
        library = ctypes.CDLL(str(LIBRARY))
        for name in FUNCTIONS:
            jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(library[name]), platform="cpu")
    except (OSError, AttributeError, RuntimeError, ValueError) as error:
        # The library is another machine's, or this XLA calls functions in another way.
        return f"{LIBRARY.name} cannot be used here: {error}"
    return ""


def available() -> bool:
    """Tell whether the library is there and XLA can call it."""
    return not missing()


@cache
def _warn_once() -> None:
    """Warn that C is missing, unless the user has turned it off."""
    if missing() and os.environ.get("JAXCLNF_NATIVE") != "0":
        warnings.warn(
            f"fits on CPUs take about three times as long as they could: {missing()}. Install jaxclnf anew "
            "where a C compiler or the package index can be reached, or set JAXCLNF_NATIVE=0 to be content.",
            RuntimeWarning,
            stacklevel=2,
        )


def export_checks() -> list[jax.export.DisabledSafetyCheck]:
    """List the checks that `jax.export.export` has to leave out so that a CPU's program may call C.

    A process that runs such a program imports jaxclnf first, in the version that exported it.
    """
    return [jax.export.DisabledSafetyCheck.custom_call(name) for name in FUNCTIONS]


def serves(*arrays: Num[Array, "..."] | Bool[Array, "..."]) -> bool:
    """Tell whether C can be called with arrays of these types, on CPUs."""
    _warn_once()
    return all(a.dtype in KINDS for a in arrays) and available()


def can_map(image_shape: tuple[int, ...], support: tuple[int, int], window: int) -> bool:
    """Tell whether `response_maps` takes images, neurons and windows of these sizes."""
    square = support[0] == support[1] and 0 < support[0] <= MOST_SUPPORT
    return _can_count(image_shape) and square and 0 < window <= MOST_WINDOW


def _can_count(image_shape: tuple[int, ...]) -> bool:
    height, width = image_shape
    return max(height, width) <= MOST_SIDE and 0 < height * width <= MOST_PIXELS


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
    """Compute response maps of faces, an equal number in a row on each image.

    Landmarks that a view cannot see get empty maps. The arrays are those of
    `jaxclnf.fitting.map_frames.MapFrame` and `jaxclnf.PatchExperts`; C checks their types, sizes and indices,
    and refuses those that do not fit.
    """
    pixels = images if images.dtype == jnp.uint8 else images.astype(jnp.float32)
    faces = pixels, base, img_from_ref, view
    experts = visibility, weights, norm_weights, bias, alpha, sigma_index
    shape = jax.ShapeDtypeStruct((*base.shape[:2], window, window), jnp.float32)
    return jax.ffi.ffi_call(RESPONSE_MAPS, shape)(*faces, *experts, *([] if sigma is None else [sigma]))


def solve(
    hessian: Float[Array, "*batch k k"], gradient: Float[Array, "*batch k"]
) -> Float[Array, "*batch k"]:
    """Solve symmetric positive definite systems by elimination without pivoting."""
    shape = jax.ShapeDtypeStruct(gradient.shape, jnp.float32)
    return jax.ffi.ffi_call(SOLVE, shape, vmap_method="broadcast_all")(hessian, gradient)


def can_see(
    image_shape: tuple[int, ...], kernels: Sequence[tuple[int, ...]], blocks: Sequence[int], side: int
) -> bool:
    """Tell whether `map_moments` takes images and kernels of these shapes and pictures of ``side`` pixels.

    ``blocks`` are the residual blocks of each level, down and then up again.
    """
    n_down = (len(blocks) + 1) // 2
    entering = [4] * n_down + [1] * (n_down - 1)
    of_levels = [n for first, more in zip(entering, blocks, strict=True) for n in (first, *[3] * (2 * more))]
    return (
        _can_count(image_shape)
        and 1 < n_down <= MOST_LEVELS
        and max(blocks) <= MOST_BLOCKS
        and len(kernels) <= MOST_LAYERS
        and [shape[0] for shape in kernels] == [6, *of_levels, 1]
        and not any(shape[-1] % WHOLE_CHANNELS for shape in kernels[:-1])
        and max(shape[-1] for shape in kernels) <= MOST_CHANNELS
        and not side % 2 ** (n_down + 1)
        and side <= MOST_PICTURE
    )


def map_moments(
    images: Num[Array, "n_images height width"],
    centre: Float[Array, "n_looks 2"],
    img_from_ref: Float[Array, "n_looks 2 2"],
    blocks: Sequence[int],
    layers: Sequence[tuple[Float[Array, "_ _ _ _"], Float[Array, " _"]]],
    *,
    side: int,
    n_ways: int,
) -> Float[Array, "n_looks n_ways n_points 5"]:
    """Compute moments of response maps of pictures of ``side`` pixels, with equally many looks at each image.

    ``layers`` are kernels and biases in the order in which the network applies them. The second of two ways
    is the mirrored picture. The moments are those of `jaxclnf.ops.conv_network.network_moments`.
    """
    pixels = images if images.dtype == jnp.uint8 else images.astype(jnp.float32)
    shape = jax.ShapeDtypeStruct((len(centre), n_ways, layers[-1][1].size // 4, 5), jnp.float32)
    form = jnp.array([side, *blocks], jnp.int32)
    flat = [array for layer in layers for array in layer]
    return jax.ffi.ffi_call(MOMENTS, shape)(pixels, centre, img_from_ref, form, *flat)


missing()  # so that stored programs find C's functions
