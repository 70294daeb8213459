"""The nouns of the package: models, face parameters and results, all JAX PyTrees.

Sizes used in the annotations: ``n_points`` landmarks, ``n_modes`` shape modes, ``n_views`` views,
``n_neurons`` neurons of a patch expert, ``n_edges`` edge terms, ``n_stages`` stages of a fit.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from jaxclnf.columns import param_columns, point_columns
from jaxclnf.config import FitConfig
from jaxclnf.pytrees import pytree, static

if TYPE_CHECKING:
    import polars as pl


@pytree
class PDM:
    """Point distribution model: a 3D mean shape and its modes, in model units (about millimetres)."""

    mean: Float[Array, "n_points 3"]
    basis: Float[Array, "n_points 3 n_modes"]
    eigenvalues: Float[Array, " n_modes"]

    @property
    def n_points(self) -> int:
        return self.mean.shape[0]

    @property
    def n_modes(self) -> int:
        return self.basis.shape[2]


@pytree
class PatchExperts:
    """CCNF patch experts of one scale, for every view and landmark.

    Experts with fewer than ``n_neurons`` neurons are padded with neurons of alpha 0. ``sigma`` holds,
    for each window size that has edge terms, the distinct smoothing matrices in row-major order of the
    window; ``sigma_index`` says which one a view's landmark uses.
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
    """Convolutional experts (CEN) of one scale, OpenFace 2's: a small network a view and landmark.

    Networks of ``n_experts`` are stored; others are these, seen in a mirror. Zeros pad smaller ones.
    """

    patch_scale: Float[Array, ""]  # pixels per model unit of the reference frame
    view_centres: Float[Array, "n_views 3"]  # Euler angles, radians
    visibility: Bool[Array, "n_views n_points"]
    patch_confidence: Float[Array, "n_views n_points"]
    weights: tuple[Float[Array, "n_experts n_out n_in"], ...]  # of each layer
    biases: tuple[Float[Array, "n_experts n_out"], ...]
    activations: Int[Array, "n_experts n_layers"]  # `ops.cen`
    expert: Int[Array, "n_views n_points"]
    mirrored: Bool[Array, "n_views n_points"]
    window_size: int = static()

    @property
    def support(self) -> tuple[int, int]:
        """Height and width of what a network looks at, in reference pixels."""
        return self.window_size, self.window_size


@pytree
class ConvLayer:
    """A convolution: its kernel and what is added after it."""

    kernel: Float[Array, "height width n_in n_out"]
    bias: Float[Array, " n_out"]


@pytree
class ConvLevel:
    """A level of a network: the layer that leads to it and residual blocks of two layers each."""

    enter: ConvLayer
    blocks: tuple[tuple[ConvLayer, ConvLayer], ...]


@pytree
class ConvNetwork:
    """Layers from a picture to response maps: down to a few cells and up again (`jaxclnf.ops.network`)."""

    stem: ConvLayer
    down: tuple[ConvLevel, ...]
    up: tuple[ConvLevel, ...]
    head: ConvLayer  # four logits a landmark and cell


@pytree
class ConvExperts:
    """A convolutional expert: one network that gives the response maps of all landmarks from one picture.

    The picture is square and shows the face upright, ``patch_scale`` pixels a model unit, the mean face's
    frontal box in its middle.
    """

    patch_scale: Float[Array, ""]
    spread: Float[Array, ""]  # what the covariances of its maps are multiplied by to be those of its errors
    network: ConvNetwork
    side: int = static()  # of the picture, in pixels
    mirror: tuple[int, ...] = static()  # the landmark of a mirrored face that each one is; empty: unknown


Experts = PatchExperts | CENExperts
"""Experts of a landmark each, which look at patches."""


@pytree
class Part:
    """A model of a part of the face (inner face, an eye) and the landmarks it shares with the whole."""

    name: str = static()
    main_points: tuple[int, ...] = static()  # landmark of the whole face ...
    part_points: tuple[int, ...] = static()  # ... and the part's landmark it equals
    model: Model = field()


@dataclass(frozen=True)
class Provenance:
    """Origin of a model and the terms of its use.

    ``learned`` holds the digest (`jaxclnf.data.datasets.photo_digest`) of every photo that the model learned
    from; empty: unknown.
    """

    name: str = ""
    source: str = ""
    licence: str = ""
    learned: frozenset[bytes] = field(default=frozenset(), repr=False)  # which has no order


@pytree
class Calibration:
    """What the signs of a fit promise: a logistic curve over their sum, each times its slope.

    The first row is for fits that end with patch experts, the second for those that a network ends; the signs
    are those of `jaxclnf.models.calibration.signs`. `jaxclnf.models.calibration.confidences` applies it;
    `jaxclnf.training.calibrate.fit_calibration` finds it on annotated faces.
    """

    slopes: Float[Array, "2 n_signs"]
    bias: Float[Array, "2"]


