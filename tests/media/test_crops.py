from __future__ import annotations

import cv2
import numpy as np
import pytest

from jaxclnf.media.crops import aligned_crop

MEAN = np.array([[-40, -30, 0], [40, -30, 0], [0, 0, 20], [-25, 40, 0], [25, 40, 0]], np.float32)


def photo(angle: float, scale: float, place: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The mean face's points as dots on a photo, turned, scaled and put somewhere, and where they are."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    points = MEAN[:, :2] @ np.array([[c, s], [-s, c]]) + place
    rgb = np.zeros((400, 500, 3), np.uint8)
    for x, y in points:
        cv2.circle(rgb, (round(float(x)), round(float(y))), max(2, round(3 * scale)), (255, 255, 255), -1)
    return rgb, points


def test_however_a_face_lies_its_crop_is_the_same() -> None:
    """The mean face is 80 wide, so a margin of 0.25 makes 120 units of 120 pixels: one pixel a unit."""
    expected = MEAN[:, :2] - [0, 5] + 59.5
    for angle, scale, place in ((0, 1, (250, 200)), (0.6, 1.5, (200, 210)), (-2, 0.8, (300, 150))):
        crop = aligned_crop(*photo(angle, scale, place), MEAN, size=120, margin=0.25)
        assert crop.shape == (120, 120, 3)
        spots, _, _, middles = cv2.connectedComponentsWithStats((crop[..., 0] > 100).astype(np.uint8))
        assert spots == 6
        found = sorted(map(tuple, middles[1:]))
        np.testing.assert_allclose(found, sorted(map(tuple, expected)), atol=1)


def test_beyond_the_photo_its_border_goes_on() -> None:
    rgb = np.full((50, 50, 3), 70, np.uint8)
    crop = aligned_crop(rgb, MEAN[:, :2] + [5, 5], MEAN, size=64)
    assert (crop == 70).all()


@pytest.mark.parametrize(
    "place", [(1000, 1000), (1900, 300)]
)  # in the middle; a part of it outside the photo
def test_a_large_face_is_reduced_by_area(place: tuple[float, float]) -> None:
    """As it is in a photo that was reduced before; strands of hair become grey, not other strands."""
    noise = np.random.default_rng(0).integers(-70, 71, (2000, 2000, 3))
    y, x = np.mgrid[:2000, :2000] / 2000
    rgb = (noise + (128 + 57 * np.sin(9 * x + 4) * np.cos(7 * y))[..., None]).astype(np.uint8)
    points = 12 * MEAN[:, :2] @ np.array([[0.8, 0.6], [-0.6, 0.8]]) + place
    small = cv2.resize(rgb, (200, 200), interpolation=cv2.INTER_AREA)
    crop, expected = (
        aligned_crop(*face, MEAN, size=120, margin=0.25).astype(float)
        for face in ((rgb, points), (small, (points + 0.5) / 10 - 0.5))
    )
    assert np.abs(crop - expected).mean() < 3
    assert abs(np.mean(crop - expected)) < 0.3
