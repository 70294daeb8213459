"""Experts: what turns the pixels around a landmark, or of a whole face, into response maps."""

from __future__ import annotations

from jaxtyping import Array, Bool, Float, Int

from jaxclnf.pytrees import pytree, static


@pytree
class PatchExperts:
    """CCNF patch experts of one scale, for every view and landmark.

    Experts with fewer than ``n_neurons`` neurons are padded with neurons of alpha 0. ``sigma`` holds,
    for each window size that has edge terms, the distinct smoothing matrices in row-major order of the
    window; ``sigma_index`` says which one a view's landmark uses. Both are derived from ``alpha``, ``betas``
    and ``edges``: where those are replaced, `jaxclnf.with_sigma` computes them anew.
    """

    patch_scale: Float[Array, ""]  # pixels per model unit of the reference frame
    view_centres: Float[Array, "n_views 3"]  # Euler angles, radians
    visibility: Bool[Array, "n_views n_points"]
    weights: Float[Array, "n_views n_points n_neurons support_h support_w"]
    norm_weights: Float[Array, "n_views n_points n_neurons"]
    bias: Float[Array, "n_views n_points n_neurons"]
    alpha: Float[Array, "n_views n_points n_neurons"]
    betas: Float[Array, "n_views n_points n_edges"]
    patch_confidence: Float[Array, "n_views n_points"]
    edges: dict[int, Float[Array, "n_edges window_area window_area"]]
    sigma: dict[int, Float[Array, "n_distinct window_area window_area"]]
    sigma_index: Int[Array, "n_views n_points"]

    @property
    def support(self) -> tuple[int, int]:
        """Height and width of the neurons, in reference pixels."""
        return self.weights.shape[-2], self.weights.shape[-1]


@pytree
class CENExperts:
    """Convolutional experts (CEN) of one scale, as in OpenFace 2: a small network for each view and landmark.

    ``n_experts`` networks are stored; a landmark either has one of them or looks with it at the mirrored
    patch. Smaller networks are padded with zeros.
    """

    patch_scale: Float[Array, ""]  # pixels per model unit of the reference frame
    view_centres: Float[Array, "n_views 3"]  # Euler angles, radians
    visibility: Bool[Array, "n_views n_points"]
    patch_confidence: Float[Array, "n_views n_points"]
    weights: tuple[Float[Array, "n_experts n_out n_in"], ...]  # a layer each
    biases: tuple[Float[Array, "n_experts n_out"], ...]
    activations: Int[Array, "n_experts n_layers"]  # their numbers: see `jaxclnf.ops.cen`
    expert: Int[Array, "n_views n_points"]  # number of the landmark's network
    mirrored: Bool[Array, "n_views n_points"]  # whether it looks at the mirrored patch
    window_size: int = static()

    @property
    def support(self) -> tuple[int, int]:
        """Height and width of the patch that a network looks at, in reference pixels."""
        return self.window_size, self.window_size


@pytree
class ConvLayer:
    """Kernel and bias of a convolution."""

    kernel: Float[Array, "height width n_in n_out"]
    bias: Float[Array, " n_out"]


@pytree
class ConvLevel:
    """One level of a network: the layer that enters it, then residual blocks of two layers each."""

    enter: ConvLayer
    blocks: tuple[tuple[ConvLayer, ConvLayer], ...]


@pytree
class ConvNetwork:
    """A network from a picture to response maps, down to few cells and up again (`ops.conv_network`)."""

    stem: ConvLayer
    down: tuple[ConvLevel, ...]
    up: tuple[ConvLevel, ...]
    head: ConvLayer  # four logits for each landmark and cell


@pytree
class ConvExperts:
    """A convolutional expert: one network that makes the response maps of all landmarks from one picture.

    The picture is square and shows the face upright at ``patch_scale`` pixels per model unit, with the mean
    face's frontal box in the middle.
    """

    patch_scale: Float[Array, ""]
    spread: Float[Array, ""]  # factor from the covariances of its maps to those of its errors
    network: ConvNetwork
    side: int = static()  # side of the picture, in pixels
    mirror: tuple[int, ...] = static()  # the landmark that each becomes in a mirrored face; empty if unknown


Experts = PatchExperts | CENExperts
"""Experts that look at a patch around each landmark."""