@pytree
class EarlyTermination:
    """When a try is believed after the first stage: OpenFace 2's values for CEN experts, a view each.

    A try is if its log-likelihood times ``weights`` plus ``biases`` is above ``cutoffs``.
    """

    weights: Float[Array, " n_views"]
    biases: Float[Array, " n_views"]
    cutoffs: Float[Array, " n_views"]


@pytree
class Model:
    """A landmark model: PDM, experts of several scales and kinds, parts, suitable settings, calibration."""

    pdm: PDM
    experts: tuple[Experts | ConvExperts, ...]
    parts: tuple[Part, ...] = ()
    provenance: Provenance = static(default=Provenance())
    settings: FitConfig = field(default_factory=FitConfig)  # of a fit that names none
    calibration: Calibration | None = None  # without one, how sure fits are is unknown
    early_termination: EarlyTermination | None = None  # without one, tries are compared by their likelihoods

    @property
    def learned(self) -> frozenset[bytes]:
        """Digests of the photos that the model or a part of it learned from."""
        return self.provenance.learned.union(*(part.model.learned for part in self.parts))

    @property
    def patch_scales(self) -> tuple[Float[Array, ""], ...]:
        return tuple(e.patch_scale for e in self.experts)

    def astype(self, dtype: DTypeLike) -> Model:
        """The model as JAX arrays, those of floating-point numbers in ``dtype``.

        Raises ValueError for float64 unless jax_enable_x64 is set.
        """
        check_dtype(dtype)

        def convert(array):
            return jnp.asarray(array, dtype if jnp.issubdtype(array.dtype, jnp.floating) else array.dtype)

        return jax.tree.map(convert, self)


def check_dtype(dtype: DTypeLike) -> None:
    """Raise ValueError for float64 unless jax_enable_x64 is set."""
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise ValueError('float64 models need jax.config.update("jax_enable_x64", True)')


EYES = ("left_eye_28", "right_eye_28")
"""Names of the parts that are eyes; first the one on the left of the image."""


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
    """What became of a fit; OK and NOT_CONVERGED carry usable landmarks."""

    OK = 0
    NOT_CONVERGED = 1  # the last step of the last stage still moved the face visibly
    FACE_TOO_SMALL = 2  # for every scale, or for `FitConfig.min_scale`
    BOX_INVALID = 3  # empty, negative or not finite
    BOX_OUTSIDE = 4  # does not touch the image
    NOT_FINITE = 5  # the image holds values that are not finite, or the solve broke down
    NO_STAGE = 6  # the settings name no scale that the model has


STATUS_WORDS = {
    Status.OK: "ok",
    Status.NOT_CONVERGED: "not converged",
    Status.FACE_TOO_SMALL: "face too small",
    Status.BOX_INVALID: "box is empty, negative or not finite",
    Status.BOX_OUTSIDE: "box outside the photo",
    Status.NOT_FINITE: "broke down",
    Status.NO_STAGE: "no stage of the settings fits the model's scales",
}
"""A `Status` in words, as tables have it."""


def usable(status: int) -> bool:
    """Whether a fit of this status carries landmarks that mean something."""
    return status in (Status.OK, Status.NOT_CONVERGED)


@pytree
class PartFit:
    """What was fitted of a part of a face; where the face is too small, what follows from the whole."""

    landmarks: Float[Array, "*batch n_part_points 2"]  # the part's own, pixels
    params: FaceParams  # of its own PDM
    log_likelihood: Float[Array, "*batch"]


