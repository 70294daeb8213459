"""Faces followed through the frames of a video: a pure step from one frame's state to the next.

Each face goes on from its last place with the small windows (`FitConfig.tracking`), or with the large ones
while it is lost. Detections start new faces and bring lost ones back; their numbers stay.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float, UInt8

from jaxclnf.config import FitConfig, setting
from jaxclnf.fitting.fit import fit, fit_from
from jaxclnf.models.calibration import confidences
from jaxclnf.types import FaceParams, FitResult, Model, usable

Box = Float[np.ndarray, "4"]

MAX_SETTLING = 20
SETTLED = 0.005
"""A new face is at rest when no landmark moves by more pixels in another fit of its frame."""


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
    detect_every: int = 8  # frames between looks for new faces
    retry_every: int = 4  # frames between looks for lost ones
    forget_after: int = 150  # frames a lost face keeps its number

    def following(self, settings: FitConfig) -> FitConfig:
        """Settings as they are for a face that goes on from its last place."""
        return settings.changed(weight_factor=self.follow_weight * setting(settings, "weight_factor"))


class Track(NamedTuple):
    """A face that is followed: its number, and where it was last seen, ``lost`` frames ago."""

    face_id: int
    params: FaceParams
    box: Box  # of the landmarks
    lost: int = 0


class TrackerState(NamedTuple):
    """What a tracker knows between frames."""

    tracks: tuple[Track, ...] = ()
    next_id: int = 0
    frame: int = 0


class Tracked(NamedTuple):
    """What a step says of a face in its frame; the landmarks of an unsuccessful fit are not to be trusted."""

    face_id: int
    result: FitResult
    confidence: float  # NaN: unknown
    success: bool


def wants_detections(config: TrackConfig, state: TrackerState) -> bool:
    """Whether the next step should be given the detections of its frame."""
    lost = [track.lost for track in state.tracks if track.lost]
    if any(n % config.retry_every == 1 for n in lost):
        return True
    followed = len(state.tracks) - len(lost)
    every = config.detect_every if followed else config.retry_every
    return followed < config.max_faces and state.frame % every == 0


def step(
    model: Model,
    config: TrackConfig,
    state: TrackerState,
    frame: UInt8[np.ndarray, "height width"],
    detections: Float[np.ndarray, "n_faces 4"],
) -> tuple[TrackerState, list[Tracked]]:
    """Follow every face into ``frame`` (grey) and take in what was detected there, boxes x, y, w, h.

    Returns the next state and each face's fit, lost faces with ``success`` False.
    """
    seen = [_follow(model, config, track, frame) for track in state.tracks]
    seen = _without_doubles(state.tracks, seen)
    tracks = [_after(track, found) for track, found in zip(state.tracks, seen, strict=True)]
    next_id = state.next_id
    for box in detections:
        if any(not t.lost and overlap(t.box, box) > 0.2 for t in tracks):
            continue
        found = _begin(model, config, box, frame, next_id)
        place = landmark_box(found.result.landmarks)
        if not found.success or any(not t.lost and overlap(t.box, place) > 0.2 for t in tracks):
            continue
        i = _returning(tracks, place, config)
        if i is None and sum(not t.lost for t in tracks) >= config.max_faces:
            continue
        if i is None:
            tracks.append(Track(next_id, found.result.params, place))
            seen.append(found)
            next_id += 1
        else:
            seen[i] = found._replace(face_id=tracks[i].face_id)
            tracks[i] = _after(tracks[i], seen[i])
    kept = tuple(track for track in tracks if track.lost <= config.forget_after)
    return TrackerState(kept, next_id, state.frame + 1), seen


def _begin(model: Model, config: TrackConfig, box: Box, frame: np.ndarray, face_id: int) -> Tracked:
    """A new face, followed within its first frame until it rests.

    A fit stops while it still creeps. What is left of its way is not to be seen as motion in later frames.
    """
    result = jax.device_get(fit(model, frame, np.asarray(box, np.float32), config.fit))
    for _ in range(MAX_SETTLING if usable(int(result.status)) else 0):
        before = result.landmarks
        settings = _following(model, config, result.params)
        result = jax.device_get(fit_from(model, frame, result.params, settings))
        if np.abs(result.landmarks - before).max() < SETTLED:
            break
    return _judged(model, config.fit, face_id, result, config.appears)


def _follow(model: Model, config: TrackConfig, track: Track, frame: np.ndarray) -> Tracked:
    """The face's fit in the next frame, from where it was last seen."""
    settings = config.fit if track.lost else _following(model, config, track.params)
    result = jax.device_get(fit_from(model, frame, track.params, settings))
    return _judged(model, settings, track.face_id, result, config.succeeds)


