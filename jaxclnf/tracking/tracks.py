"""Faces that are followed: what is known of each, and how a fit of one is judged."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from jaxclnf.config import FitConfig, setting
from jaxclnf.fitting.validate import BOUNDARY
from jaxclnf.models.judge import how_sure
from jaxclnf.tracking.association import Box
from jaxclnf.tracking.following import Expected, fit_expected
from jaxclnf.tracking.shots import Sketch
from jaxclnf.types import FaceParams, FitResult, Model, Validator, usable

FAST = 0.03
"""Widths a frame from which on a face's motion is predicted, and twice that ..."""

JUST_ABOVE = BOUNDARY + 1e-4
"""The least certainty of the validator that is above its boundary, beyond rounding."""

HURRIED = 0.06
"""... from which on every frame's detections are asked for."""


class TrackConfig(NamedTuple):
    """Settings of a tracker.

    Following, landmarks weigh less unequally than in a photo, which steadies them: on OpenFace's sample video
    the acceleration falls by 3 %, on training photos followed for five frames the median error by 1 %
    (experiments/25_video).
    """

    fit: FitConfig
    follow_weight: float = 0.4  # of the weight factor that the settings have
    max_faces: int = 8
    succeeds: float = 0.1  # least confidence of a face that is followed
    appears: float = 0.3  # least confidence of a new one
    doubtful: float = 0.5  # confidence below which a detection is asked for
    detect_every: int = 8  # frames between looks while all goes well
    retry_every: int = 4  # frames between looks for lost ones
    forget_after: int = 150  # frames a lost face keeps its number
    validator: Validator | None = None  # says how sure fits are, in the calibration's place

    def validated(self, validator: Validator) -> TrackConfig:
        """Let OpenFace 2's validator decide, as it does there: a face is one above its boundary."""
        return self._replace(
            validator=validator, succeeds=JUST_ABOVE, appears=JUST_ABOVE, doubtful=JUST_ABOVE
        )

    def following(self, settings: FitConfig) -> FitConfig:
        """Settings as they are for a face that goes on from its last place."""
        return settings.changed(weight_factor=self.follow_weight * setting(settings, "weight_factor"))


class Track(NamedTuple):
    """A face that is followed: its number, and where it was last seen, ``lost`` frames ago."""

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
    def speed(self) -> float:
        """Speed in widths a frame."""
        return float(np.linalg.norm(self.velocity) / self.box[2])


class TrackerState(NamedTuple):
    """What a tracker knows between frames."""

    tracks: tuple[Track, ...] = ()
    next_id: int = 0
    frame: int = 0
    sketch: Sketch | None = None  # of the frame before


class Tracked(NamedTuple):
    """What a step says of a face in its frame; the landmarks of an unsuccessful fit are not to be trusted."""

    face_id: int
    result: FitResult
    confidence: float  # NaN: unknown
    success: bool


def fits(model: Model, config: TrackConfig, frame: np.ndarray, faces: list[Expected]) -> list[Tracked]:
    """Faces fitted from where they are expected: all at once, those too small for the small windows apart."""
    small = [too_small(model, config, face.params) for face in faces]
    found: dict[int, Tracked] = {}
    for kind in set(small):
        settings = settings_of(config, kind)
        chosen = [i for i, s in enumerate(small) if s == kind]
        results = fit_expected(model, settings, frame, [faces[i] for i in chosen])
        of_kind = judged(model, config, settings, frame, results, config.succeeds)
        found |= dict(zip(chosen, of_kind, strict=True))
    return [found[i] for i in range(len(faces))]


def settings_of(config: TrackConfig, small: bool) -> FitConfig:
    """The settings to go on with: the small windows, for small faces all."""
    return config.following(config.fit if small else config.fit.tracking())


def too_small(model: Model, config: TrackConfig, params: FaceParams) -> bool:
    """Whether a face is too small for the scales of the small windows, and goes on with all.

    Where small windows are on all scales, as those of networks, no face is.
    """
    following = config.fit.tracking()
    if following is config.fit:
        return False
    stages = following.stages_on(len(model.experts))
    scales = [float(model.experts[stage.scale].patch_scale) for _, stage in stages]
    return not scales or float(following.scale_margin) * min(scales) > float(params.scale)


def judged(
    model: Model,
    config: TrackConfig,
    settings: FitConfig,
    frame: np.ndarray,
    results: list[FitResult],
    least: float,
) -> list[Tracked]:
    """Fits in a frame and how sure each is; those below ``least`` are without success."""
    if not results:
        return []
    # Where it is unknown, as of a model without calibration, nothing is doubtful.
    batch = jax.tree.map(lambda *rows: np.stack(rows), *results)
    sure = how_sure(model, batch, settings, config.validator, [frame] * len(results))
    return [
        Tracked(-1, result, float(p), usable(int(result.status)) and not p < least)
        for result, p in zip(results, sure, strict=True)
    ]
