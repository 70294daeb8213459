from __future__ import annotations

from dataclasses import replace
from inspect import unwrap

import jax
import numpy as np
import pytest
from engine import box_of, draw_face, synthetic_config, synthetic_face, synthetic_model

from jaxclnf.config import setting
from jaxclnf.media.detection import Detections
from jaxclnf.models.calibration import by_likelihood
from jaxclnf.ops.shape import shape_2d
from jaxclnf.tracking.association import assigned, overlap
from jaxclnf.tracking.frame_arguments import detected_boxes, grey_frame
from jaxclnf.tracking.looks import in_shot, look_scale, next_look, wants_detections
from jaxclnf.tracking.shots import is_cut, sketch
from jaxclnf.tracking.tracker import track_frame
from jaxclnf.tracking.tracks import TrackConfig, TrackerState, too_small
from jaxclnf.types import Calibration

SIZE = (160, 400)
NONE = np.zeros((0, 4), np.float32)
CONFIG = TrackConfig(synthetic_config(), forget_after=5)
SURE = by_likelihood(
    np.float32(-0.76), np.float32(5.8)
)  # parts the synthetic model's faces from blank pictures


def scene(*places: tuple[int, float, float]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """An image of faces (seed, x, y), their boxes and landmarks."""
    model, images, boxes, points = synthetic_model(np.float32), [], [], []
    for seed, x, y in places:
        _, params = synthetic_face(seed, np.float32)
        params = params.__class__(params.scale, params.rotation, np.float32([x, y]), params.shape)
        points.append(np.asarray(jax.jit(shape_2d)(model.pdm, params)))
        boxes.append(box_of(model, params))
        images.append(draw_face(points[-1], float(params.scale), SIZE, np.random.default_rng(9)))
    blank = draw_face(np.full((1, 2), -999.0), 1.0, SIZE, np.random.default_rng(9))
    image = np.max([blank, *images], axis=0).astype(np.uint8)
    return image, np.array(boxes, np.float32).reshape(-1, 4), points


def run(
    state: TrackerState,
    image: np.ndarray,
    boxes: np.ndarray | list | Detections = NONE,
    config: TrackConfig = CONFIG,
    calibration: Calibration | None = SURE,
):
    model = replace(synthetic_model(np.float32), calibration=calibration)
    return track_frame(model, config, state, image, boxes)


def ids(tracked) -> list[int]:
    return [found.face_id for found in tracked if found.success]


def test_a_moving_face_is_followed_without_detections() -> None:
    image, boxes, _ = scene((0, 90, 80))
    state, tracked = run(TrackerState(), image, boxes)
    assert ids(tracked) == [0]
    for i in range(1, 20):
        image, _, (points,) = scene((0, 90 + 4 * i, 80 + (i % 2)))
        state, tracked = run(state, image)
        assert ids(tracked) == [0]
        assert np.linalg.norm(tracked[0].result.landmarks - points, axis=1).mean() < 4
    assert state.frame == 20


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fit": "best"}, "fit = 'best', expected the settings of fits, such as model.settings"),
        ({"detect_every": 0}, "detect_every = 0, expected a whole number of at least 1"),
        ({"max_faces": 2.5}, "max_faces = 2.5, expected a whole number of at least 1"),
    ],
)
def test_settings_that_no_tracker_can_have(change: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        # without the tests' own checks of annotations
        unwrap(TrackConfig.__init__)(object.__new__(TrackConfig), **{"fit": synthetic_config(), **change})


def test_a_lost_face_may_be_looked_for_in_every_frame() -> None:
    image, boxes, _ = scene((0, 90, 80))
    (track,) = run(TrackerState(), image, boxes)[0].tracks
    steady = track._replace(age=99, confidence=1.0)
    for lost in range(4):
        state = TrackerState((steady, steady._replace(lost=lost)), frame=1)
        assert wants_detections(replace(CONFIG, retry_every=1), state) == (lost > 0)
        assert wants_detections(replace(CONFIG, retry_every=3), state) == (lost == 1)


def test_frames_and_boxes_in_other_forms() -> None:
    image, boxes, _ = scene((0, 90, 80))
    state, tracked = run(TrackerState(), image, boxes)
    for same in (boxes.tolist(), boxes[0], Detections(boxes, np.ones(1, np.float32))):
        again, seen = run(TrackerState(), image, same)
        np.testing.assert_array_equal(seen[0].result.landmarks, tracked[0].result.landmarks)
    for dtype in (np.int64, np.float16):
        again, seen = run(TrackerState(), image.astype(dtype), boxes)
        np.testing.assert_array_equal(seen[0].result.landmarks, tracked[0].result.landmarks)
        assert not wants_detections(CONFIG, again._replace(tracks=(), frame=1), image.astype(dtype))
    assert run(TrackerState(), image, [])[1] == []
    for bad in (boxes[:, :3], [[1, 2], [3]], "face", boxes.astype(complex)):
        with pytest.raises(ValueError, match=r"detections = (?s:.*), expected rows x, y, width, height and"):
            detected_boxes(bad)
    with pytest.raises(ValueError, match=r"shape \(160, 400, 3\); jaxclnf.to_grey makes grey images of RGB"):
        grey_frame(np.stack([image] * 3, axis=-1))
    with pytest.raises(ValueError, match="grey from 0 to 255; got float32 up to"):
        run(TrackerState(), (image / np.float32(255)).astype(np.float32))


@pytest.mark.parametrize("darkness", [np.float32(0.5), np.float32(1)])
def test_a_dark_frame_of_floats_ends_no_film(darkness) -> None:
    """A fade to black shows nobody, not even where a face is said to be; the film goes on."""
    image, boxes, _ = scene((0, 90, 80))
    image, dark = image.astype(np.float32), np.eye(*SIZE, dtype=np.float32) * darkness
    state, first = run(TrackerState(), image, boxes)
    for _ in range(2):
        wants_detections(CONFIG, state, dark)
        state, tracked = run(state, dark, boxes)
        assert ids(tracked) == []
    state, tracked = run(state, image, boxes)
    np.testing.assert_allclose(tracked[-1].result.landmarks, first[0].result.landmarks, atol=0.01)
    assert tracked[-1].success


def test_a_step_is_pure() -> None:
    image, boxes, _ = scene((0, 90, 80))
    state, _ = run(TrackerState(), image, boxes)
    before = jax.tree.map(np.copy, state)
    first, second = (run(state, np.roll(image, 3, axis=1)) for _ in range(2))
    assert first == second and state == before
    assert first[0] != state and state != TrackerState() and state != tuple(state)


def test_faces_keep_their_numbers_whatever_the_order_of_detections() -> None:
    state = TrackerState()
    for i in range(6):
        image, boxes, points = scene((0, 90 + 5 * i, 80), (1, 300 - 5 * i, 80))
        state, tracked = run(state, image, boxes if i % 2 else boxes[::-1])
        where = {found.face_id: found.result.landmarks.mean(0)[0] for found in tracked if found.success}
        # The first frame's detections came the other way round.
        assert where == {
            1: pytest.approx(points[0].mean(0)[0], abs=5),
            0: pytest.approx(points[1].mean(0)[0], abs=5),
        }


def test_a_lost_face_returns_under_its_number_and_a_forgotten_one_does_not() -> None:
    image, boxes, _ = scene((0, 90, 80), (1, 300, 80))
    state, _ = run(TrackerState(), image, boxes)
    alone, _, _ = scene((1, 300, 80))
    for gone, expected in ((3, 0), (8, 2)):
        for _ in range(gone):
            state, tracked = run(state, alone)
            assert ids(tracked) == [1]
        assert not any(found.result.usable for found in tracked if not found.success)
        state, tracked = run(state, image, boxes)
        assert sorted(ids(tracked)) == sorted([1, expected])


def test_a_lost_face_returns_where_its_course_leads_in_the_frame_after() -> None:
    """It was missed in one frame, and went 1.6 widths in each: a frame less would be too far away."""
    image, boxes, _ = scene((0, 330, 80))
    state, _ = run(TrackerState(), image, boxes)
    (track,), step = state.tracks, np.array([1.6 * boxes[0, 2], 0, 0, 0])
    recent = (track.box - 3 * step, track.box - 2 * step)
    state = state._replace(tracks=(track._replace(lost=1, box=recent[-1], recent=recent),))
    assert ids(run(state, image, boxes)[1]) == [0]


def test_the_only_face_there_can_be_keeps_its_number_anywhere() -> None:
    one = replace(CONFIG, max_faces=1)
    image, boxes, _ = scene((0, 90, 80))
    state, _ = run(TrackerState(), image, boxes, one)
    image, boxes, _ = scene((1, 320, 80))
    state, tracked = run(state, image, boxes, one)
    assert ids(tracked) == [0]


def test_no_more_faces_than_asked_for_and_none_where_there_is_none() -> None:
    image, boxes, _ = scene((0, 90, 80), (1, 300, 80))
    _, tracked = run(TrackerState(), image, boxes, replace(CONFIG, max_faces=1))
    assert ids(tracked) == [0]
    blank, _, _ = scene()
    state, tracked = run(TrackerState(), blank, boxes)
    assert tracked == []
    assert state.tracks == ()


def test_a_lost_face_returns_if_there_is_room_for_it() -> None:
    image, boxes, _ = scene((0, 65, 80), (1, 200, 80), (2, 335, 80))
    tracks = run(TrackerState(), image, boxes)[0].tracks
    sizes = boxes[:, 2:].prod(axis=1)
    two = replace(CONFIG, max_faces=2)
    for lost in ([0], [1, 2], [2, 0], [0, 1, 2]):
        state = TrackerState(tuple(t._replace(lost=3 * (t.face_id in lost)) for t in tracks), 3)
        after, tracked = run(state, image, boxes, two)
        larger = sorted(lost, key=lambda i: -sizes[i])[: len(lost) - 1]
        assert sorted(ids(tracked)) == sorted({0, 1, 2} - set(lost) | set(larger))
        assert [track.lost > 0 for track in after.tracks] == [i not in ids(tracked) for i in range(3)]


def test_two_tracks_never_stay_on_one_face() -> None:
    image, boxes, _ = scene((0, 150, 80), (1, 300, 80))
    state, _ = run(TrackerState(), image, boxes)
    stray = state.tracks[1]._replace(result=state.tracks[0].result, box=state.tracks[0].box)
    state = state._replace(tracks=(state.tracks[0], stray))
    _, tracked = run(state, image)
    assert ids(tracked) == [0]


def test_of_two_tracks_on_one_face_the_one_that_was_nearer_stays_whoever_else_is_lost() -> None:
    image, boxes, _ = scene((0, 150, 80))
    (stays,) = run(TrackerState(), image, boxes)[0].tracks
    strays = stays._replace(face_id=1, box=stays.box + [30, 0, 0, 0])
    lost = stays._replace(face_id=2, lost=3)
    _, tracked = run(TrackerState((strays, lost, stays), 3), image)
    assert ids(tracked) == [0]


def test_a_still_photo_stays_still() -> None:
    image, boxes, _ = scene((0, 90, 80))
    state, _ = run(TrackerState(), image, boxes)
    places = []
    for _ in range(100):
        state, (found,) = run(state, image)
        places.append(found.result.landmarks)
    moves = np.abs(np.diff(places, axis=0)).max(axis=(1, 2))
    assert moves.max() < 0.005
    assert np.abs(places[-1] - places[0]).max() < 0.02


def test_a_face_too_small_for_the_small_windows_is_followed_with_all() -> None:
    settings = TrackConfig(synthetic_config(windows=(7, 5), start_rotations=np.zeros((1, 3), np.float32)))
    model = synthetic_model(np.float32)
    coarse, fine = (float(e.patch_scale) for e in model.experts)
    _, params = synthetic_face(0, np.float32)
    small = params.__class__(np.float32(0.8 * fine), params.rotation, params.translation, params.shape)
    assert coarse < small.scale
    assert not too_small(model, settings, params)
    assert setting(settings.going_on, "windows") == (9,)
    assert too_small(model, settings, small)
    assert setting(settings.going_on_small, "windows") == (7, 5)


def test_detections_are_asked_for_when_they_are_of_use() -> None:
    image, boxes, _ = scene((0, 90, 80))
    blank, _, _ = scene()
    one = replace(CONFIG, max_faces=1, forget_after=50)
    state = TrackerState()
    assert wants_detections(one, state)
    state, _ = run(state, image, boxes, one)
    asked = []
    for _ in range(16):
        asked.append(wants_detections(one, state))
        state, _ = run(state, image, config=one)
    assert 2 <= sum(asked) <= 4  # the first frames, then one in eight
    asked = []
    for _ in range(9):
        state, _ = run(state, blank, config=one)
        asked.append(wants_detections(one, state))
    assert asked[0]
    assert 2 <= sum(asked) <= 5
    assert [wants_detections(CONFIG, TrackerState(frame=i)) for i in range(5)] == [
        True,
        False,
        False,
        False,
        True,
    ]


def test_faces_of_a_model_that_does_not_say_how_sure_it_is_are_followed() -> None:
    image, boxes, _ = scene((0, 90, 80))
    state, tracked = run(TrackerState(), image, boxes, calibration=None)
    for _ in range(2):
        assert ids(tracked) == [0] and np.isnan(tracked[0].confidence)
        state, tracked = run(state, image, calibration=None)


def test_overlap() -> None:
    a = np.array([0, 0, 10, 10.0])
    assert overlap(a, a) == 1
    assert overlap(a, a + [5, 0, 0, 0]) == pytest.approx(1 / 3)
    assert overlap(a, a + [10, 10, 0, 0]) == 0
    assert overlap(0 * a, 0 * a) == 0


def test_association_is_the_best_for_all_together() -> None:
    """Each track has a nearest detection of its own only if the other takes the farther one."""
    tracks = [[np.array([0, 0, 10, 10.0])], [np.array([99.0, 0, 10, 10]), np.array([6, 0, 10, 10.0])]]
    boxes = [np.array([5, 0, 10, 10.0]), np.array([13, 0, 10, 10.0]), np.array([90, 90, 10, 10.0])]
    assert assigned(tracks, boxes, [1.5, 1.5]) == {0: 0, 1: 1}
    assert assigned(tracks, boxes, [0.1, 1.5]) == {1: 0}
    assert assigned(tracks[:1], boxes, [1.5]) == assigned(tracks[1:], boxes, [1.5]) == {0: 0}
    assert assigned(tracks, boxes[1:2], [1.5, 1.5]) == {1: 0}
    assert assigned(tracks[:1], boxes[1:2], [0.1]) == {}
    assert assigned([], boxes, []) == assigned(tracks, [], [1, 1]) == {}


def test_a_cut_ends_numbers_and_motion_does_not() -> None:
    rng = np.random.default_rng(0)
    first, second = (
        np.kron(rng.integers(0, 256, (6, 8)), np.ones((40, 40))).astype(np.uint8) for _ in range(2)
    )
    assert is_cut(sketch(first), sketch(second))
    assert not is_cut(sketch(first), sketch(np.roll(first, 5, axis=1)))
    assert not is_cut(sketch(first), sketch((first * 0.8).astype(np.uint8)))
    image, boxes, _ = scene((0, 90, 80))
    state, _ = run(TrackerState(), image, boxes)
    other = np.where(np.arange(SIZE[1]) < 200, 255, 0).astype(np.uint8) * np.ones((SIZE[0], 1), np.uint8)
    assert not wants_detections(replace(CONFIG, detect_every=100), state._replace(frame=1, tracks=()))
    assert wants_detections(CONFIG, state._replace(frame=1, tracks=()), other)
    state, tracked = run(state, other)
    assert tracked == [] and state.tracks == ()
    state, tracked = run(state, image, boxes)
    assert ids(tracked) == [1]


def test_a_shot_is_looked_at_as_a_film_is_whoever_was_seen_before() -> None:
    image, boxes, _ = scene((0, 90, 80))
    (track,) = run(TrackerState(), image, boxes)[0].tracks
    large = track._replace(box=np.array([0, 0, 300, 300.0]), age=99)
    before = TrackerState((large,), frame=9, sketch=sketch(image))
    other = np.where(np.arange(SIZE[1]) < 200, 255, 0).astype(np.uint8) * np.ones((SIZE[0], 1), np.uint8)
    assert look_scale(CONFIG, before) < 0.2 and look_scale(CONFIG, before, other) == 1
    shot, film = [], []
    for state, looks in ((before, shot), (TrackerState(), film)):
        for _ in range(25):
            looks.append(next_look(CONFIG, in_shot(state, sketch(other))))
            state, _ = run(state, other)
    assert shot == film and film[0] == film[24] == (1, True) and film[4] == (1, False)


def test_where_there_is_room_for_one_it_is_the_largest() -> None:
    image, boxes, _ = scene((0, 90, 80), (1, 300, 80))
    boxes[1] += [-1, -1, 2, 2] if boxes[1, 2] > boxes[0, 2] else [0, 0, 0, 0]
    big = int(boxes[:, 2:].prod(axis=1).argmax())
    for order in ([0, 1], [1, 0]):
        _, (found,) = run(TrackerState(), image, boxes[order], replace(CONFIG, max_faces=1))
        x, _, w, _ = boxes[big]
        assert x < found.result.landmarks[:, 0].mean() < x + w


def test_a_larger_box_that_holds_no_face_gives_way_to_one_that_does() -> None:
    image, boxes, _ = scene((0, 90, 80))
    boxes = np.float32([[220, 10, 120, 130], boxes[0]])
    one = replace(CONFIG, max_faces=1)
    state, tracked = run(TrackerState(), image, boxes, one)
    assert ids(tracked) == [0]
    lost = state._replace(tracks=(state.tracks[0]._replace(lost=2),))
    assert ids(run(lost, image, boxes, one)[1]) == [0]
    as_openface = replace(one, fit=replace(CONFIG.fit, kernel="grid"))
    assert ids(run(TrackerState(), image, boxes, as_openface)[1]) == []  # which has the largest alone


def test_a_fast_face_is_followed_where_its_motion_leads_and_detections_correct_it() -> None:
    """A third of its width a frame: without its motion or detections it would be lost at once."""
    image, boxes, _ = scene((0, 40, 80))
    state, _ = run(TrackerState(), image, boxes)
    step_px = 0.3 * boxes[0, 2]
    for i in range(1, 5):
        image, boxes, (points,) = scene((0, 40 + step_px * i, 80))
        assert wants_detections(CONFIG, state, image)
        state, tracked = run(state, image, boxes)
        assert ids(tracked) == [0]
        assert np.linalg.norm(tracked[0].result.landmarks - points, axis=1).mean() < 4


def test_a_follow_that_disagrees_with_its_detection_yields() -> None:
    image, boxes, (truth,) = scene((0, 90, 80))
    state, _ = run(TrackerState(), image, boxes)
    track = state.tracks[0]
    moved, boxes, (truth,) = scene((0, 130, 80))
    stale = state._replace(tracks=(track._replace(age=9),), frame=9)
    _, tracked = run(stale, moved, boxes)
    assert ids(tracked) == [0]
    assert np.linalg.norm(tracked[0].result.landmarks - truth, axis=1).mean() < 4


@pytest.mark.parametrize(("apart", "expected"), [(0.35, [0]), (0.72, [])])
def test_a_follow_that_slid_away_from_its_detections_yields(apart: float, expected: list[int]) -> None:
    """However slowly: ``apart``, in widths, is as it was in the frame before."""
    image, boxes, _ = scene((0, 200, 80))
    state, _ = run(TrackerState(), image, boxes)
    slid = state.tracks[0]._replace(age=9, offset=np.array([apart, 0]))
    away = boxes - [apart * boxes[0, 2], 0, 0, 0]
    assert ids(run(state._replace(tracks=(slid,), frame=9), image, away)[1]) == expected
