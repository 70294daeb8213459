from __future__ import annotations

import numpy as np
import pytest

from jaxclnf.output.draw import draw_axes, draw_box, draw_landmarks, draw_name
from jaxclnf.wording import percent

POINTS = np.random.default_rng(0).uniform(20, 180, (68, 2))


def canvas() -> np.ndarray:
    return np.full((200, 200, 3), 90, np.uint8)


@pytest.mark.parametrize("n_points", [68, 28, 5, 1])
def test_a_dot_on_every_landmark(n_points: int) -> None:
    rgb = canvas()
    draw_landmarks(rgb, POINTS[:n_points])
    x, y = np.round(POINTS[:n_points]).astype(int).T
    assert (rgb[y, x] != 90).any(axis=1).all()


def test_a_missing_landmark_takes_its_curve_along_and_no_more() -> None:
    whole, holed, points = canvas(), canvas(), POINTS.copy()
    points[0] = np.nan
    draw_landmarks(whole, POINTS)
    draw_landmarks(holed, points)
    assert 0 < (holed != 90).sum() < (whole != 90).sum()


def test_what_has_no_place_is_not_drawn() -> None:
    rgb, nan = canvas(), np.full((4, 2), np.nan)
    draw_landmarks(rgb, nan)
    draw_box(rgb, nan.ravel()[:4])
    draw_name(rgb, "nobody", nan[0])
    draw_axes(rgb, nan)
    far = np.full((68, 2), 1e30)
    draw_landmarks(rgb, far)
    draw_box(rgb, far.ravel()[:4])
    draw_axes(rgb, far[:4])
    np.testing.assert_array_equal(rgb, canvas())


def test_box_and_axes_go_where_they_are_told() -> None:
    rgb = canvas()
    draw_box(rgb, np.array([20, 30, 100, 120.0]))
    assert (rgb[30, 25:115] != 90).any(axis=1).all()
    assert (rgb[35:145, 25:115] == 90).all()
    draw_axes(rgb, np.array([[70, 80], [100, 80], [70, 110], [75, 85.0]]))
    assert rgb[80, 95].argmax() == 0  # x is red
    assert rgb[105, 70].argmax() == 1  # y is green


@pytest.mark.parametrize("corner", [(-5, -5), (190, 3), (-1e30, 250), (198, 199), (60, 0)])
def test_a_name_is_seen_whole(corner: tuple[float, float]) -> None:
    inside, rgb = canvas(), canvas()
    draw_name(inside, "7: 99%", np.array([50.0, 50]))
    draw_name(rgb, "7: 99%", np.array(corner, float))
    strips = [picture[(picture != 90).any(axis=2)] for picture in (inside, rgb)]
    np.testing.assert_array_equal(*strips)


def test_a_name_may_be_wider_than_the_picture() -> None:
    rgb = canvas()[:12, :15]
    draw_name(rgb, "7: 99%", np.array([5.0, 5]))
    assert (rgb != 90).any()


def test_no_face_is_called_certain() -> None:
    assert [percent(p) for p in (0.0, 0.406, 0.997, 1.0, np.nan)] == ["0%", "41%", "99%", "99%", "?"]
