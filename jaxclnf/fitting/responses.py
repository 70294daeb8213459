"""Response maps of a batch of faces on one scale, straight from the images: by C on CPUs, else by XLA."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from jaxclnf import native
from jaxclnf.fitting.map_frames import MapFrame, second_view
from jaxclnf.fitting.models_in_turn import in_turn
from jaxclnf.fitting.view_blocks import MOST_ELSEWHERE, MOST_ON_CPU, blockwise_maps
from jaxclnf.fitting.view_maps import view_responses
from jaxclnf.ops.fixed_point import sample_in_steps_of
from jaxclnf.ops.sample import sample_patches, sample_patches_of
from jaxclnf.types import Experts, PatchExperts


@partial(jax.custom_jvp, nondiff_argnums=(3, 4))
def image_responses(
    experts: Experts,
    images: Num[Array, "n_images height width"],
    faces: MapFrame,
    window: int,
    in_steps: bool = False,
) -> Float[Array, "n_images n_tries n_points window window"]:
    """Compute the response maps of the faces tried on each image, of any views; leading axes: images, tries.

    ``in_steps`` reads pixels as OpenFace 2 does (`jaxclnf.ops.fixed_point`).

    The program loops over the views that occur and their blocks of faces; since such loops have no reverse
    derivative, derivatives are those of the same maps computed face by face.
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
    """Interpolate `image_responses` linearly between the two views nearest to each face's Euler angles.

    Landmarks that one of them cannot see keep the nearest view's maps.
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
    """Turn an axis of `jax.vmap` into more images or, on the same images, into more tries on each.

    Only then do faces that share a view still share their matrix products.
    """
    if any(jax.tree.leaves(batched[0])):
        return in_turn(by_view, n, batched, experts, images, faces)
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
    """List the arrays that `jaxclnf.native.response_maps` takes beside the images."""
    faces = [flat.base, flat.img_from_ref, flat.view]
    neurons = [experts.weights, experts.norm_weights, experts.bias, experts.alpha]
    sigma = [experts.sigma[window]] if window in experts.sigma else []
    return [*faces, experts.visibility, *neurons, experts.sigma_index, *sigma]


def _c_serves(experts: PatchExperts, images: Array, flat: MapFrame, window: int) -> bool:
    served = native.serves(*_for_c(experts, flat, window))
    return served and native.can_map(images.shape[1:], experts.support, window)


def _natively(experts: PatchExperts, images: Array, flat: MapFrame, window: int) -> Array:
    """Do `_sampled_blockwise` in C, which needs no blocks."""
    return native.response_maps(images, *_for_c(experts, flat, window), window=window)


def _sampled_blockwise(
    experts: Experts,
    images: Array,
    flat: MapFrame,
    window: int,
    in_steps: bool = False,
    largest: int = MOST_ON_CPU,
) -> Array:
    """Compute response maps of faces, an equal number in a row on each image."""
    size = window + experts.support[0] - 1
    which = jnp.repeat(jnp.arange(len(images)), len(flat.view) // len(images))
    sample = partial(sample_in_steps_of if in_steps else sample_patches_of, images, size=size)

    def patches_of(members: Int[Array, " block"]) -> Float[Array, "block n_points size size"]:
        base, img_from_ref = flat.base[members], flat.img_from_ref[members]
        patches = jax.vmap(sample)(which[members], base, img_from_ref)
        # The product with 1 stops XLA from sampling anew for every use of the patches.
        return patches @ jnp.eye(size, dtype=patches.dtype)

    return blockwise_maps(experts, flat.view, patches_of, window, largest)


@image_responses.defjvp
def _(window, in_steps, primals, tangents):
    """Differentiate as if pixels were read bilinearly, since coordinates in steps have no derivative."""
    return jax.jvp(partial(_each_on_image, window=window), primals, tangents)


def _each_on_image(experts: Experts, images: Array, faces: MapFrame, window: int) -> Array:
    size = window + experts.support[0] - 1

    def of_face(image, face):
        patches = sample_patches(image, face.base, face.img_from_ref, size)
        return view_responses(experts, face.view, patches[None])[0]

    return jax.vmap(jax.vmap(of_face, in_axes=(None, 0)))(images, faces)
