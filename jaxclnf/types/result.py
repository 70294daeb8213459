"""What a fit finds, and how it ended."""

from __future__ import annotations

import enum
from dataclasses import field
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxclnf.pytrees import pytree
from jaxclnf.types.array_columns import param_columns, point_columns

if TYPE_CHECKING:
    import polars as pl


@pytree
class FaceParams:
    """Pose and shape of a face: ``x = scale * (R (mean + basis q))_xy + translation``.

    ``rotation`` holds Euler angles x, y, z in radians with ``R = Rx Ry Rz``; ``scale`` is in pixels
    per model unit; ``shape`` are the PDM's local parameters q, whose variances are its eigenvalues.
    """

    scale: Float[Array, "*batch"]
    rotation: Float[Array, "*batch 3"]
    translation: Float[Array, "*batch 2"]
    shape: Float[Array, "*batch n_modes"]


class Status(enum.IntEnum):
    """How a fit ended; results with OK and NOT_CONVERGED have usable landmarks."""

    OK = 0
    NOT_CONVERGED = 1  # the last step of the last stage still moved the face visibly
    FACE_TOO_SMALL = 2  # for every scale of the model, or for `FitConfig.min_scale`
    BOX_INVALID = 3  # empty, negative or not finite
    BOX_OUTSIDE = 4  # less than a hundredth of it lies on the image
    NOT_FINITE = 5  # the image has values that are not finite, or the linear solve broke down
    NO_STAGE = 6  # the model has no experts
    TOO_DARK = 7  # the image is of floats up to 1: nearly black, or to be multiplied by 255
    LOST = 8  # in films: the face was followed and is not seen, so that nothing is known of it


STATUS_WORDS = {
    Status.OK: "ok",
    Status.NOT_CONVERGED: "not converged",
    Status.FACE_TOO_SMALL: "face too small",
    Status.BOX_INVALID: "box is empty, negative or not finite",
    Status.BOX_OUTSIDE: "box outside the photo",
    Status.NOT_FINITE: "broke down",
    Status.NO_STAGE: "no stage of the settings fits the model's scales",
    Status.TOO_DARK: "grey from 0 to 1, too dark or in place of 255",
    Status.LOST: "lost",
}
"""Each `Status` in the words of the tables."""


USABLE = (Status.OK, Status.NOT_CONVERGED)
"""How fits end that have usable landmarks: see `FitResult.usable`."""

USABLE_WORDS = frozenset(STATUS_WORDS[status] for status in USABLE)
"""The words of tables for fits with usable landmarks."""


@pytree
class PartFit:
    """The fit of a part of a face; where the face is too small for it, what follows from the whole face."""

    landmarks: Float[Array, "*batch n_part_points 2"]  # the part's own, pixels
    params: FaceParams  # of its own PDM
    log_likelihood: Float[Array, "*batch"]


@pytree
class FitResult:
    """The result of a fit; in a batch every field has a leading axis."""

    # x, y in pixels of the image; those of the parameters, but for fitted parts, averaged tries and `freedom`
    landmarks: Float[Array, "*batch n_points 2"]
    params: FaceParams
    log_likelihood: Float[Array, "*batch"]
    landmark_likelihoods: Float[Array, "*batch n_points"]  # invisible landmarks: -1e8
    view: Int[Array, "*batch"]  # of the last stage
    iterations: Int[Array, "*batch n_stages 2"]  # rigid, non-rigid
    converged: Bool[Array, "*batch"]  # the last step was within the tolerance; five steps seldom suffice
    status: Int[Array, "*batch"]  # a `Status`
    parts: dict[str, PartFit] = field(default_factory=dict)  # those that the settings name and the model has
    # covariances of the landmarks' errors, pixels squared, from a convolutional expert's maps; else None
    covariance: Float[Array, "*batch n_points 2 2"] | None = None
    # probability that nothing hides each landmark, by how far those maps spread; None where that is unknown
    visibility: Float[Array, "*batch n_points"] | None = None

    @property
    def usable(self) -> Bool[Array | np.ndarray, "*batch"]:
        """Tell of each face whether its landmarks can be used."""
        return reduce(or_, (self.status == each for each in USABLE))

    def to_frame(self) -> pl.DataFrame:
        """Convert one face or a batch to a polars data frame with a row for each face.

        The columns are those that tables of photos have too: ``face`` (counted from 0), ``x_0`` .. and
        ``y_0`` .. (landmarks, pixels), ``p_scale``, ``p_rx`` .. ``p_ty``, ``p_0`` .. (the parameters),
        ``status`` (in words) and ``log_likelihood``. As in the tables, the numbers of a failed fit are NaN.
        Other libraries read the frame through Arrow or its ``to_pandas``.

        Raises ImportError without polars, and ValueError for results with more than one leading axis.
        """
        try:
            import polars as pl
        except ImportError as error:
            raise ImportError("to_frame makes a polars data frame: `pip install polars` first") from error
        if np.ndim(self.status) > 1:
            raise ValueError(
                f"expected the result of one face or of a row of faces, got {np.shape(self.status)}; "
                "take one row by jax.tree.map(lambda a: a[0], result), or all in one by "
                f"jax.tree.map(lambda a: a.reshape(-1, *a.shape[{np.ndim(self.status)}:]), result)"
            )
        status = np.atleast_1d(self.status)
        names = point_columns(self.landmarks.shape[-2], "xy") + param_columns(self.params.shape.shape[-1])
        trusted = np.atleast_1d(self.usable)
        values = np.where(trusted[:, None], self._numbers(), np.nan).T
        return pl.DataFrame(
            {
                "face": np.arange(len(status)),
                **dict(zip(names, values, strict=True)),
                "status": pl.Series([STATUS_WORDS[Status(s)] for s in status], dtype=pl.String),
                "log_likelihood": np.where(trusted, np.asarray(self.log_likelihood, np.float64), np.nan),
            }
        )

    def _numbers(self) -> np.ndarray:
        """Landmarks and parameters, one row for each face."""
        n_faces, params = np.size(self.status), self.params
        points = np.swapaxes(self.landmarks, -1, -2)
        parts = (points, params.scale, params.rotation, params.translation, params.shape)
        sizes = (2 * self.landmarks.shape[-2], 1, 3, 2, params.shape.shape[-1])
        rows = [
            np.reshape(np.asarray(p, np.float64), (n_faces, n)) for p, n in zip(parts, sizes, strict=True)
        ]
        return np.concatenate(rows, axis=1)
