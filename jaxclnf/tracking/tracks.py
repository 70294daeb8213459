"""Tracks, which are the faces that are followed, and the judgement of their fits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral, Real
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from jaxclnf.config import FitConfig, Stage
from jaxclnf.fitting.arguments import check_kind
from jaxclnf.fitting.validate import BOUNDARY
from jaxclnf.models.confidence import how_sure
from jaxclnf.named_arrays import compared_by_numbers
from jaxclnf.tracking.association import Box
from jaxclnf.tracking.following import Expected, fit_expected, side_of
from jaxclnf.tracking.shots import Sketch
from jaxclnf.types import FaceParams, FitResult, Model, Validator

FAST = 0.03
"""Speed in widths per frame above which a face's motion is predicted, and twice that ..."""

HURRIED = 0.06
"""... above which detections of every frame are asked for."""

JUST_ABOVE = BOUNDARY + 1e-4
"""The validator's boundary, with a margin for rounding."""


@dataclass(frozen=True, eq=False)
class TrackConfig:
    """Settings of a tracker.

    In videos landmarks have less unequal weights than in photos, which steadies them: on OpenFace's sample
    video the acceleration is 4 % higher without (experiments/25_video). They stay on the shape, too, since
    what lies off it flickers: with the photos' freedom the acceleration is 2 % higher.
    """

    fit: FitConfig
    follow_weight: float = 0.4  # share of the settings' weight factor
    refine_weight: float = 0.15  # the same of stages that are held to what a network saw
    max_faces: int = 8
    succeeds: float = 0.1  # least confidence of a face that is followed
    appears: float = 0.3  # least confidence of a new one
    doubtful: float = 0.5  # confidence below which a detection is asked for
    detect_every: int = 8  # frames between looks while all goes well
    retry_every: int = 4  # frames between looks for lost ones
    forget_after: int = 150  # frames a lost face keeps its number
    validator: Validator | None = None  # gives the confidence of fits, in place of the calibration

    def __post_init__(self) -> None:
        if not isinstance(self.fit, FitConfig):
            raise ValueError(f"fit = {self.fit!r:.60}, expected the settings of fits, such as model.settings")
        for name, least in (("max_faces", 1), ("detect_every", 1), ("retry_every", 1), ("forget_after", 0)):
            number = getattr(self, name)
            if not isinstance(number, Integral) or number < least:
                raise ValueError(f"{name} = {number!r:.60}, expected a whole number of at least {least}")
        for name in ("follow_weight", "refine_weight", "succeeds", "appears", "doubtful"):
            number = getattr(self, name)
            if not isinstance(number, Real) or not 0 <= float(number) <= 1:
                raise ValueError(f"{name} = {number!r:.60}, expected a number from 0 to 1")
        if self.validator is not None:
            check_kind("validator", self.validator, Validator)

    def validated(self, validator: Validator | None) -> TrackConfig:
        """Let OpenFace 2's validator, if any, decide, as in OpenFace: a fit above its boundary is a face."""
        if validator is None:
            return self
        return replace(
            self, validator=validator, succeeds=JUST_ABOVE, appears=JUST_ABOVE, doubtful=JUST_ABOVE
        )

    @property
    def anticipates(self) -> bool:
        """Tell whether motion and detections say where a face is expected; OpenFace's settings do without."""
        return self.fit.kernel != "grid"

    @cached_property
    def anew(self) -> FitConfig:
        """Settings for a face that a detection shows: the whole fit, with landmarks on the shape."""
        return self.fit.changed(freedom=0)

    @cached_property
    def going_on(self) -> FitConfig:
        """Settings for a face that goes on from its last place: the small windows."""
        return self._following(self.anew.tracking())

    @cached_property
    def going_on_small(self) -> FitConfig:
        """Settings for a face that is too small for the scales of the small windows: all stages."""
        return self._following(self.anew)

    def _following(self, settings: FitConfig) -> FitConfig:
        def followed(stage: Stage) -> Stage:
            share = self.refine_weight if stage.anchor else self.follow_weight
            return replace(stage, weight_factor=share * stage.weight_factor)

        return replace(settings, stages=tuple(map(followed, settings.stages)))


