"""Followed faces smoothed over time: a Kalman filter forward in time, then back from the frames ahead.

All that is said of a face (its parameters, what its landmarks are off them, its parts, how sure it is) is one
vector that moves with nearly constant velocity. Two gains a frame hold for it: one for the head, which is
heavy, and one for its features, which are quick: with the head's, a blink would be smoothed away, and lids
and lips tremble hardly less for it. Lengths are model units.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float, Int

from jaxclnf.tracking.state_vector import (
    USUAL_VARIANCE,
    Course,
    are_features,
    replaced,
    said_of,
    variance_of,
)
from jaxclnf.tracking.tracks import Tracked
from jaxclnf.types import Model

T = TypeVar("T")

_JITTER = 0.32
"""Standard deviation of a landmark's place from frame to frame, where it is seen clearly."""

_LEAP = 4.0
"""A face so far from where its last two places lead has leaped: it is believed to be where it is seen ..."""

_LEAP_IN_PIXELS = 7.0
"""... as one that is so many pixels off, if it is large, ..."""

_UNUSUAL = 3.0
"""... and so many times as far as it was of late, which its motion does not explain, ..."""

_LANDING = 3
"""... for so many frames: it may be taken back to its place in several, or go on at another speed."""

_OF_LATE = 5  # frames
_FIRST_SPEED = 5.0  # standard deviation of a new face's velocity, a frame
_LEAPING_SPEED = 10.0  # that of a change of velocity in a leap
_ON = np.array([[1.0, 1.0], [0.0, 1.0]])  # place and velocity, a frame later


class Smoothing(NamedTuple):
    """How many frames ahead are looked at, and how much a velocity changes a frame."""

    look_ahead: int
    agility: float  # of the head, whose place and turn are smoothed
    features: float = 0.4  # of the shape and of what landmarks are off it
    farthest: float = 7.0  # that landmarks may be put from where they were seen, root mean square


ONLINE, OFFLINE = Smoothing(1, agility=0.1, farthest=3.0), Smoothing(8, agility=0.038)


class _Belief(NamedTuple):
    """Place and velocity of a vector, and the covariance of both: of numbers of the head, and of features."""

    mean: Float[np.ndarray, "2 n"]
    covariance: Float[np.ndarray, "2 2 2"]


class _Moment(NamedTuple):
    """What is believed of a face in a frame, before and after it was looked at."""

    found: Tracked
    kinds: Int[np.ndarray, " n"]  # of the vector's numbers: 1 for those of features, 0 for others
    before: _Belief | None  # None: the face has just come
    after: _Belief
    moved: Float[np.ndarray, "n_points 2"] | float = 0.0  # landmarks, since the frame before; pixels
    usual: float = 0.0  # pixels by which they were off where their last two places led, of late
    landing: int = 0  # frames for which it is still believed to be where it is seen


class _Waiting(NamedTuple):
    """A frame whose faces wait for those ahead."""

    of: object
    seen: list[Tracked]
    moments: dict[int, _Moment]  # by face, of those that were seen


def smoothed(
    model: Model, frames: Iterable[tuple[T, list[Tracked]]], how: Smoothing
) -> Iterator[tuple[T, list[Tracked]]]:
    """Frames with what a tracker's step says of each, smoothed; they come ``how.look_ahead`` frames late.

    Where a face is lost its course ends, and begins anew when it is seen again.
    """
    course = Course(model)
    waiting: deque[_Waiting] = deque()
    before: dict[int, _Moment] = {}
    for of, seen in frames:
        before = {
            found.face_id: _moment(course, how, before.get(found.face_id), found)
            for found in seen
            if found.success
        }
        waiting.append(_Waiting(of, seen, before))
        if len(waiting) > how.look_ahead:
            yield _looked_back(course, how, waiting)
    while waiting:
        yield _looked_back(course, how, waiting)


