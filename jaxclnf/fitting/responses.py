"""Response maps of a batch of faces on one scale.

Every face of a view uses the same experts, so faces are sorted by view and handled in blocks of one
view each: the experts are read once a block and their matrix products serve all its faces.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from jaxclnf import native
from jaxclnf.ops import ccnf, cen
from jaxclnf.ops.fixed_point import sample_in_steps_of
from jaxclnf.ops.sample import sample_patches, sample_patches_of
from jaxclnf.ops.shape import reference_shape, shape_2d
from jaxclnf.ops.similarity import inverse, similarity
from jaxclnf.types import PDM, CENExperts, Experts, FaceParams, PatchExperts

FEW = 8
"""Fewer faces than this go one by one: often they are starts of one face, no two of one view."""

SMALLEST_BLOCK = 4
MOST_ON_CPU, MOST_ELSEWHERE = 8, 256
"""Faces of a block at most; on a CPU what a block touches must stay in the cache."""


class MapFrame(NamedTuple):
    """Place of a face's response maps in the image, and the landmarks that its view can see."""

    base: Float[Array, "*batch n_points 2"]  # landmarks at the maps' centres, image pixels
    ref_from_img: Float[Array, "*batch 2 2"]
    img_from_ref: Float[Array, "*batch 2 2"]
    view: Int[Array, "*batch"]
    visible: Bool[Array, "*batch n_points"]
    confidence: Float[Array, "*batch n_points"]


def nearest_view(experts: Experts, rotation: Float[Array, "3"]) -> Int[Array, ""]:
    """The view whose centre is nearest to Euler angles (Euclidean); the first wins a tie."""
    distances = jnp.sum((experts.view_centres - rotation[None]) ** 2, axis=1)
    return jnp.argmin(distances).astype(jnp.int32)