@compared_by_numbers
class Track(NamedTuple):
    """A face that is followed: its number, and its place when it was last seen, ``lost`` frames ago."""

    face_id: int
    result: FitResult
    box: Box  # of the landmarks
    reduction: float  # of its canvas
    confidence: float
    velocity: Float[np.ndarray, "2"]  # of its middle, pixels a frame
    pace: float = 0.0  # its speed of late, widths a frame, which dies away
    age: int = 0  # frames in a row in which it was seen before
    offset: Float[np.ndarray, "2"] | None = None  # of its middle from its last detection's, in widths
    lost: int = 0
    unsure: int = 0  # frames in a row in which its fits would not have been believed in a new face
    recent: tuple[Box, ...] = ()  # its places of late, until it was lost

    @property
    def params(self) -> FaceParams:
        return self.result.params

    @property
    def is_young(self) -> bool:
        return self.age < 2

    @property
    def is_fast(self) -> bool:
        return self.speed > FAST

    @property
    def lies(self) -> bool:
        """Tell whether the face is turned onto a side, or upside down."""
        return side_of(self.params) != 0

    @property
    def speed(self) -> float:
        """Compute the speed in widths per frame."""
        return float(np.linalg.norm(self.velocity) / self.box[2])


@compared_by_numbers
class TrackerState(NamedTuple):
    """The state of a tracker between two frames."""

    tracks: tuple[Track, ...] = ()
    next_id: int = 0
    frame: int = 0
    sketch: Sketch | None = None  # of the frame before
    shot: int = 0  # the frame with which the shot began
    was_bright: bool = False  # whether a frame was brighter than 1, so that ones of floats up to 1 are dark

    @property
    def since_cut(self) -> int:
        """Tell how many frames of the shot there were."""
        return self.frame - self.shot


def later(state: TrackerState, n: int) -> TrackerState:
    """Make the state ``n`` frames later, if followed faces stay where they are and lost ones stay lost."""
    tracks = tuple(t._replace(lost=t.lost + n) if t.lost else t._replace(age=t.age + n) for t in state.tracks)
    return state._replace(tracks=tracks, frame=state.frame + n)


def check_tracker(config: object, state: object) -> None:
    """Raise ValueError for a tracker's settings or state that are something else."""
    for name, value, expected in (("config", config, TrackConfig), ("state", state, TrackerState)):
        if not isinstance(value, expected):
            made = f"{expected.__name__}({'model.settings' if expected is TrackConfig else ''})"
            raise ValueError(f"the {name} is of type {type(value).__name__}; jaxclnf.{made} makes one")


@compared_by_numbers
class Tracked(NamedTuple):
    """A face in a frame; the landmarks are to be trusted only with ``success``."""

    face_id: int
    result: FitResult
    confidence: float  # NaN: unknown
    success: bool


def fits(model: Model, config: TrackConfig, frame: np.ndarray, faces: list[Expected]) -> list[Tracked]:
    """Fit faces from their expected places: all at once, but those too small for the small windows apart."""
    small = [too_small(model, config, face.params) for face in faces]
    found: dict[int, Tracked] = {}
    for kind in set(small):
        settings = config.going_on_small if kind else config.going_on
        chosen = [i for i, s in enumerate(small) if s == kind]
        results = fit_expected(model, settings, frame, [faces[i] for i in chosen])
        of_kind = judged(model, config, settings, frame, results, config.succeeds)
        found |= dict(zip(chosen, of_kind, strict=True))
    return [found[i] for i in range(len(faces))]


def too_small(model: Model, config: TrackConfig, params: FaceParams) -> bool:
    """Tell whether a face is too small for the scales of the small windows, and goes on with all stages.

    No face is, if the small windows are on all scales, as with networks.
    """
    following = config.fit.tracking()
    if following is config.fit:
        return False
    scales = [float(experts.patch_scale) for _, _, experts in model.stages_of(following)]
    return not scales or float(following.scale_margin) * min(scales) > float(params.scale)


def judged(
    model: Model,
    config: TrackConfig,
    settings: FitConfig,
    frame: np.ndarray,
    results: list[FitResult],
    least: float,
) -> list[Tracked]:
    """Judge the fits in a frame by their confidence; those below ``least`` have no success."""
    if not results:
        return []
    # Nothing is doubtful if the confidence is unknown, as for a model without calibration.
    batch = jax.tree.map(lambda *rows: np.stack(rows), *results)
    sure = how_sure(model, batch, settings, config.validator, [frame] * len(results))
    return [
        Tracked(-1, result, float(p), bool(result.usable) and not p < least)
        for result, p in zip(results, sure, strict=True)
    ]
