"""The nouns of the package: models, face parameters, settings and results, all JAX PyTrees.

Sizes used in the annotations: ``n_points`` landmarks, ``n_modes`` shape modes, ``n_views`` views,
``n_neurons`` neurons of a patch expert, ``n_edges`` edge terms, ``n_stages`` stages of a fit,
``n_starts`` start rotations.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int


def static(**options) -> Any:
    """A field of a `pytree` that is part of its structure, not a leaf."""
    return field(metadata={"static": True}, **options)


@dataclass_transform(frozen_default=True, field_specifiers=(field, static))
def pytree(cls):
    """Register a frozen dataclass with JAX; fields made by `static` go into the tree's structure."""
    cls = dataclass(frozen=True)(cls)
    names = {True: [], False: []}
    for f in fields(cls):
        names[bool(f.metadata.get("static"))].append(f.name)
    return jax.tree_util.register_dataclass(cls, data_fields=names[False], meta_fields=names[True])


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
class Part:
    """A model of a part of the face (inner face, an eye) and the landmarks it shares with the whole."""

    name: str = static()
    main_points: tuple[int, ...] = static()  # landmark of the whole face ...
    part_points: tuple[int, ...] = static()  # ... and the part's landmark it equals
    model: Model = field()


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from and on which terms it may be used.

    ``learned`` holds the digest (`jaxclnf.data.datasets.photo_digest`) of every photo that the model learned
    from; empty: unknown.
    """

    name: str = ""
    source: str = ""
    licence: str = ""
    learned: frozenset[bytes] = frozenset()


@pytree
class Calibration:
    """What a log-likelihood promises: a logistic curve over it, 1/2 at ``centre``, as steep as ``slope``.

    `jaxclnf.models.calibration.confidences` applies it; `jaxclnf.training.calibrate.fit_calibration` finds it
    on annotated faces.
    """

    centre: Float[Array, ""]
    slope: Float[Array, ""]


@pytree
class Model:
    """A landmark model: PDM, patch experts from coarse to fine, parts, suitable settings, calibration."""

    pdm: PDM
    experts: tuple[PatchExperts, ...]
    parts: tuple[Part, ...] = ()
    provenance: Provenance = static(default=Provenance())
    settings: FitConfig = field(default_factory=lambda: FitConfig())  # of a fit that names none
    calibration: Calibration | None = None  # without one, how sure fits are is unknown

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
        if jax.dtypes.canonicalize_dtype(dtype) != dtype:
            raise ValueError('float64 models need jax.config.update("jax_enable_x64", True)')

        def convert(array):
            return jnp.asarray(array, dtype if jnp.issubdtype(array.dtype, jnp.floating) else array.dtype)

        return jax.tree.map(convert, self)


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


# OpenFace adapts its settings to a scale by L = log2(patch_scale / 0.25) of its four usual scales.
_OPENFACE_LEVELS = np.log2(np.array([0.25, 0.35, 0.5, 1.0]) / 0.25)
_OPENFACE_STARTS = np.pi / 6 * np.array([[0, 0, 0], [0, 1, 0], [0, -1, 0], [1, 0, 0], [-1, 0, 0.0]])


def _reg_factors(reg: float) -> Any:
    factors = reg - 15 * _OPENFACE_LEVELS
    return np.where(factors > 0, factors, 1e-3).astype(np.float32)


def _sigmas(sigma: float) -> Any:
    return (sigma + 0.25 * _OPENFACE_LEVELS).astype(np.float32)


def _weight_factors(weight: float) -> Any:
    return (weight * (1 + 2 * _OPENFACE_LEVELS)).astype(np.float32)


def _openface_starts(multi_view: bool) -> Any:
    return _OPENFACE_STARTS[: 5 if multi_view else 1].astype(np.float32)


def _default(make, *args) -> Any:
    return field(default_factory=partial(make, *args))


def _floats(*values: float) -> Any:
    return np.array(values, np.float32)


def _number(value: float) -> Any:
    return np.float32(value)


def _starts(*degrees: tuple[float, float, float]) -> Any:
    return np.radians(np.array(degrees, np.float32))


def _usual_parts() -> Any:
    return {"inner": FitConfig._inner(reg_factor=(0.5,), sigma=(1.5,), between_views=())}


# Heads on photos nod a little; few are turned further than these starts lead to.
_STARTS = ((10, 0, 0), (10, 25, 0), (10, -25, 0))
_MORE_YAWS = ((0, 15, 0), (0, -15, 0), (20, -35, 0), (20, 35, 0), (0, 50, 0), (0, -50, 0))
_NODS_AND_ROLLS = ((-10, 0, 0), (25, 0, 0), (10, 0, 20), (10, 0, -20), (5, 0, 35), (5, 0, -35))


@pytree
class FitConfig:
    """Settings of a fit. Changing a static field compiles anew; changing any other does not.

    Stage i fits on the model's scale ``scales[i]`` (without them, i) with a search window of
    ``windows[i]`` pixels (0 leaves the stage out) and up to ``iterations`` rigid, then as many non-rigid
    steps. ``scales`` and the per-stage arrays have an entry for every entry of ``windows``, or more;
    stages on scales that the model lacks are left out.

    The default is the best that experiments/20_settings found for OpenFace's general model at no more
    than three times the cost of OpenFace's own default.
    """

    windows: tuple[int, ...] = static(default=(11, 9, 7, 7))
    scales: tuple[int, ...] = static(default=(0, 1, 2, 2))
    iterations: int = static(default=5)
    kernel: Literal["exact", "grid"] = static(default="exact")  # grid: OpenFace's table, steps of 0.1 pixel
    reg_factor: Float[Array, " n_stages"] = _default(_floats, 15, 10, 5, 0.75)
    # of the mean-shift kernel, in reference pixels
    sigma: Float[Array, " n_stages"] = _default(_floats, 1.6, 1.4, 1.25, 1.15)
    # of the patch confidences; 0: all landmarks weigh the same
    weight_factor: Float[Array, " n_stages"] = _default(_floats, 1, 1, 1, 1)
    # Euler angles, radians; the likeliest result is kept, or with a temperature their average
    start_rotations: Float[Array, "n_starts 3"] = _default(_starts, *_STARTS)
    # a stage ends when the whole shape moves less, in pixels (2-norm)
    tolerance: Float[Array, ""] = _default(np.float32, 0.01)
    # smaller faces, in pixels per model unit, are given up
    min_scale: Float[Array, ""] = _default(np.float32, 0.25)
    # a scale is skipped when this share of its pixels per model unit exceeds the face's
    scale_margin: Float[Array, ""] = _default(np.float32, 0.9)
    # stages whose response maps, where a head is between two views, are those of both, each by its nearness
    between_views: tuple[int, ...] = static(default=(3,))
    # tries of a face that enter each stage, the likeliest so far; where empty, all go to the end
    keep: tuple[int, ...] = static(default=(3, 2, 1, 1))
    # what each landmark weighs in a step, beside its patch confidence
    landmark_weights: Float[Array, "*n_points"] = _default(np.float32, 1.0)
    # how much more than by its variance each mode is held back
    mode_stiffness: Float[Array, "*n_modes"] = _default(np.float32, 1.0)
    # shift of the box in its sizes, then the logarithm of what its width and height are multiplied by
    box_correction: Float[Array, "4"] = _default(np.zeros, 4, np.float32)
    # settings of the parts (the inner face, an eye) that are fitted after the whole, where the model has them
    parts: dict[str, FitConfig] = _default(_usual_parts)
    # as a part's settings: what its likelihood counts, beside the whole's, in the choice among tries
    vote: Float[Array, ""] = _default(np.float32, 0.0)
    # OpenFace's way: its search for the parameters, whose landmarks all are; else a part's are its own
    on_pdm: bool = static(default=False)
    # faces of more pixels per model unit are reduced to so many where they are cut out of photos; 0: never
    resolution: float = static(default=1.25)
    # what the shape's prior counts in the choice among tries: 1 by its probability, 0 not at all
    prior: Float[Array, ""] = _default(np.float32, 0.0)
    # above 0, a face's last tries are averaged, each weighing exp(score / temperature)
    temperature: float = static(default=0.0)

    @classmethod
    def best(cls) -> FitConfig:
        """The settings found most accurate with OpenFace's general model, whatever they cost.

        Fifteen starts go to the end on maps between views, each with the inner face fitted on its finer
        scale, on small faces too; their landmarks are averaged by how likely maps, inner face and shape
        make them.
        """
        return cls(
            windows=(13, 11, 9, 9, 7),
            scales=(0, 1, 1, 2, 2),
            reg_factor=_floats(15, 10, 10, 5, 0.75),
            sigma=_floats(1.6, 1.4, 1.4, 1.25, 1.15),
            weight_factor=_floats(1, 1, 1, 1, 1),
            start_rotations=_starts(*_STARTS, *_MORE_YAWS, *_NODS_AND_ROLLS),
            keep=(),
            box_correction=_floats(0, 0, 0.1, 0.1),
            between_views=(1, 2, 3, 4),
            parts={"inner": cls._inner(reg_factor=(2.5, 0.5), sigma=(1.75, 1.5), between_views=(0, 1))},
            prior=_number(2),
            temperature=0.08,
        )

    @classmethod
    def _inner(
        cls, reg_factor: Sequence[float], sigma: Sequence[float], between_views: tuple[int, ...]
    ) -> FitConfig:
        n = len(reg_factor)
        return cls(
            windows=(9,) * n,
            scales=(0,) * n,
            reg_factor=_floats(*reg_factor),
            sigma=_floats(*sigma),
            weight_factor=_floats(*(2.5,) * n),
            start_rotations=_starts((0, 0, 0)),
            keep=(),
            scale_margin=_number(0.5),
            between_views=between_views,
            parts={},
            vote=_number(1),
        )

    @classmethod
    def openface(cls, multi_view: bool = False, parts: Sequence[str] = ()) -> FitConfig:
        """OpenFace's default settings; ``multi_view`` tries its five start rotations.

        Its programs fit the part "inner" too, and where they look for gaze "left_eye_28", "right_eye_28".
        """
        return cls._openfaces(
            windows=(11, 9, 7, 5),
            reg_factor=_reg_factors(25.0),
            sigma=_sigmas(1.5),
            weight_factor=_weight_factors(0.0),
            start_rotations=_openface_starts(multi_view),
            parts={name: cls._openface_part(name) for name in parts},
            on_pdm=True,
        )

    @classmethod
    def openface_wild(cls, multi_view: bool = False, parts: Sequence[str] = ()) -> FitConfig:
        """OpenFace's settings for photos in the wild (its ``-wild`` flag); more as for `openface`."""
        return replace(
            cls.openface(multi_view, parts),
            windows=(15, 13, 11, 9),
            iterations=10,
            reg_factor=_reg_factors(35.0),
            sigma=_sigmas(1.25),
            weight_factor=_weight_factors(2.5),
        )

    @classmethod
    def _openface_part(cls, name: str) -> FitConfig:
        inner = name == "inner"
        return cls._openfaces(
            windows=(9,) if inner else (3, 5),
            reg_factor=_floats(2.5) if inner else _floats(0.5, 0.5),
            sigma=_floats(1.75) if inner else _floats(1, 1),
            weight_factor=_floats(2.5) if inner else _floats(0, 0),
            start_rotations=_starts((0, 0, 0)),
            parts={},
        )

    @classmethod
    def _openfaces(cls, **settings: Any) -> FitConfig:
        """OpenFace's kernel table; every start goes through each scale once, on maps of the nearest view."""
        return cls(scales=(), kernel="grid", keep=(), between_views=(), resolution=0.0, **settings)

    def stages(self, n_scales: int) -> list[tuple[int, int]]:
        """The stages that a model of so many scales goes through: their place in `windows`, their scale."""
        scales = self.scales or tuple(range(len(self.windows)))
        if len(scales) < len(self.windows):
            raise ValueError(
                f"expected a scale for every window; got scales {scales}, windows {self.windows}"
            )
        numbered = enumerate(zip(self.windows, scales, strict=False))
        return [(i, scale) for i, (window, scale) in numbered if window and scale < n_scales]

    def described(self) -> dict[str, Any]:
        """The settings ready for JSON; those of parts only if there are any."""
        plain = {
            f.name: np.asarray(getattr(self, f.name)).tolist() for f in fields(self) if f.name != "parts"
        }
        parts = {name: part.described() for name, part in self.parts.items()}
        return plain | ({"parts": parts} if parts else {})

    def tracking(self) -> FitConfig:
        """These settings for going on from a face's last place: on each scale, OpenFace's small window."""
        small = dict(enumerate((0, 9, 7, 5)))
        scales = self.scales or range(len(self.windows))
        stages = zip(self.windows, scales, strict=False)
        return replace(self, windows=tuple(small.get(scale, window) for window, scale in stages))


class Status(enum.IntEnum):
    """What became of a fit; OK and NOT_CONVERGED carry usable landmarks."""

    OK = 0
    NOT_CONVERGED = 1  # the last step of the last stage still moved the face visibly
    FACE_TOO_SMALL = 2  # for every scale, or for `FitConfig.min_scale`
    BOX_INVALID = 3  # empty, negative or not finite
    BOX_OUTSIDE = 4  # does not touch the image
    NOT_FINITE = 5  # the image holds values that are not finite, or the solve broke down
    NO_STAGE = 6  # the settings name no scale that the model has


def usable(status: int) -> bool:
    """Whether a fit of this status carries landmarks that mean something."""
    return status in (Status.OK, Status.NOT_CONVERGED)


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
    """Where a face's two eyes look; first the one on the left of the image, whose landmarks are 36 to 41."""

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


@pytree
class Validation:
    """What a `Validator` says of a fit."""

    certainty: Float[Array, "*batch"]  # 0.975 surely a face, in steps of 0.05 to 0.025; 0 outside the image
    scores: Float[Array, "*batch n_scores"]  # of the steps, the highest decides
    view: Int[Array, "*batch"]
