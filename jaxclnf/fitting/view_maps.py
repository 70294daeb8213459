"""Response maps of faces that share a view, from their patches."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxclnf.ops import ccnf, cen
from jaxclnf.types import CENExperts, Experts, PatchExperts


def view_responses(
    experts: Experts,
    view: Int[Array, ""],
    patches: Float[Array, "block n_points size size"],
) -> Float[Array, "block n_points window window"]:
    """Compute response maps of faces that share a view; landmarks it cannot see get empty maps."""
    return field_responses(view_field(experts, view, patches.shape[-1]), patches, experts.support)


def lone_responses(
    experts: Experts, view: Int[Array, ""], patches: Float[Array, "n_points size size"]
) -> Float[Array, "n_points window window"]:
    """Do `view_responses` for a single face, for which laying out the experts would not pay."""
    if isinstance(experts, CENExperts):
        return field_responses(_networks(experts, view), patches[None], experts.support)[0]
    neurons = (a[view] for a in (experts.weights, experts.norm_weights, experts.bias, experts.alpha))
    sums = ccnf.neuron_responses(patches, *neurons)
    window = sums.shape[-1]
    if window in experts.sigma:
        sigmas = experts.sigma[window]
        # One after the other, since all matrices at once would be copied first.
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
    """The CCNF experts of a view, laid out for patches; leading axis of every array: landmarks."""

    bank: ccnf.Bank
    smoothing: Float[Array, "n_points area area"] | Float[Array, " n_points"]
    visible: Bool[Array, " n_points"]


class Networks(NamedTuple):
    """The convolutional experts of a view; each landmark's are read when they are needed."""

    experts: CENExperts
    expert: Int[Array, " n_points"]
    mirrored: Bool[Array, " n_points"]
    visible: Bool[Array, " n_points"]


def view_field(experts: Experts, view: Int[Array, ""], size: int) -> Field | Networks:
    """Lay out the experts of a view for patches of ``size`` samples a side."""
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
    """Compute maps one landmark after the other, so that no weights are copied."""
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


def field_responses(
    field: Field | Networks, patches: Float[Array, "block n_points size size"], support: tuple[int, int]
) -> Float[Array, "block n_points window window"]:
    """Do `view_responses` by experts laid out before, for patches of the size that they were laid out for."""
    if isinstance(field, Networks):
        return _network_responses(field, patches)

    def of_landmark(field: Field, patches: Array):
        sums = ccnf.bank_responses(field.bank, patches, support)
        flat = sums.reshape(len(sums), -1)
        smoothed = flat @ field.smoothing if field.smoothing.ndim else flat * field.smoothing
        return jnp.where(field.visible, ccnf.lift(smoothed.reshape(sums.shape)), 0)

    return jax.vmap(of_landmark, in_axes=(0, 1), out_axes=1)(field, patches)
