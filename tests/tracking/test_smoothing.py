"""Smoothed faces: steadier, not late, as one, and with angles that never turn the long way round."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import synthetic_face, synthetic_model

from jaxclnf.ops.rotation import euler_to_matrix as _matrix
from jaxclnf.ops.shape import shape_2d
from jaxclnf.tracking import smoothing
from jaxclnf.tracking.smoothing import OFFLINE, ONLINE, Smoothing, smoothed
from jaxclnf.tracking.state_vector import USUAL_VARIANCE, nearest_angles, principal
from jaxclnf.tracking.tracks import Tracked
from jaxclnf.types import FitResult, Model

Seen = list[list[Tracked]]
_points = jax.jit(shape_2d)


def matrix(euler: np.ndarray) -> np.ndarray:
    return np.asarray(_matrix(jnp.asarray(euler, jnp.float32)))


@pytest.fixture(scope="module")
def model() -> Model:
    return synthetic_model(np.float32)


def face(model: Model, number: int = 0, sure: float = 0.9, success: bool = True, **changes) -> Tracked:
    """A face whose parameters are those of a synthetic one but for some."""
    _, params = synthetic_face(0, np.float32)
    params = replace(params, **{name: np.asarray(value, np.float32) for name, value in changes.items()})
    nothing = np.float32(0)
    points = np.asarray(_points(model.pdm, params))
    result = FitResult(points, params, *[nothing] * 6)  # type: ignore[arg-type]
    return Tracked(number, result, sure, success)


def smooth(model: Model, frames: Seen, how: Smoothing) -> Seen:
    out = list(smoothed(model, enumerate(frames), how))
    assert [of for of, _ in out] == list(range(len(frames)))
    return [seen for _, seen in out]


def shaken(model: Model, way: np.ndarray, noise: float) -> Seen:
    """A face whose translation goes a way, with noise."""
    rng = np.random.default_rng(0)
    return [[face(model, translation=place + rng.normal(0, noise, 2))] for place in way]


def landmarks(frames: Seen) -> np.ndarray:
    return np.array([np.asarray(seen[0].result.landmarks) for seen in frames])


def acceleration(points: np.ndarray) -> float:
    return float(np.sqrt((np.diff(points, 2, axis=0) ** 2).sum(-1).mean()))


@pytest.mark.parametrize(("how", "share"), [(ONLINE, 0.4), (OFFLINE, 0.2)])
def test_a_trembling_face_that_moves_evenly_is_steadier_and_where_it_was(model, how, share) -> None:
    way = np.linspace([60, 60], [160, 80], 50)
    rough = shaken(model, way, 0.3)
    before, after = landmarks(rough), landmarks(smooth(model, rough, how))
    assert acceleration(after) < share * acceleration(before)
    true = landmarks(shaken(model, way, 0.0))
    off = (after - true)[5:].mean(axis=1)
    assert np.abs(off.mean(axis=0)).max() < 0.1  # no lag: 2 pixels a frame would show
    assert np.sqrt((off**2).mean()) < np.sqrt(((before - true)[5:].mean(axis=1) ** 2).mean())


@pytest.mark.parametrize("how", [ONLINE, OFFLINE])
@pytest.mark.parametrize("pace", [0.0, 3.0])
def test_a_step_of_ten_pixels_is_followed_within_three_frames(model: Model, how: Smoothing, pace) -> None:
    time = np.arange(40)[:, None]
    way = np.array([60.0, 60.0]) + [pace, 0] * time + np.where(time < 20, [0.0, 0.0], [10.0, 0.0])
    x = landmarks(smooth(model, shaken(model, way, 0.0), how))[:, :, 0].mean(axis=1)
    off = x - landmarks(shaken(model, way, 0.0))[:, :, 0].mean(axis=1)
    assert np.abs(off[:19]).max() < 1.2 and np.abs(off[22:]).max() < 0.5  # of 10


@pytest.mark.parametrize("how", [ONLINE, OFFLINE])
@pytest.mark.parametrize("scale", [2.6, 6.0])
@pytest.mark.parametrize("doubt", [1.0, 16.0])
def test_so_is_one_of_a_large_face_however_sure(model, how, scale: float, doubt: float, monkeypatch) -> None:
    monkeypatch.setattr(smoothing, "variance_of", lambda found: doubt * USUAL_VARIANCE)
    places = np.where(np.arange(30)[:, None] < 15, [60.0, 60.0], [70.0, 60.0])
    frames = [[face(model, translation=place, scale=scale)] for place in places]
    off = (landmarks(smooth(model, frames, how)) - landmarks(frames))[:, :, 0].mean(axis=1)
    assert np.abs(off[:14]).max() < 1.2 and np.abs(off[17:]).max() < 0.5  # of 10


def test_a_large_face_that_trembles_by_many_pixels_is_steadied(model: Model) -> None:
    rng = np.random.default_rng(3)
    frames = [[face(model, translation=p, scale=8.0)] for p in 200 + rng.normal(0, 4, (60, 2))]
    before, after = landmarks(frames)[5:], landmarks(smooth(model, frames, ONLINE))[5:]
    assert acceleration(after) < 0.5 * acceleration(before)


@pytest.mark.parametrize("how", [ONLINE, OFFLINE])
@pytest.mark.parametrize("pace", [6.0, 12.0, 27.0])
def test_a_face_that_starts_and_stops_is_where_it_is(model: Model, how: Smoothing, pace: float) -> None:
    x = pace * np.clip(np.arange(50) - 20, 0, 10)
    frames = shaken(model, np.stack([60 + x, 60 + 0 * x], -1), 0.3)
    off = (landmarks(smooth(model, frames, how)) - landmarks(frames)).mean(axis=1)
    assert np.abs(off).max() < 5


@pytest.mark.parametrize("how", [ONLINE, OFFLINE])
def test_no_face_is_put_far_from_where_it_is_seen(model: Model, how: Smoothing) -> None:
    """One that bobs by a half of the distance of its eyes, once a second."""
    way = 100 + 50 * np.sin(2 * np.pi * np.arange(75) / 25)
    frames = [[face(model, translation=[60, y], scale=1.0)] for y in way]
    off = landmarks(smooth(model, frames, how)) - landmarks(frames)
    assert np.sqrt((off**2).sum(-1).mean(axis=1)).max() < how.farthest + 1e-3


@pytest.mark.parametrize("how", [ONLINE, OFFLINE])
def test_what_features_do_stays(model: Model, how: Smoothing) -> None:
    """Of a blink of three frames and of lips that close twice a second (25 frames), most."""
    lid, lip = np.zeros((2, 50, *np.shape(face(model).result.landmarks)))
    lid[20:23, 3, 1] = 2.0
    lip[:, 7, 1] = 1 - np.cos(2 * np.pi * np.arange(50) / 12)
    for way, point in ((lid, 3), (lip, 7)):
        frames = [[with_points_off(face(model), off)] for off in way]
        place = (landmarks(smooth(model, frames, how)) - landmarks([[face(model)]]))[10:-10, point, 1]
        assert np.ptp(place) > 0.8 * 2


@pytest.mark.parametrize(("how", "share"), [(ONLINE, 0.65), (OFFLINE, 0.5)])
def test_features_that_tremble_are_steadier(model: Model, how: Smoothing, share: float) -> None:
    noise = np.random.default_rng(4).normal(0, 0.3, (60, *np.shape(face(model).result.landmarks)))
    frames = [[with_points_off(face(model), off)] for off in noise]
    assert acceleration(landmarks(smooth(model, frames, how))) < share * acceleration(landmarks(frames))


def with_points_off(found: Tracked, off: np.ndarray) -> Tracked:
    points = np.asarray(found.result.landmarks) + off.astype(np.float32)
    return found._replace(result=replace(found.result, landmarks=points))


def test_frames_come_late_by_what_is_looked_ahead_and_no_more(model: Model) -> None:
    given: list[int] = []

    def frames():
        for i in range(12):
            given.append(i)
            yield i, [face(model)]

    for how in (ONLINE, OFFLINE):
        given.clear()
        next(smoothed(model, frames(), how))
        assert len(given) == how.look_ahead + 1


def test_pose_points_and_certainty_stay_of_one_face(model: Model) -> None:
    rng = np.random.default_rng(1)
    turns = np.cumsum(rng.normal(0, 0.03, (20, 3)), axis=0)
    frames = [[face(model, rotation=turn, sure=0.5 + 0.02 * i)] for i, turn in enumerate(turns)]
    for seen in smooth(model, frames, ONLINE):
        result = seen[0].result
        np.testing.assert_allclose(result.landmarks, _points(model.pdm, result.params), atol=1e-3)
        assert 0.4 < seen[0].confidence < 0.95
    unknown = smooth(model, [[face(model, sure=np.nan)]] * 3, ONLINE)
    assert all(np.isnan(seen[0].confidence) for seen in unknown)
    np.testing.assert_allclose(landmarks(unknown)[1], landmarks([[face(model)]])[0], atol=1e-3)


@pytest.mark.parametrize("axis", [0, 2])
def test_angles_go_on_beyond_half_a_turn(model: Model, axis: int) -> None:
    angles = np.linspace(np.pi - 0.3, np.pi + 0.3, 20)
    turns = np.zeros((20, 3))
    turns[:, axis] = (angles + np.pi) % (2 * np.pi) - np.pi  # leaps from pi to -pi
    after = smooth(model, [[face(model, rotation=turn)] for turn in turns], OFFLINE)
    for turn, seen in zip(turns, after, strict=True):
        rotation = seen[0].result.params.rotation
        assert np.abs(rotation).max() <= np.pi + 1e-6
        np.testing.assert_allclose(matrix(rotation), matrix(turn), atol=0.02)


def test_the_other_angles_of_a_rotation_are_the_same_rotation() -> None:
    rng = np.random.default_rng(2)
    for rotation, to in rng.uniform(-3, 3, (20, 2, 3)):
        expected = matrix(rotation)
        for same in (nearest_angles(rotation, to), principal(rotation)):
            np.testing.assert_allclose(matrix(same), expected, atol=1e-5)
        assert np.abs(nearest_angles(rotation, to) - to).max() <= 2 * np.pi
        assert abs(principal(rotation)[1]) <= np.pi / 2 + 1e-9


def test_a_lost_face_is_not_smoothed_and_begins_anew(model: Model) -> None:
    there, away = face(model, translation=[60, 60]), face(model, translation=[200, 60])
    lost = face(model, translation=[0, 0], success=False)
    after = smooth(model, [[there], [there], [lost], [away], [away]], OFFLINE)
    assert after[2][0] is lost
    points = landmarks(after)
    np.testing.assert_allclose(points[:2], landmarks([[there]] * 2), atol=1e-3)
    np.testing.assert_allclose(points[3:], landmarks([[away]] * 2), atol=1e-3)


def test_faces_are_smoothed_by_their_numbers(model: Model) -> None:
    a, b = face(model, 3, translation=[60, 60]), face(model, 5, translation=[200, 60])
    after = smooth(model, [[a, b], [b, a], [a, b]], ONLINE)
    for seen, numbers in zip(after, [(3, 5), (5, 3), (3, 5)], strict=True):
        assert tuple(found.face_id for found in seen) == numbers
        for found in seen:
            expected = {3: a, 5: b}[found.face_id].result.landmarks
            np.testing.assert_allclose(found.result.landmarks, expected, atol=1e-3)
