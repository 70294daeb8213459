"""Moments of the response maps that a convolutional expert makes from looks at images, by C or by XLA."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from jaxclnf import native
from jaxclnf.fitting.models_in_turn import in_turn
from jaxclnf.ops.conv_network import network_moments, normalised
from jaxclnf.ops.pyramid import pyramid, sample_picture
from jaxclnf.types import ConvLayer, ConvNetwork


@partial(jax.custom_jvp, nondiff_argnums=(4, 5))
def image_moments(
    network: ConvNetwork,
    images: Num[Array, "n_images height width"],
    centres: Float[Array, "n_images n_looks 2"],
    ways: Float[Array, "n_images n_looks 2 2"],
    side: int,
    n_ways: int,
) -> Float[Array, "n_images n_looks n_ways n_points 5"]:
    """Compute `jaxclnf.ops.conv_network.network_moments` of square pictures of ``side`` pixels of the images.

    Pictures lie around ``centres`` and are sampled by img_from_ref ``ways``; the second of two ways is the
    mirrored picture. On CPUs C computes this, if it is there. Derivatives are those of XLA's program.
    """
    seen = jax.custom_batching.custom_vmap(partial(_moments, side=side, n_ways=n_ways))
    seen.def_vmap(partial(_more_looks, seen))
    return seen(network, images, centres, ways)


@image_moments.defjvp
def _(side: int, n_ways: int, primals: Any, tangents: Any) -> Any:
    return jax.jvp(partial(_by_xla, side=side, n_ways=n_ways), primals, tangents)


def _moments(
    network: ConvNetwork, images: Array, centres: Array, ways: Array, side: int, n_ways: int
) -> Array:
    layers = _layers(network)
    served = native.serves(centres, ways, *jax.tree.leaves(network))
    kernels = [layer.kernel.shape for layer in layers]
    in_c = served and native.can_see(images.shape[1:], kernels, _blocks(network), side)
    on_cpu, elsewhere = (
        partial(f, side=side, n_ways=n_ways) for f in (_natively if in_c else _one_by_one, _by_xla)
    )
    return jax.lax.platform_dependent(network, images, centres, ways, cpu=on_cpu, default=elsewhere)


def _blocks(network: ConvNetwork) -> list[int]:
    """Residual blocks of each level, down and then up again."""
    return [len(level.blocks) for level in (*network.down, *network.up)]


def _layers(network: ConvNetwork) -> list[ConvLayer]:
    """Layers in the order in which the network applies them."""
    levels = (*network.down, *network.up)
    of_levels = [(level.enter, *(each for block in level.blocks for each in block)) for level in levels]
    return [network.stem, *(layer for level in of_levels for layer in level), network.head]


def _natively(
    network: ConvNetwork, images: Array, centres: Array, ways: Array, side: int, n_ways: int
) -> Array:
    layers = [(layer.kernel, layer.bias) for layer in _layers(network)]
    looks = images, centres.reshape(-1, 2), ways.reshape(-1, 2, 2)
    moments = native.map_moments(*looks, _blocks(network), layers, side=side, n_ways=n_ways)
    return moments.reshape(*centres.shape[:2], *moments.shape[1:])


def _by_xla(
    network: ConvNetwork,
    images: Array,
    centres: Array,
    ways: Array,
    side: int,
    n_ways: int,
    of_pictures: Any = network_moments,
) -> Array:
    levels = pyramid(images, centres.dtype)
    sample = jax.vmap(partial(sample_picture, levels, side=side), (None, 0, 0))
    pictures = jax.vmap(sample)(jnp.arange(len(images), dtype=jnp.int32), centres, ways)
    pictures = normalised(pictures.reshape(-1, side, side))
    both = jnp.stack([pictures, pictures[:, :, ::-1]][:n_ways], axis=1)
    moments = of_pictures(network, both.reshape(-1, side, side))
    return moments.reshape(*centres.shape[:2], n_ways, *moments.shape[1:])


def _one_by_one(network: ConvNetwork, *looks: Array, **sizes: int) -> Array:
    """Compute moments by XLA, picture by picture, since one picture's layers stay in a CPU's cache."""

    def of_pictures(network: ConvNetwork, pictures: Array) -> Array:
        return jax.lax.map(lambda picture: network_moments(network, picture[None])[0], pictures)

    return _by_xla(network, *looks, **sizes, of_pictures=of_pictures)  # pyright: ignore


def _more_looks(
    seen: Any, n: int, batched: Any, network: ConvNetwork, images: Array, centres: Array, ways: Array
) -> Any:
    """Turn an axis of `jax.vmap` into more images or, on the same images, into more looks at each."""
    if any(jax.tree.leaves(batched[0])):
        return in_turn(seen, n, batched, network, images, centres, ways)
    centres, ways = (
        a if b else jnp.broadcast_to(a, (n, *a.shape))
        for a, b in zip((centres, ways), batched[2:], strict=True)
    )
    if batched[1]:
        moments = seen(network, *(a.reshape(-1, *a.shape[2:]) for a in (images, centres, ways)))
        return moments.reshape(n, -1, *moments.shape[1:]), True
    centres, ways = (jnp.moveaxis(a, 0, 1) for a in (centres, ways))
    moments = seen(network, images, *(a.reshape(len(a), -1, *a.shape[3:]) for a in (centres, ways)))
    return jnp.moveaxis(moments.reshape(len(moments), n, -1, *moments.shape[2:]), 1, 0), True
