"""OpenFace 2's validator, which says how sure a fit is."""

from __future__ import annotations

from jaxtyping import Array, Float, Int

from jaxclnf.pytrees import pytree, static


@pytree
class Validator:
    """OpenFace 2's validator of fits: a network for each view that sees the face warped to a reference shape.

    The first axis of all arrays is the view; views with fewer triangles are padded with zeros.
    """

    view_centres: Float[Array, "n_views 3"]  # Euler angles, radians
    origin: Float[Array, "n_views 2"]  # of the warped picture, in reference coordinates
    triangles: Int[Array, "n_views n_triangles 3"]  # numbers of their corners' landmarks
    alpha: Float[Array, "n_views n_triangles 3"]  # place in its triangle: see `jaxclnf.ops.warp`
    beta: Float[Array, "n_views n_triangles 3"]
    triangle_of: Int[Array, "n_views rows cols"]  # number of each pixel's triangle, -1 outside the face
    mean: Float[Array, "n_views rows cols"]  # of each pixel over training faces ...
    deviation: Float[Array, "n_views rows cols"]  # ... and its standard deviation; 1 outside
    kernels: tuple[Float[Array, "n_views n_out n_in kernel_h kernel_w"], ...]
    kernel_biases: tuple[Float[Array, "n_views n_out"], ...]
    weights: tuple[Float[Array, "n_views n_in n_out"], ...]  # of the fully connected layers
    weight_biases: tuple[Float[Array, "n_views n_out"], ...]
    n_points: int = static(default=68)  # landmarks of the faces that it judges
    older: bool = static(default=False)  # the validator of 2016: sigmoids, mean pooling and one score


@pytree
class Validation:
    """The verdict of a `Validator` on a fit."""

    certainty: Float[Array, "*batch"]  # 0.025 to 0.975 (surely a face) in steps of 0.05; 0 outside
    scores: Float[Array, "*batch n_scores"]  # one for each step; the highest decides
    view: Int[Array, "*batch"]