def second_view(
    experts: Experts, rotation: Float[Array, "3"], nearest: Int[Array, ""]
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """The view next to the nearest, and its share: 0 at the nearest's centre, half midway to its own."""
    offsets = experts.view_centres - rotation[None]
    others = jnp.sum(offsets**2, axis=1).at[nearest].set(jnp.inf)
    second = jnp.argmin(others).astype(jnp.int32)
    between = offsets[second] - offsets[nearest]
    share = -jnp.dot(offsets[nearest], between) / jnp.dot(between, between)
    return second, jnp.clip(share, 0, 0.5)


def map_frame(pdm: PDM, experts: Experts, params: FaceParams) -> MapFrame:
    """The frame of the response maps about a face's current landmarks."""
    base = shape_2d(pdm, params)
    ref_from_img = similarity(base, reference_shape(pdm, params.shape, experts.patch_scale))
    view = nearest_view(experts, params.rotation)
    return MapFrame(
        base=base,
        ref_from_img=ref_from_img,
        img_from_ref=inverse(ref_from_img),
        view=view,
        visible=experts.visibility[view],
        confidence=experts.patch_confidence[view],
    )


def view_responses(
    experts: Experts,
    view: Int[Array, ""],
    patches: Float[Array, "block n_points size size"],
) -> Float[Array, "block n_points window window"]:
    """Response maps of faces that share a view; landmarks it cannot see get empty maps."""
    return _field_responses(view_field(experts, view, patches.shape[-1]), patches, experts.support)


def lone_responses(
    experts: Experts, view: Int[Array, ""], patches: Float[Array, "n_points size size"]
) -> Float[Array, "n_points window window"]:
    """`view_responses` of a single face, for which it does not pay to lay the experts out."""
    if isinstance(experts, CENExperts):
        return _field_responses(_networks(experts, view), patches[None], experts.support)[0]
    neurons = (a[view] for a in (experts.weights, experts.norm_weights, experts.bias, experts.alpha))
    sums = ccnf.neuron_responses(patches, *neurons)
    window = sums.shape[-1]
    if window in experts.sigma:
        sigmas = experts.sigma[window]
        # One after the other, for all of them at once would be copied first.
        smoothed = jax.lax.map(
            lambda a: ccnf.smooth(a[0][None], sigmas[a[1]][None])[0], (sums, experts.sigma_index[view])
        )
    else:
        smoothed = ccnf.lift(sums * _variance(experts, view)[:, None, None])
    return jnp.where(experts.visibility[view][:, None, None], smoothed, 0)


def _variance(experts: PatchExperts, view: Int[Array, ""]) -> Float[Array, " n_points"]:
    """Variance of a field without edge terms, whose precision is ``2 sum(alpha)`` times the identity."""
    precision = 2 * experts.alpha[view].sum(-1)
    return 1 / jnp.where(precision > 0, precision, 1)


class Field(NamedTuple):
    """What turns patches of a view into response maps; leading axis of every array: landmarks."""

    bank: ccnf.Bank
    smoothing: Float[Array, "n_points area area"] | Float[Array, " n_points"]
    visible: Bool[Array, " n_points"]


class Networks(NamedTuple):
    """The convolutional experts of a view; those of a landmark are read when they are needed."""

    experts: CENExperts
    expert: Int[Array, " n_points"]
    mirrored: Bool[Array, " n_points"]
    visible: Bool[Array, " n_points"]


def view_field(experts: Experts, view: Int[Array, ""], size: int) -> Field | Networks:
    """The experts of a view, laid out for patches of ``size`` samples a side."""
    if isinstance(experts, CENExperts):
        return _networks(experts, view)
    weights, norm_weights = experts.weights[view], experts.norm_weights[view]
    bias, alpha = experts.bias[view], experts.alpha[view]
    window = size - experts.support[0] + 1
    if window in experts.sigma:
        smoothing = experts.sigma[window][experts.sigma_index[view]]
    else:
        smoothing = _variance(experts, view)
    of_landmark = partial(ccnf.neuron_bank, size=size)
    bank = jax.vmap(of_landmark)(weights, norm_weights, bias, alpha)
    return Field(bank, smoothing, experts.visibility[view])


def _networks(experts: CENExperts, view: Int[Array, ""]) -> Networks:
    return Networks(experts, *(a[view] for a in (experts.expert, experts.mirrored, experts.visibility)))


def _network_responses(
    networks: Networks, patches: Float[Array, "block n_points size size"]
) -> Float[Array, "block n_points window window"]:
    """Maps of one landmark after the other, so that no weights are laid out anew."""
    experts = networks.experts
    stored = experts.weights, experts.biases, experts.activations
    window = patches.shape[-1] - experts.window_size + 1

    def look(place: tuple[Array, ...], patches: Array) -> Array:
        which, mirrored, _ = place
        own = jax.tree.map(lambda a: a[which], stored)
        see = partial(cen.mirrored_response, support=experts.window_size, mirrored=mirrored)
        return jax.vmap(lambda patch: see(patch, *own))(patches)

    def of_landmark(place_and_patches: tuple[tuple[Array, ...], Array]) -> Array:
        place, patches = place_and_patches
        unseen = jnp.zeros((len(patches), window, window), patches.dtype)
        return jax.lax.cond(place[2], look, lambda *_: unseen, place, patches)

    places = networks.expert, networks.mirrored, networks.visible
    return jax.lax.map(of_landmark, (places, patches.swapaxes(0, 1))).swapaxes(0, 1)


def _field_responses(
    field: Field | Networks, patches: Float[Array, "block n_points size size"], support: tuple[int, int]
) -> Float[Array, "block n_points window window"]:
    if isinstance(field, Networks):
        return _network_responses(field, patches)

    def of_landmark(field: Field, patches: Array):
        sums = ccnf.bank_responses(field.bank, patches, support)
        flat = sums.reshape(len(sums), -1)
        smoothed = flat @ field.smoothing if field.smoothing.ndim else flat * field.smoothing
        return jnp.where(field.visible, ccnf.lift(smoothed.reshape(sums.shape)), 0)

    return jax.vmap(of_landmark, in_axes=(0, 1), out_axes=1)(field, patches)


@partial(jax.custom_jvp, nondiff_argnums=(3, 4))
def image_responses(
    experts: Experts,
    images: Num[Array, "n_images height width"],
    faces: MapFrame,
    window: int,
    in_steps: bool = False,
) -> Float[Array, "n_images n_tries n_points window window"]:
    """Response maps of the faces tried on each image, of any views; leading axes: images, tries.

    ``in_steps`` reads pixels as OpenFace 2 does (`ops.fixed_point`).

    Loops over the views that occur and their blocks of faces; such loops have no reverse derivative,
    so derivatives are those of the same maps computed face by face.
    """
    by_view = jax.custom_batching.custom_vmap(partial(_by_view, window=window, in_steps=in_steps))
    by_view.def_vmap(partial(_more_faces, by_view))
    return by_view(experts, images, faces)


def responses_between_views(
    experts: Experts,
    images: Num[Array, "n_images height width"],
    faces: MapFrame,
    rotations: Float[Array, "n_images n_tries 3"],
    window: int,
    in_steps: bool = False,
) -> Float[Array, "n_images n_tries n_points window window"]:
    """`image_responses` interpolated linearly between the two views nearest to each face's Euler angles.

    Landmarks that one of them cannot see keep the nearest's maps.
    """
    if len(experts.view_centres) == 1:
        return image_responses(experts, images, faces, window, in_steps)
    of_tries = jax.vmap(jax.vmap(partial(second_view, experts)))
    second, share = of_tries(rotations, faces.view)
    visible = experts.visibility[second]
    both = jax.tree.map(
        lambda a, b: jnp.concatenate([a, b], axis=1), faces, faces._replace(view=second, visible=visible)
    )
    nearest, other = jnp.split(image_responses(experts, images, both, window, in_steps), 2, axis=1)
    share = jnp.where(faces.visible & visible, share[..., None], 0)[..., None, None]
    return (1 - share) * nearest + share * other


def _more_faces(by_view: Callable, n: int, batched, experts: Experts, images: Array, faces: MapFrame):
    """Another axis, of `jax.vmap`, is more images or, on the same images, more tries on each.

    Only so do faces that share a view still share their matrix products.
    """
    if any(jax.tree.leaves(batched[0])):
        raise ValueError("response maps are those of one model; loop over models")
    faces = jax.tree.map(lambda a, b: a if b else jnp.broadcast_to(a, (n, *a.shape)), faces, batched[2])
    if batched[1]:
        images, faces = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), (images, faces))
        maps = by_view(experts, images, faces)
        return maps.reshape(n, -1, *maps.shape[1:]), True
    faces = jax.tree.map(lambda a: jnp.moveaxis(a, 0, 1).reshape(a.shape[1], -1, *a.shape[3:]), faces)
    maps = by_view(experts, images, faces)
    return jnp.moveaxis(maps.reshape(len(maps), n, -1, *maps.shape[2:]), 1, 0), True


