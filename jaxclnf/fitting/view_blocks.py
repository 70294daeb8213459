"""Response maps of faces of any views, computed a block of faces of one view at a time.

Every face of a view uses the same experts, so faces are sorted by view and handled in blocks of one
view each: the experts are read once for each block, and their matrix products serve all its faces.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxclnf.fitting.view_maps import field_responses, lone_responses, view_field, view_responses
from jaxclnf.types import Experts

FEW = 8
"""Fewer faces than this are handled one by one: often they are starts of one face, each of another view."""
SMALLEST_BLOCK = 4
MOST_ON_CPU, MOST_ELSEWHERE = 8, 256
"""Largest number of faces in a block; on a CPU the arrays of a block must stay in the cache."""


@jax.custom_jvp
def batch_responses(
    experts: Experts,
    views: Int[Array, " n_faces"],
    patches: Float[Array, "n_faces n_points size size"],
) -> Float[Array, "n_faces n_points window window"]:
    """Compute response maps from patches that were sampled already, as `image_responses` does from images."""
    window = patches.shape[-1] - experts.support[0] + 1

    def of_patches(experts, views, patches, largest):
        return blockwise_maps(experts, views, lambda members: patches[members], window, largest)

    on_cpu, elsewhere = (partial(of_patches, largest=n) for n in (MOST_ON_CPU, MOST_ELSEWHERE))
    return jax.lax.platform_dependent(experts, views, patches, cpu=on_cpu, default=elsewhere)


@batch_responses.defjvp
def _(primals, tangents):
    return jax.jvp(_each_face, primals, tangents)


def _each_face(experts: Experts, views: Array, patches: Array) -> Array:
    def of_face(view, patch):
        return view_responses(experts, view, patch[None])[0]

    return jax.vmap(of_face)(views, patches)


def blockwise_maps(experts: Experts, views: Array, patches_of: Callable, window: int, largest: int) -> Array:
    """Compute response maps of faces of given views, whose patches ``patches_of(members)`` samples.

    ``largest`` is the largest number of faces in a block.
    """
    n_faces, n_points = len(views), experts.visibility.shape[1]
    block = _block_size(n_faces, largest)
    if block == 1:
        faces = jnp.arange(n_faces, dtype=jnp.int32)
        return jax.lax.map(lambda i: lone_responses(experts, views[i], patches_of(i[None])[0]), faces)
    slots, first_block, n_blocks = _blocks(views, len(experts.view_centres), block)

    def of_view(view, maps):
        field = view_field(experts, view, window + experts.support[0] - 1)

        def of_block(b, maps):
            members = jnp.minimum(jax.lax.dynamic_slice_in_dim(slots, b * block, block), n_faces - 1)
            new = field_responses(field, patches_of(members), experts.support)
            return jax.lax.dynamic_update_slice_in_dim(maps, new, b * block, 0)

        return jax.lax.fori_loop(first_block[view], first_block[view] + n_blocks[view], of_block, maps)

    maps = jnp.zeros((len(slots), n_points, window, window), experts.patch_scale.dtype)
    present = jnp.argsort(n_blocks == 0).astype(jnp.int32)
    n_present = jnp.sum(n_blocks > 0, dtype=jnp.int32)
    maps = jax.lax.fori_loop(0, n_present, lambda i, maps: of_view(present[i], maps), maps)
    place = jnp.zeros(n_faces + 1, jnp.int32).at[slots].set(jnp.arange(len(slots), dtype=jnp.int32))
    return maps[place[:n_faces]]


def _block_size(n_faces: int, largest: int) -> int:
    """Choose blocks small enough that few places stay empty, and large enough to keep the processor busy."""
    size = SMALLEST_BLOCK if n_faces >= FEW else 1
    while size * 32 <= n_faces and size < largest:
        size *= 2
    return size


def _blocks(
    views: Int[Array, " n_faces"], n_views: int, size: int
) -> tuple[Int[Array, " n_slots"], Int[Array, " n_views"], Int[Array, " n_views"]]:
    """Sort faces into blocks of one view; returns them, each view's first block and its number of blocks.

    Empty slots hold ``n_faces``.
    """
    n_faces = len(views)
    counts = jnp.zeros(n_views, jnp.int32).at[views].add(1)
    n_blocks = -(-counts // size)
    first_block = jnp.cumsum(n_blocks) - n_blocks
    order = jnp.argsort(views).astype(jnp.int32)
    of_order = views[order]
    rank = jnp.arange(n_faces, dtype=jnp.int32) - (jnp.cumsum(counts) - counts)[of_order]
    n_slots = min(n_faces, n_faces // size + n_views) * size
    slots = jnp.full(n_slots, n_faces, jnp.int32).at[first_block[of_order] * size + rank].set(order)
    return slots, first_block, n_blocks
