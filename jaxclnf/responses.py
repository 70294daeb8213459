"""Response maps of a batch of faces on one scale.

Every face of a view uses the same experts, so faces are sorted by view and handled in blocks of one
view each: the experts are read once a block and their matrix products serve all its faces.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from jaxclnf.ops import ccnf
from jaxclnf.ops.sample import sample_patches
from jaxclnf.ops.shape import reference_shape, shape_2d
from jaxclnf.ops.similarity import inverse, similarity
from jaxclnf.types import PDM, FaceParams, PatchExperts

MAX_BLOCK = 256


class Frame(NamedTuple):
    """Where a face's response maps lie in the image, and what its view lets us see."""

    base: Float[Array, "*batch n_points 2"]  # landmarks at the maps' centres, image pixels
    ref_from_img: Float[Array, "*batch 2 2"]
    img_from_ref: Float[Array, "*batch 2 2"]
    view: Int[Array, "*batch"]
    visible: Bool[Array, "*batch n_points"]
    confidence: Float[Array, "*batch n_points"]


def nearest_view(experts: PatchExperts, rotation: Float[Array, "3"]) -> Int[Array, ""]:
    """The view whose centre is nearest to Euler angles (Euclidean); the first wins a tie."""
    return jnp.argmin(jnp.sum((experts.view_centres - rotation[None]) ** 2, axis=1))


def frame(pdm: PDM, experts: PatchExperts, params: FaceParams) -> Frame:
    """The frame of the response maps about a face's current landmarks."""
    base = shape_2d(pdm, params)
    ref_from_img = similarity(base, reference_shape(pdm, params.shape, experts.patch_scale))
    view = nearest_view(experts, params.rotation)
    return Frame(
        base=base,
        ref_from_img=ref_from_img,
        img_from_ref=inverse(ref_from_img),
        view=view,
        visible=experts.visibility[view],
        confidence=experts.patch_confidence[view],
    )


def sample(image: Num[Array, "height width"], face: Frame, size: int) -> Float[Array, "n_points size size"]:
    """The patches about a face's landmarks, upright and at the experts' scale."""
    return sample_patches(image, face.base, face.img_from_ref, size)


def view_responses(
    experts: PatchExperts,
    view: Int[Array, ""],
    patches: Float[Array, "block n_points size size"],
) -> Float[Array, "block n_points window window"]:
    """Response maps of faces that share a view; landmarks it cannot see get empty maps."""
    at_view = jax.tree.map(lambda a: a[view], _neurons(experts))
    sums = jax.vmap(ccnf.neuron_responses, in_axes=(0, *(None,) * 4))(patches, *at_view)
    window = sums.shape[-1]
    if window in experts.sigma:
        sigma = experts.sigma[window][experts.sigma_index[view]]
        maps = jax.vmap(ccnf.smooth, in_axes=(0, None))(sums, sigma)
    else:
        # Without edge terms the field's precision is 2 sum(alpha) times the identity.
        precision = 2 * experts.alpha[view].sum(-1)[None, :, None, None]
        maps = jax.vmap(ccnf.lift)(sums / jnp.where(precision > 0, precision, 1))
    return jnp.where(experts.visibility[view][None, :, None, None], maps, 0)


def batch_responses(
    experts: PatchExperts,
    views: Int[Array, " n_faces"],
    patches: Float[Array, "n_faces n_points size size"],
) -> Float[Array, "n_faces n_points window window"]:
    """Response maps of many faces of any views."""
    n_faces, size = len(views), patches.shape[-1]
    slots, block_views = _blocks(views, len(experts.view_centres), _block_size(n_faces))
    window = size - experts.support[0] + 1
    maps_shape = (slots.shape[1], patches.shape[1], window, window)

    def block(_, slots_and_view):
        members, view = slots_and_view
        used = members[0] < n_faces
        members = jnp.minimum(members, n_faces - 1)
        maps = jax.lax.cond(
            used,
            lambda: view_responses(experts, view, patches[members]),
            lambda: jnp.zeros(maps_shape, patches.dtype),
        )
        return None, maps

    _, maps = jax.lax.scan(block, None, (slots, block_views))
    place = (
        jnp.zeros(n_faces + 1, jnp.int32).at[slots.reshape(-1)].set(jnp.arange(slots.size, dtype=jnp.int32))
    )
    return maps.reshape(-1, *maps_shape[1:])[place[:n_faces]]


def _neurons(experts: PatchExperts):
    return experts.weights, experts.norm_weights, experts.bias, experts.alpha


def _block_size(n_faces: int) -> int:
    """Blocks small enough that few places stay empty, large enough for the matrix products."""
    size = 1
    while size * 8 < n_faces and size < MAX_BLOCK:
        size *= 2
    return size


def _blocks(
    views: Int[Array, " n_faces"], n_views: int, size: int
) -> tuple[Int[Array, "n_blocks {size}"], Int[Array, " n_blocks"]]:
    """Faces of each block and the view they share; empty places hold ``n_faces``."""
    n_faces = len(views)
    n_blocks = min(n_faces, n_faces // size + n_views)
    counts = jnp.zeros(n_views, jnp.int32).at[views].add(1)
    last_block = jnp.cumsum(-(-counts // size))
    order = jnp.argsort(views)
    rank = jnp.arange(n_faces, dtype=jnp.int32) - (jnp.cumsum(counts) - counts)[views[order]]
    slot = (last_block - (-(-counts // size)))[views[order]] * size + rank
    slots = jnp.full(n_blocks * size, n_faces, jnp.int32).at[slot].set(order.astype(jnp.int32))
    block_views = jnp.searchsorted(last_block, jnp.arange(n_blocks), side="right")
    return slots.reshape(n_blocks, size), jnp.minimum(block_views, n_views - 1)