def _by_view(experts: Experts, images: Array, faces: MapFrame, window: int, in_steps: bool) -> Array:
    flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), faces)
    on_cpu, elsewhere = (
        partial(_sampled_blockwise, window=window, in_steps=in_steps, largest=n)
        for n in (MOST_ON_CPU, MOST_ELSEWHERE)
    )
    if isinstance(experts, PatchExperts) and not in_steps and _c_serves(experts, images, flat, window):
        on_cpu = partial(_natively, window=window)
    maps = jax.lax.platform_dependent(experts, images, flat, cpu=on_cpu, default=elsewhere)
    return maps.reshape(*faces.view.shape, *maps.shape[1:])


def _for_c(experts: PatchExperts, flat: MapFrame, window: int) -> list[Array]:
    """The arrays that `native.response_maps` takes beside the images."""
    faces = [flat.base, flat.img_from_ref, flat.view]
    neurons = [experts.weights, experts.norm_weights, experts.bias, experts.alpha]
    sigma = [experts.sigma[window]] if window in experts.sigma else []
    return [*faces, experts.visibility, *neurons, experts.sigma_index, *sigma]


def _c_serves(experts: PatchExperts, images: Array, flat: MapFrame, window: int) -> bool:
    served = native.serves(*_for_c(experts, flat, window))
    return served and native.can_map(images.shape[1:], experts.support, window)


def _natively(experts: PatchExperts, images: Array, flat: MapFrame, window: int) -> Array:
    """`_sampled_blockwise` in C, which needs no blocks."""
    return native.response_maps(images, *_for_c(experts, flat, window), window=window)


