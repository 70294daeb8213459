"""A landmark model: shape, experts, parts, and what is known about them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxclnf.config import FitConfig, Stage
from jaxclnf.pytrees import brief, pytree, static
from jaxclnf.types.experts import CENExperts, ConvExperts, Experts, PatchExperts
from jaxclnf.wording import counted


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
class Part:
    """A model of a part of the face (inner face, an eye) and the landmarks it shares with the whole."""

    name: str = static()
    main_points: tuple[int, ...] = static()  # landmarks of the whole face ...
    part_points: tuple[int, ...] = static()  # ... and the part's landmarks that are the same points
    model: Model = field()


@dataclass(frozen=True)
class Provenance:
    """Origin of a model and the terms of its use.

    ``learned`` holds the digest (`jaxclnf.data.datasets.photo_digest`) of every photo that the model was
    trained on; it is empty if they are unknown.
    """

    name: str = ""
    source: str = ""
    licence: str = ""
    learned: frozenset[bytes] = field(default=frozenset(), repr=False)  # a set has no order


@pytree
class Calibration:
    """Logistic regression from a fit's signs to its confidence, the probability that it found the face.

    The first row is for fits that end with patch experts, the second for fits that end with a network; the
    signs are those of `jaxclnf.models.calibration.signs`. `jaxclnf.models.calibration.confidences` applies
    it; `jaxclnf.training.calibrate.fit_calibration` learns it from annotated faces.
    """

    slopes: Float[Array, "2 n_signs"]
    bias: Float[Array, "2"]


@pytree
class Visibility:
    """Logistic regression from how far networks' maps spread to whether a landmark is visible.

    `jaxclnf.fitting.visibility.visibility` applies it; `jaxclnf.training.learned_visibility.learn_visibility`
    learns it from annotated faces that are partly covered.
    """

    usual: Float[Array, " n_points"]  # logarithm of the area that a visible landmark's covariance has
    slope: Float[Array, ""]  # of the logarithm of the odds by that of the area beyond the usual one
    bias: Float[Array, ""]


@pytree
class EarlyTermination:
    """OpenFace 2's rule for ending the search among tries after the first stage, for each view.

    A try is good enough if its log-likelihood times ``weights`` plus ``biases`` is above ``cutoffs``.
    """

    weights: Float[Array, " n_views"]
    biases: Float[Array, " n_views"]
    cutoffs: Float[Array, " n_views"]


_KINDS = {
    PatchExperts: ("scale of patch experts", "scales of patch experts"),
    CENExperts: ("scale of CEN experts", "scales of CEN experts"),
    ConvExperts: ("network", "networks"),
}


@pytree
class Model:
    """A landmark model: PDM, experts for several scales, parts, the settings that suit it, calibration."""

    pdm: PDM
    experts: tuple[Experts | ConvExperts, ...]
    parts: tuple[Part, ...] = ()
    provenance: Provenance = static(default=Provenance())
    settings: FitConfig = field(default_factory=FitConfig)  # of fits that are given none
    calibration: Calibration | None = None  # None: the confidence of fits is unknown
    early_termination: EarlyTermination | None = None  # None: tries are compared by their likelihoods
    visibility: Visibility | None = None  # None: whether landmarks are visible is unknown

    # for `jaxclnf.cache`: hundreds of arrays are looked at once, not at each call
    flat_once: ClassVar[bool] = True

    def __repr__(self) -> str:
        """Tell the model's name, kind and size in one line."""
        arrays = jax.tree.leaves(self)
        if not all(hasattr(array, "nbytes") for array in arrays):  # a tree of something else, as of axes
            return brief(self)
        name = repr(self.provenance.name) if self.provenance.name else "without a name"
        said = [f"{self.pdm.n_points} landmarks", f"{self.pdm.n_modes} modes", *self._kinds()]
        said += [f"part {part.name}" for part in self.parts]
        return f"<Model {name}: {', '.join(said)}; {sum(array.nbytes for array in arrays) / 1e6:.1f} MB>"

    def _kinds(self) -> list[str]:
        """Say what experts there are, each kind with their number: of scales, or of networks."""
        numbers = Counter(_KINDS[type(experts)] for experts in self.experts)
        return [counted(n, *words) for words, n in numbers.items()] or ["no experts"]

    @property
    def learned(self) -> frozenset[bytes]:
        """Digests of the photos that the model and its parts were trained on."""
        return self.provenance.learned.union(*(part.model.learned for part in self.parts))

    def stages_of(self, config: FitConfig) -> list[tuple[int, Stage, Experts | ConvExperts]]:
        """List the stages of settings on the model's scales: number among all stages, stage, its experts."""
        return [(i, stage, self.experts[stage.scale]) for i, stage in config.stages_on(len(self.experts))]

    def astype(self, dtype: DTypeLike) -> Model:
        """Convert the model to JAX arrays, with floating-point numbers in ``dtype``.

        Raises ValueError for float64 unless jax_enable_x64 is set.
        """
        check_dtype(dtype)

        def convert(array):
            return jnp.asarray(array, dtype if jnp.issubdtype(array.dtype, jnp.floating) else array.dtype)

        return jax.tree.map(convert, self)


def check_dtype(dtype: DTypeLike, of: str = "model") -> None:
    """Raise ValueError, naming what it is ``of``, for all but float32 and, with jax_enable_x64, float64."""
    try:
        fine = jnp.dtype(dtype) in (jnp.float32, jnp.float64)
    except TypeError:
        fine = False
    if not fine:
        raise ValueError(f"a {of} of {dtype!r:.60}, expected numpy.float32 or numpy.float64")
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise ValueError(f'float64 {of}s need jax.config.update("jax_enable_x64", True)')
