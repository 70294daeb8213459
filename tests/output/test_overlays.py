"""Pictures of photos as runs draw them, whatever the size of the photo and of the faces."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from jaxclnf.output.draw import draw_landmarks, draw_name
from jaxclnf.output.growing_table import Table
from jaxclnf.output.overlays import _places, overlay
from jaxclnf.output.photo_pipeline import Photo
from jaxclnf.output.report import report_photos
from jaxclnf.output.tables import columns
from jaxclnf.types import Camera


@pytest.mark.parametrize(
    ("size", "drawn"),
    [((48, 40), (288, 240)), ((100, 30), (300, 90)), ((200, 160), (200, 160)), ((3200, 1000), (1600, 500))],
)
def test_small_photos_are_enlarged_and_large_ones_shrunk(
    size: tuple[int, int], drawn: tuple[int, int]
) -> None:
    rgb = np.zeros((*size, 3), np.uint8)
    rgb[10:14, 20:26] = 200
    picture = overlay(Photo(Path("a.png"), rgb, Camera.default(*size[::-1]), np.zeros((0, 4), np.float32)))
    assert picture.shape == (*drawn, 3)
    moments = cv2.moments(picture[..., 0])
    middle = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
    np.testing.assert_allclose(middle, _places(np.array([22.5, 11.5]), drawn[0] / size[0]), atol=0.05)


@pytest.mark.parametrize("face", [20, 60])
def test_a_small_face_is_not_covered_by_its_marks(face: int) -> None:
    rgb = np.full((1600, 1600, 3), 90, np.uint8)
    points = 800 + np.random.default_rng(0).uniform(0, face, (68, 2))
    draw_landmarks(rgb, points)
    x, y = np.round(points).astype(int).T
    assert (rgb[y, x] != 90).any(axis=1).all()
    assert (rgb != 90).any(axis=2).sum() <= 68


def test_the_name_of_a_small_face_is_small() -> None:
    heights = []
    for face in (np.inf, 300, 80, 20):
        rgb = np.full((1600, 1600, 3), 90, np.uint8)
        draw_name(rgb, "0: 99%", np.array([800.0, 800]), face)
        heights.append((rgb != 90).any(axis=(1, 2)).sum())
    assert heights[0] == heights[1] > 1.5 * heights[2] and heights[2] >= heights[3] > 8


def test_the_report_finds_a_face_in_an_enlarged_picture(tmp_path: Path) -> None:
    """Of two faces on a photo each card shows one, 10 pixels large, and 0.8 times as much about it."""
    photo, drawn = tmp_path / "photo.png", tmp_path / "drawn.png"
    cv2.imwrite(str(photo), np.zeros((80, 80, 3), np.uint8))
    cv2.imwrite(str(drawn), np.zeros((320, 320, 3), np.uint8))
    names = columns(68, 3)
    table = Table.afresh(tmp_path / "landmarks.csv", names)
    known = {"confidence": 0.9, "source": photo, "status": "ok", "x_0": 40, "x_16": 50}
    known |= {"y_19": 40, "y_24": 40, "y_8": 50}
    for face in range(2):
        table.add([[str((known | {"face": face}).get(name, "1.5")) for name in names]])
    table.finish()
    report_photos(tmp_path / "report.html", table.path, {str(photo): drawn}, [])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    pictures = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    assert len(pictures) == 2
    card = cv2.imdecode(np.frombuffer(base64.b64decode(pictures[0]), np.uint8), cv2.IMREAD_COLOR)
    assert card is not None and card.shape == (104, 104, 3)
