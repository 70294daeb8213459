"""Drawing on photos: landmarks with the lines of a face between them, boxes, names, head-pose axes."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, Int

from jaxclnf.batch.box_rows import middle
from jaxclnf.media.images import RGB

Points = Float[np.ndarray, "n_points 2"]

# The curves of the 68-point (iBUG) scheme: first and last landmark, and whether the curve closes.
CURVES_68 = (
    (0, 16, False),  # jaw
    (17, 21, False),  # brows
    (22, 26, False),
    (27, 30, False),  # nose
    (31, 35, False),
    (36, 41, True),  # eyes
    (42, 47, True),
    (48, 59, True),  # lips
    (60, 67, True),
)
COLOURS = ((64, 224, 208), (255, 176, 59), (160, 220, 90), (255, 120, 150), (150, 170, 255), (240, 230, 90))
AXIS_COLOURS = ((235, 80, 70), (90, 210, 90), (80, 140, 255))  # x, y, z

EYE_CURVES = (slice(0, 8), slice(20, 28))  # iris, pupil
EYE_COLOURS = ((60, 120, 255), (255, 60, 60))
RAY_COLOUR = (60, 230, 60)

_GOLDEN = 0.618034
_SHIFT = 4  # OpenCV takes points in units of 2^-4 pixel
_SHADE = (20, 20, 20)
_SMALL = 75  # pixels of a face that lines and shades would cover
_LETTERS = 170  # pixels of a face whose name is written in letters of full size


def colour_of(face: int) -> tuple[int, int, int]:
    """Choose the colour of a face by its number, the same in every picture."""
    if face < len(COLOURS):
        return COLOURS[face]
    hue = face * _GOLDEN % 1.0  # far from those of the last few
    red, green, blue = colorsys.hls_to_rgb(hue, (0.5, 0.65, 0.8)[face % 3], 0.75)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_landmarks(rgb: RGB, points: Points, colour: tuple[int, int, int] = COLOURS[0]) -> None:
    """Draw landmarks into ``rgb``; between 68 of them also the lines of brows, eyes, nose, lips and jaw.

    Strokes are as thick as suits the face's size; a small face has dots of a pixel alone. Points that are not
    finite are left out with their curves.
    """
    ok = np.asarray(np.all(np.isfinite(points), axis=1))
    if not ok.any():
        return
    size = np.ptp(points[ok], axis=0).max()
    if size < _SMALL:
        _colour_pixels(rgb, points[ok], colour)
        return
    thickness = _thickness(size)
    curves = [curve for curve in CURVES_68 if ok[curve[0] : curve[1] + 1].all()] if len(points) == 68 else []
    places = _fixed(np.where(ok[:, None], points, 0))
    for shade, wide in ((_SHADE, thickness + 1), (colour, thickness)):
        for closed in (False, True):
            several = [places[first : last + 1] for first, last, closes in curves if closes == closed]
            _lines(rgb, several, closed, shade, wide)
    dots = list(np.repeat(places[ok][:, None], 2, axis=1))  # strokes without length: one call draws them all
    for wide, shade in ((2 * thickness + 1, _SHADE), (2 * thickness, (255, 255, 255))):
        _lines(rgb, dots, False, shade, wide)


def _colour_pixels(rgb: RGB, points: Points, colour: tuple[int, int, int]) -> None:
    inside = np.all((points > -0.5) & (points < np.array(rgb.shape[1::-1]) - 0.5), axis=1)
    x, y = np.round(points[inside]).astype(int).T
    rgb[y, x] = colour


def draw_box(rgb: RGB, box: Float[np.ndarray, "box"], colour: tuple[int, int, int] = COLOURS[0]) -> None:
    """Draw a box x, y, w, h into ``rgb``, turned clockwise about its middle by a fifth number, radians."""
    if not np.isfinite(box).all():
        return
    _, _, w, h, roll = np.append(box, 0)[:5]
    c, s = np.cos(roll), np.sin(roll)
    level = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2
    corners = level @ np.array([[c, s], [-s, c]]) + middle(box)
    _line(rgb, corners, True, colour, _thickness(w))


def draw_name(rgb: RGB, name: str, corner: Float[np.ndarray, "2"], face: float = np.inf) -> None:
    """Write a short name on a dark strip above ``corner``, or as near to there as all of it is seen.

    Letters grow with the picture, and beside a small ``face``, so many pixels large, only with it.
    """
    if not np.isfinite(corner).all():
        return
    size = max(0.4, min(*rgb.shape[:2], 1200 / _LETTERS * face) / 1200)
    (width, height), base = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    room = np.array([rgb.shape[1] - width - 5, rgb.shape[0] - base - 1])
    low = np.array([0, height + 2])
    x, y = np.clip(np.clip(corner, -1e4, 1e4).astype(int) - (0, base + 2), low, np.maximum(room, low))
    cv2.rectangle(rgb, (x, y - height - 2), (x + width + 4, y + base), _SHADE, -1)
    cv2.putText(rgb, name, (x + 2, y), cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1, cv2.LINE_AA)


def draw_gaze(
    rgb: RGB, eyes: Float[np.ndarray, "2 n_eye_points 2"], rays: Float[np.ndarray, "2 2 2"]
) -> None:
    """Draw into ``rgb``, for each eye, the contours of iris and pupil and a ray, given by its ends.

    ``eyes`` are landmarks of OpenFace's 28-point eyes.
    """
    for points, ray in zip(eyes, rays, strict=True):
        if np.isfinite(points).all() and np.isfinite(ray).all():
            thickness = _thickness(5 * np.ptp(points, axis=0).max())
            for curve, colour in zip(EYE_CURVES, EYE_COLOURS, strict=True):
                _line(rgb, points[curve], True, colour, 1)
            _line(rgb, ray, False, RAY_COLOUR, thickness)


def draw_axes(rgb: RGB, axes: Float[np.ndarray, "4 2"]) -> None:
    """Draw the head's axes into ``rgb``: their origin and the tips of x (red), y (green) and z (blue)."""
    if not np.isfinite(axes).all():
        return
    size = np.ptp(axes, axis=0).max()
    thickness = 2 * _thickness(size) if size > 0.4 * _SMALL else 1
    for tip, colour in zip(axes[1:], AXIS_COLOURS, strict=True):
        _line(rgb, np.stack([axes[0], tip]), False, colour, thickness)


def _line(rgb: RGB, points: Points, closed: bool, colour: tuple[int, int, int], thickness: int) -> None:
    _lines(rgb, [_fixed(points)], closed, colour, thickness)


def _lines(
    rgb: RGB,
    lines: Sequence[Int[np.ndarray, "_ 2"]],
    closed: bool,
    colour: tuple[int, int, int],
    thickness: int,
) -> None:
    """Draw several lines, in OpenCV's fixed point, at once: every call may have to wait for other threads."""
    cv2.polylines(rgb, lines, closed, colour, thickness, cv2.LINE_AA, _SHIFT)


def _thickness(size: float | np.floating) -> int:
    """Choose the thickness of strokes for something ``size`` pixels large."""
    return int(np.clip(np.round(size / 180), 1, 20))


def _fixed(points: Points) -> Int[np.ndarray, "n_points 2"]:
    """Convert coordinates to OpenCV's fixed point, within the range of its integers."""
    return np.round(np.clip(points, -1e4, 1e4) * 2**_SHIFT).astype(np.int32)