def _sampled_blockwise(
    experts: Experts,
    images: Array,
    flat: MapFrame,
    window: int,
    in_steps: bool = False,
    largest: int = MOST_ON_CPU,
) -> Array:
    """Response maps of faces, an equal number in a row on each image."""
    size = window + experts.support[0] - 1
    which = jnp.repeat(jnp.arange(len(images)), len(flat.view) // len(images))
    sample = partial(sample_in_steps_of if in_steps else sample_patches_of, images, size=size)

    def patches_of(members: Int[Array, " block"]) -> Float[Array, "block n_points size size"]:
        base, img_from_ref = flat.base[members], flat.img_from_ref[members]
        patches = jax.vmap(sample)(which[members], base, img_from_ref)
        # The product with 1 stops XLA from sampling anew for every use of the patches.
        return patches @ jnp.eye(size, dtype=patches.dtype)

    return _blockwise(experts, flat.view, patches_of, window, largest)


@image_responses.defjvp
def _(window, in_steps, primals, tangents):
    """Steps have no derivative; that of pixels read between them stands for it."""
    return jax.jvp(partial(_each_on_image, window=window), primals, tangents)


def _each_on_image(experts: Experts, images: Array, faces: MapFrame, window: int) -> Array:
    size = window + experts.support[0] - 1

    def of_face(image, face):
        patches = sample_patches(image, face.base, face.img_from_ref, size)
        return view_responses(experts, face.view, patches[None])[0]

    return jax.vmap(jax.vmap(of_face, in_axes=(None, 0)))(images, faces)


@jax.custom_jvp
def batch_responses(
    experts: Experts,
    views: Int[Array, " n_faces"],
    patches: Float[Array, "n_faces n_points size size"],
) -> Float[Array, "n_faces n_points window window"]:
    """`image_responses` from patches that are already there."""
    window = patches.shape[-1] - experts.support[0] + 1

    def blockwise(experts, views, patches, largest):
        return _blockwise(experts, views, lambda members: patches[members], window, largest)

    on_cpu, elsewhere = (partial(blockwise, largest=n) for n in (MOST_ON_CPU, MOST_ELSEWHERE))
    return jax.lax.platform_dependent(experts, views, patches, cpu=on_cpu, default=elsewhere)


@batch_responses.defjvp
def _(primals, tangents):
    return jax.jvp(_each_face, primals, tangents)


def _each_face(experts: Experts, views: Array, patches: Array) -> Array:
    def of_face(view, patch):
        return view_responses(experts, view, patch[None])[0]

    return jax.vmap(of_face)(views, patches)


def _blockwise(experts: Experts, views: Array, patches_of: Callable, window: int, largest: int) -> Array:
    """Response maps of faces whose views are given and whose patches ``patches_of(members)`` gives.

    ``largest`` is how many faces a block holds at most.
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
            new = _field_responses(field, patches_of(members), experts.support)
            return jax.lax.dynamic_update_slice_in_dim(maps, new, b * block, 0)

        return jax.lax.fori_loop(first_block[view], first_block[view] + n_blocks[view], of_block, maps)

    maps = jnp.zeros((len(slots), n_points, window, window), experts.patch_scale.dtype)
    present = jnp.argsort(n_blocks == 0).astype(jnp.int32)
    n_present = jnp.sum(n_blocks > 0, dtype=jnp.int32)
    maps = jax.lax.fori_loop(0, n_present, lambda i, maps: of_view(present[i], maps), maps)
    place = jnp.zeros(n_faces + 1, jnp.int32).at[slots].set(jnp.arange(len(slots), dtype=jnp.int32))
    return maps[place[:n_faces]]


def _block_size(n_faces: int, largest: int) -> int:
    """Blocks small enough that few places stay empty, large enough to keep the processor busy."""
    size = SMALLEST_BLOCK if n_faces >= FEW else 1
    while size * 32 <= n_faces and size < largest:
        size *= 2
    return size


def _blocks(
    views: Int[Array, " n_faces"], n_views: int, size: int
) -> tuple[Int[Array, " n_slots"], Int[Array, " n_views"], Int[Array, " n_views"]]:
    """Faces sorted by view into blocks of one view; each view's first block and number of blocks.

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