def _moment(course: Course, how: Smoothing, before: _Moment | None, found: Tracked) -> _Moment:
    noise = _JITTER**2 * float(np.clip(variance_of(found) / USUAL_VARIANCE, 0.25, 16))
    if before is None:
        seen = said_of(course, found, None)
        still = np.stack([seen, np.zeros_like(seen)])
        unsure = np.stack([np.diag([noise, _FIRST_SPEED**2])] * 2)
        return _Moment(found, are_features(course, found).astype(int), None, _Belief(still, unsure))
    expected = _expected(how, before.after)
    moved = np.asarray(found.result.landmarks) - np.asarray(before.found.result.landmarks)
    off = float(np.sqrt(((moved - before.moved) ** 2).sum(-1).mean()))
    landing = _LANDING if _leaped(off, before.usual, found) else max(before.landing - 1, 0)
    if landing:
        expected = expected._replace(covariance=expected.covariance + np.diag([_LEAP**2, _LEAPING_SPEED**2]))
    seen = said_of(course, found, expected.mean[0])
    usual = before.usual + (off - before.usual) / _OF_LATE
    after = _corrected(expected, seen, noise, before.kinds)
    return _Moment(found, before.kinds, expected, after, moved, usual, landing)


def _expected(how: Smoothing, belief: _Belief) -> _Belief:
    """The belief a frame later, velocity having changed by chance."""
    agility = np.array([how.agility, how.features])[:, None, None]
    change = agility**2 * np.array([[1 / 4, 1 / 2], [1 / 2, 1]])
    return _Belief(_ON @ belief.mean, _ON @ belief.covariance @ _ON.T + change)


def _corrected(
    expected: _Belief, seen: Float[np.ndarray, " n"], noise: float, kinds: Int[np.ndarray, " n"]
) -> _Belief:
    """The belief after a look of so much variance."""
    gain = expected.covariance[:, :, :1] / (expected.covariance[:, :1, :1] + noise)
    mean = expected.mean + gain[kinds, :, 0].T * (seen - expected.mean[0])
    return _Belief(mean, expected.covariance - gain * expected.covariance[:, :1])


def _leaped(off: float, usual: float, found: Tracked) -> bool:
    """Tell whether a face's landmarks, ``off`` pixels from where they were expected, have leaped there."""
    return off > _LEAP * float(found.result.params.scale) or off > max(_LEAP_IN_PIXELS, _UNUSUAL * usual)


def _looked_back(course: Course, how: Smoothing, waiting: deque[_Waiting]) -> tuple:
    """The frame that has waited longest, its faces smoothed by what came after (Rauch, Tung and Striebel)."""
    frame, *later = waiting
    waiting.popleft()
    seen = [
        _near(course, how, found, _smooth(found.face_id, frame.moments[found.face_id], later))
        if found.success
        else found
        for found in frame.seen
    ]
    return frame.of, seen


def _near(course: Course, how: Smoothing, found: Tracked, vector: Float[np.ndarray, " n"]) -> Tracked:
    """The face of a smoothed vector, drawn back to where it was seen as far as it is too far from there."""
    smooth = replaced(course, found, vector)
    apart = np.asarray(smooth.result.landmarks) - np.asarray(found.result.landmarks)
    far = float(np.sqrt((apart**2).sum(-1).mean()) / np.asarray(found.result.params.scale))
    if far <= how.farthest:
        return smooth
    seen = said_of(course, found, vector)
    return replaced(course, found, seen + (vector - seen) * how.farthest / far)


def _smooth(face_id: int, moment: _Moment, later: list[_Waiting]) -> Float[np.ndarray, " n"]:
    """A face's vector, given the frames after it."""
    moments = [moment]
    for frame in later:
        after = frame.moments.get(face_id)
        if after is None or after.before is None:
            break
        moments.append(after)
    mean = moments[-1].after.mean
    for now, then in zip(moments[-2::-1], moments[:0:-1], strict=True):
        assert then.before is not None
        back = now.after.covariance @ _ON.T @ np.linalg.inv(then.before.covariance)
        mean = now.after.mean + np.einsum("nij,jn->in", back[moment.kinds], mean - then.before.mean)
    return mean[0]
