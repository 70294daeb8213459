"""Followed faces smoothed over time: a Kalman filter forward in time, then back from the frames ahead.

All that is said of a face (its parameters, what its landmarks are off them, its parts, how sure it is) is one
vector that moves with nearly constant velocity. One gain a frame holds for all of it: what errs together, as
a turn of the head and the shape modes that make up for it, is smoothed together. Lengths are model units.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float

from jaxclnf.tracking.state_vector import USUAL_VARIANCE, Course, replaced, said_of, variance_of
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
"""... for so many frames: it may be taken back to its place in several."""

_OF_LATE = 5  # frames
_FIRST_SPEED = 5.0  # standard deviation of a new face's velocity, a frame
_ON = np.array([[1.0, 1.0], [0.0, 1.0]])  # place and velocity, a frame later


class Smoothing(NamedTuple):
    """How many frames ahead are looked at, and how much a face's velocity changes a frame."""

    look_ahead: int
    agility: float


ONLINE, OFFLINE = Smoothing(look_ahead=1, agility=0.1), Smoothing(look_ahead=8, agility=0.038)


class _Belief(NamedTuple):
    """Place and velocity of a vector, and the covariance that each of its numbers has of both."""

    mean: Float[np.ndarray, "2 n"]
    covariance: Float[np.ndarray, "2 2"]


class _Moment(NamedTuple):
    """What is believed of a face in a frame, before and after it was looked at."""

    found: Tracked
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
            yield _looked_back(course, waiting)
    while waiting:
        yield _looked_back(course, waiting)


def _moment(course: Course, how: Smoothing, before: _Moment | None, found: Tracked) -> _Moment:
    noise = _JITTER**2 * float(np.clip(variance_of(found) / USUAL_VARIANCE, 0.25, 16))
    if before is None:
        seen = said_of(course, found, None)
        still = np.stack([seen, np.zeros_like(seen)])
        return _Moment(found, None, _Belief(still, np.diag([noise, _FIRST_SPEED**2])))
    expected = _expected(how, before.after)
    moved = np.asarray(found.result.landmarks) - np.asarray(before.found.result.landmarks)
    off = float(np.sqrt(((moved - before.moved) ** 2).sum(-1).mean()))
    landing = _LANDING if _leaped(off, before.usual, found) else max(before.landing - 1, 0)
    if landing:
        expected = expected._replace(covariance=expected.covariance + np.diag([_LEAP**2, 0.0]))
    seen = said_of(course, found, expected.mean[0])
    usual = before.usual + (off - before.usual) / _OF_LATE
    return _Moment(found, expected, _corrected(expected, seen, noise), moved, usual, landing)


def _expected(how: Smoothing, belief: _Belief) -> _Belief:
    """The belief a frame later, velocity having changed by chance."""
    change = how.agility**2 * np.array([[1 / 4, 1 / 2], [1 / 2, 1]])
    return _Belief(_ON @ belief.mean, _ON @ belief.covariance @ _ON.T + change)


def _corrected(expected: _Belief, seen: Float[np.ndarray, " n"], noise: float) -> _Belief:
    """The belief after a look of so much variance."""
    gain = expected.covariance[:, 0] / (expected.covariance[0, 0] + noise)
    mean = expected.mean + gain[:, None] * (seen - expected.mean[0])
    return _Belief(mean, expected.covariance - np.outer(gain, expected.covariance[0]))


def _leaped(off: float, usual: float, found: Tracked) -> bool:
    """Tell whether a face's landmarks, ``off`` pixels from where they were expected, have leaped there."""
    return off > _LEAP * float(found.result.params.scale) or off > max(_LEAP_IN_PIXELS, _UNUSUAL * usual)


def _looked_back(course: Course, waiting: deque[_Waiting]) -> tuple:
    """The frame that has waited longest, its faces smoothed by what came after (Rauch, Tung and Striebel)."""
    frame, *later = waiting
    waiting.popleft()
    seen = [
        replaced(course, found, _smooth(found.face_id, frame.moments[found.face_id], later))
        if found.success
        else found
        for found in frame.seen
    ]
    return frame.of, seen


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
        mean = now.after.mean + back @ (mean - then.before.mean)
    return mean[0]