def _following(model: Model, config: TrackConfig, params: FaceParams) -> FitConfig:
    """The settings to go on with: all windows for a face too small for the scales of the small ones."""
    small = config.following(config.fit.tracking())
    stages = small.stages_on(len(model.experts))
    scales = [float(model.experts[stage.scale].patch_scale) for _, stage in stages]
    too_small = not scales or float(small.scale_margin) * min(scales) > float(params.scale)
    return config.following(config.fit) if too_small else small


def _judged(model: Model, settings: FitConfig, face_id: int, result: FitResult, least: float) -> Tracked:
    batch = jax.tree.map(lambda a: np.asarray(a)[None], result)
    sure = float(confidences(model, batch, settings)[0])
    doubtful = sure < least  # unknown, as of a model without calibration, is no doubt
    return Tracked(face_id, result, sure, usable(int(result.status)) and not doubtful)


def _after(track: Track, found: Tracked) -> Track:
    """A track after its fit: where it was found, or one frame longer lost."""
    if not found.success:
        return track._replace(lost=track.lost + 1)
    return Track(track.face_id, found.result.params, landmark_box(found.result.landmarks))


def _without_doubles(tracks: tuple[Track, ...], seen: list[Tracked]) -> list[Tracked]:
    """Of two faces that ended up on one, the one that came farther is lost."""
    boxes = [landmark_box(found.result.landmarks) for found in seen]
    stayed = [
        overlap(track.box, box) - 2 * (track.lost > 0) for track, box in zip(tracks, boxes, strict=True)
    ]
    kept: list[int] = []
    for i in sorted(range(len(seen)), key=lambda i: -stayed[i]):
        if seen[i].success and all(overlap(boxes[i], boxes[j]) < 0.5 for j in kept):
            kept.append(i)
    return [found if i in kept else found._replace(success=False) for i, found in enumerate(seen)]


def _returning(tracks: list[Track], box: Box, config: TrackConfig) -> int | None:
    """The lost face that a new one is taken for: the only face there can be, or the nearest of like size."""
    lost = [i for i, track in enumerate(tracks) if track.lost]
    if config.max_faces == 1:
        return lost[0] if lost else None
    near = [(_distance(tracks[i].box, box), i) for i in lost]
    return min((pair for pair in near if pair[0] < 1.5), default=(0.0, None))[1]


def _distance(a: Box, b: Box) -> float:
    """How far two boxes' middles lie apart, in widths, plus how unlike their sizes are, in octaves."""
    apart = np.linalg.norm(a[:2] + a[2:] / 2 - b[:2] - b[2:] / 2) / np.sqrt(a[2] * b[2])
    return float(apart + abs(np.log2(a[2] * a[3] / (b[2] * b[3])) / 2))


def landmark_box(landmarks: ArrayLike) -> Box:
    """The tight box x, y, w, h of landmarks (n, 2)."""
    points = np.asarray(landmarks)
    return np.concatenate([points.min(axis=0), np.ptp(points, axis=0)])


def overlap(a: Box, b: Box) -> float:
    """Area that two boxes share, divided by the area of both."""
    shared = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    area = float(np.prod(np.maximum(shared, 0)))
    both = float(a[2] * a[3] + b[2] * b[3]) - area
    return area / both if both > 0 else 0.0
