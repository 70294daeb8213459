"""The frame of a face's response maps: their place in the image, and the view that sees the face."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxclnf.ops.shape import reference_shape, shape_2d
from jaxclnf.ops.similarity import inverse, similarity
from jaxclnf.types import PDM, Experts, FaceParams


class MapFrame(NamedTuple):
    """Place of a face's response maps in the image, and the landmarks that its view can see."""

    base: Float[Array, "*batch n_points 2"]  # landmarks at the maps' centres, image pixels
    ref_from_img: Float[Array, "*batch 2 2"]
    img_from_ref: Float[Array, "*batch 2 2"]
    view: Int[Array, "*batch"]
    visible: Bool[Array, "*batch n_points"]
    confidence: Float[Array, "*batch n_points"]


def nearest_view(view_centres: Float[Array, "n_views 3"], rotation: Float[Array, "3"]) -> Int[Array, ""]:
    """Find the view whose centre is nearest to Euler angles (Euclidean); the first wins a tie."""
    distances = jnp.sum((view_centres - rotation[None]) ** 2, axis=1)
    return jnp.argmin(distances).astype(jnp.int32)


def second_view(
    experts: Experts, rotation: Float[Array, "3"], nearest: Int[Array, ""]
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """Find the second nearest view, and its share: 0 at the nearest view's centre, half midway to its own."""
    offsets = experts.view_centres - rotation[None]
    others = jnp.sum(offsets**2, axis=1).at[nearest].set(jnp.inf)
    second = jnp.argmin(others).astype(jnp.int32)
    between = offsets[second] - offsets[nearest]
    share = -jnp.dot(offsets[nearest], between) / jnp.dot(between, between)
    return second, jnp.clip(share, 0, 0.5)


def map_frame(pdm: PDM, experts: Experts, params: FaceParams) -> MapFrame:
    """Compute the frame of the response maps about a face's current landmarks."""
    base = shape_2d(pdm, params)
    ref_from_img = similarity(base, reference_shape(pdm, params.shape, experts.patch_scale))
    view = nearest_view(experts.view_centres, params.rotation)
    return MapFrame(
        base=base,
        ref_from_img=ref_from_img,
        img_from_ref=inverse(ref_from_img),
        view=view,
        visible=experts.visibility[view],
        confidence=experts.patch_confidence[view],
    )