@pytree
class FitResult:
    """What a fit found; batches carry a leading axis on every field."""

    # x, y in pixels of the image; those of the parameters, but where parts were fitted or tries averaged
    landmarks: Float[Array, "*batch n_points 2"]
    params: FaceParams
    log_likelihood: Float[Array, "*batch"]
    landmark_likelihoods: Float[Array, "*batch n_points"]  # invisible landmarks: -1e8
    view: Int[Array, "*batch"]  # of the last stage
    iterations: Int[Array, "*batch n_stages 2"]  # rigid, non-rigid
    converged: Bool[Array, "*batch"]  # the last step was within the tolerance; five steps seldom suffice
    status: Int[Array, "*batch"]  # a `Status`
    parts: dict[str, PartFit] = field(default_factory=dict)  # that the settings name and the model has
    # of each landmark's error, pixels squared, by a convolutional expert's maps; None of settings without one
    covariance: Float[Array, "*batch n_points 2 2"] | None = None

    def to_frame(self) -> pl.DataFrame:
        """Give one face or a batch as a polars data frame of a row a face.

        Its columns are those of the tables of photos that a result knows, in their order: ``face`` (counted
        from 0), ``x_0`` .. and ``y_0`` .. (landmarks, pixels), ``p_scale``, ``p_rx`` .. ``p_ty``, ``p_0`` ..
        (the parameters), ``status`` (in words) and ``log_likelihood``. As there, numbers of a fit that came
        to nothing are NaN. Other libraries take the frame by Arrow or its ``to_pandas``.

        Raises ImportError without polars, and ValueError for results of more axes than one.
        """
        try:
            import polars as pl
        except ImportError as error:
            raise ImportError("to_frame makes a polars data frame: `pip install polars` first") from error
        if np.ndim(self.status) > 1:
            raise ValueError(
                f"expected the result of a face or of a row of faces, got {np.shape(self.status)}"
            )
        status = np.atleast_1d(self.status)
        names = point_columns(self.landmarks.shape[-2], "xy") + param_columns(self.params.shape.shape[-1])
        trusted = np.array([usable(s) for s in status], bool)
        values = np.where(trusted[:, None], self._numbers(), np.nan).T
        return pl.DataFrame(
            {
                "face": np.arange(len(status)),
                **dict(zip(names, values, strict=True)),
                "status": pl.Series([STATUS_WORDS[Status(s)] for s in status], dtype=pl.String),
                "log_likelihood": np.atleast_1d(np.asarray(self.log_likelihood, np.float64)),
            }
        )

    def _numbers(self) -> np.ndarray:
        """Landmarks and parameters, a row a face."""
        n_faces, params = np.size(self.status), self.params
        points = np.swapaxes(self.landmarks, -1, -2)
        parts = (points, params.scale, params.rotation, params.translation, params.shape)
        sizes = (2 * self.landmarks.shape[-2], 1, 3, 2, params.shape.shape[-1])
        rows = [
            np.reshape(np.asarray(p, np.float64), (n_faces, n)) for p, n in zip(parts, sizes, strict=True)
        ]
        return np.concatenate(rows, axis=1)


@pytree
class Camera:
    """Focal lengths and principal point of a pinhole camera, in pixels."""

    fx: Float[Array, "*batch"]
    fy: Float[Array, "*batch"]
    cx: Float[Array, "*batch"]
    cy: Float[Array, "*batch"]

    @classmethod
    def default(cls, width: float, height: float) -> Camera:
        """OpenFace's guess for a camera it knows nothing of: 500 pixels at 640 x 480, centred."""
        focal = (500 * width / 640 + 500 * height / 480) / 2
        return cls(*np.array([focal, focal, width / 2, height / 2], np.float32))

    @property
    def intrinsics(self) -> Float[Array, "*batch 4"]:
        return jnp.stack([self.fx, self.fy, self.cx, self.cy], axis=-1)


@pytree
class HeadPose:
    """Position of the model's origin, the middle of its mean shape, and rotation of the head."""

    translation: Float[Array, "*batch 3"]  # x right, y down, z away from the camera; millimetres
    rotation: Float[Array, "*batch 3"]  # Euler angles x, y, z, radians: R = Rx Ry Rz


@pytree
class EyeGaze:
    """Gaze of a face's two eyes; first the one on the left of the image, whose landmarks are 36 to 41."""

    directions: Float[Array, "*batch 2 3"]  # unit vectors in camera coordinates: (0, 0, -1) looks into it
    angles: Float[Array, "*batch 2"]  # of their mean, radians: to the image's right, then down
    landmarks: Float[Array, "*batch 2 n_eye_points 2"]  # of the eyes' own models, pixels
    landmarks_camera: Float[Array, "*batch 2 n_eye_points 3"]  # millimetres


@pytree
class Validator:
    """OpenFace 2's judge of fits: a network a view that looks at the face warped to a reference shape.

    Views lead all arrays; those with fewer triangles are padded with zeros.
    """

    view_centres: Float[Array, "n_views 3"]  # Euler angles, radians
    origin: Float[Array, "n_views 2"]  # of the warped picture, in reference coordinates
    triangles: Int[Array, "n_views n_triangles 3"]  # their landmarks
    alpha: Float[Array, "n_views n_triangles 3"]  # where in a triangle a reference point lies: `ops.warp`
    beta: Float[Array, "n_views n_triangles 3"]
    triangle_of: Int[Array, "n_views rows cols"]  # of each pixel, -1 outside the face
    mean: Float[Array, "n_views rows cols"]  # of the pixels over faces ...
    deviation: Float[Array, "n_views rows cols"]  # ... and how they vary; 1 outside
    kernels: tuple[Float[Array, "n_views n_out n_in kernel_h kernel_w"], ...]
    kernel_biases: tuple[Float[Array, "n_views n_out"], ...]
    weights: tuple[Float[Array, "n_views n_in n_out"], ...]  # of the connected layers
    weight_biases: tuple[Float[Array, "n_views n_out"], ...]
    older: bool = static(default=False)  # that of 2016: sigmoids, means of pixels and one score


@pytree
class Validation:
    """What a `Validator` says of a fit."""

    certainty: Float[Array, "*batch"]  # 0.975 surely a face, in steps of 0.05 to 0.025; 0 outside the image
    scores: Float[Array, "*batch n_scores"]  # of the steps, the highest decides
    view: Int[Array, "*batch"]
