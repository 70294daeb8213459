"""Changes that make photos of annotated faces harder: turned, small, dark, blurred, covered, cut off.

A change takes a photo (RGB, 8 bits) and the points of its face, and returns new ones.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from jaxclnf.media.photo_parts import cut_out, in_resized

RGB = UInt8[np.ndarray, "_ _ 3"]  # a change may change the sizes
Points = Float[np.ndarray, "n_points 2"]
Change = Callable[[RGB, Points], tuple[RGB, Points]]

SIDES = ("left", "right", "top", "bottom")
"""Sides of a photo."""


def unchanged(rgb: RGB, points: Points) -> tuple[RGB, Points]:
    """Leave the photo as it is."""
    return rgb, points


def turned(degrees: float) -> Change:
    """Turn clockwise, as seen, about the face's middle; beyond its border the photo is mirrored."""

    def change(rgb: RGB, points: Points) -> tuple[RGB, Points]:
        to = cv2.getRotationMatrix2D(points.mean(axis=0).tolist(), -degrees, 1.0)
        picture = cv2.warpAffine(rgb, to, rgb.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
        return picture, points @ to[:, :2].T + to[:, 2]

    return change


def shrunk(width: float) -> Change:
    """Shrink until the face is so many pixels wide; smaller faces stay."""

    def change(rgb: RGB, points: Points) -> tuple[RGB, Points]:
        scale = min(1.0, width / float(np.ptp(points[:, 0])))
        picture = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return picture, in_resized(points, scale)

    return change


def close_up(width: float) -> Change:
    """Cut the face out with a face's size on each side, and enlarge it until it is so many pixels wide."""

    def change(rgb: RGB, points: Points) -> tuple[RGB, Points]:
        low, high = points.min(axis=0), points.max(axis=0)
        part, first = cut_out(rgb, 2 * low - high, 2 * high - low)
        scale = width / float(high[0] - low[0])
        picture = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        return picture, in_resized(points - first, scale)

    return change


def beside_large(width: float, size: tuple[int, int] = (2000, 1500)) -> Change:
    """Paste a copy so small that its face is so many pixels wide into a photo of its face, a quarter as wide.

    The points are the copy's. Beyond its border the photo goes on as it ends.
    """

    def change(rgb: RGB, points: Points) -> tuple[RGB, Points]:
        scale = size[0] / 4 / float(np.ptp(points[:, 0]))
        x, y = np.array(size) / 2 - scale * points.mean(axis=0)
        to = np.array([[scale, 0, x], [0, scale, y]])
        picture = cv2.warpAffine(rgb, to, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        small, there = shrunk(width)(rgb, points)
        low = np.maximum(there.mean(axis=0) - 1.3 * width, 0).astype(int)
        part = small[low[1] : low[1] + int(2.6 * width), low[0] : low[0] + int(2.6 * width)]
        corner = np.array(size) // 20
        picture[corner[1] :, corner[0] :][: part.shape[0], : part.shape[1]] = part
        return picture, there - low + corner

    return change


def darkened(share: float, noise: float = 0.0, seed: int = 0) -> Change:
    """Leave only a share of the light, and add a sensor's noise with a standard deviation in grey levels."""

    def change(rgb: RGB, points: Points) -> tuple[RGB, Points]:
        dark = rgb * share
        if noise:
            dark = dark + np.random.default_rng(seed).normal(0, noise, rgb.shape)
        return np.clip(dark, 0, 255).astype(np.uint8), points

    return change


def blurred(share: float) -> Change:
    """Blur by a Gaussian whose standard deviation is a share of the face's width."""

    def change(rgb: RGB, points: Points) -> tuple[RGB, Points]:
        return cv2.GaussianBlur(rgb, (0, 0), share * float(np.ptp(points[:, 0]))), points

    return change


def motion_blurred(share: float, degrees: float) -> Change:
    """Blur along a line of that share of the face's width, at that angle."""

    def change(rgb: RGB, points: Points) -> tuple[RGB, Points]:
        length = max(share * float(np.ptp(points[:, 0])), 1.0)
        side = 2 * round(length / 2) + 1
        half = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]) * (side // 2)
        kernel = np.zeros((side, side), np.float32)
        start, end = (np.round(side // 2 + sign * half).astype(int).tolist() for sign in (-1, 1))
        cv2.line(kernel, start, end, 1.0)
        return cv2.filter2D(rgb, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE), points

    return change


def lit_from(side: str, share: float) -> Change:
    """Let the light fall from one of the `SIDES`, so that the far end of the face has that share of it."""

    def change(rgb: RGB, points: Points) -> tuple[RGB, Points]:
        low, high = _about(points)
        axis = int(side in ("top", "bottom"))
        along = (np.arange(rgb.shape[1 - axis]) - low[axis]) / (high - low)[axis]
        along = np.clip(along if side in ("left", "top") else 1 - along, 0, 1)
        light = share**along
        light = light[None, :, None] if axis == 0 else light[:, None, None]
        return np.clip(rgb * light, 0, 255).astype(np.uint8), points

    return change


def masked(grey: int = 200) -> Change:
    """Cover the face from the middle of the nose on down, as a mask does (68 landmarks)."""

    def change(rgb: RGB, points: Points) -> tuple[RGB, Points]:
        outline = cv2.convexHull(np.round(points[[*range(1, 16), 28]]).astype(np.int32))
        return cv2.fillConvexPoly(rgb.copy(), outline, [grey] * 3), points

    return change


def with_dark_glasses(grey: int = 20) -> Change:
    """Cover the eyes as dark glasses do (68 landmarks)."""

    def change(rgb: RGB, points: Points) -> tuple[RGB, Points]:
        picture = rgb.copy()
        for eye in (points[36:42], points[42:48]):
            outline = eye.mean(axis=0) + (eye - eye.mean(axis=0)) * [1.7, 3.0]
            cv2.fillConvexPoly(picture, cv2.convexHull(np.round(outline).astype(np.int32)), [grey] * 3)
        return picture, points

    return change


def covered(side: str, share: float, grey: int = 128) -> Change:
    """Cover a share of the face with one colour, beginning at one of its `SIDES`."""

    def change(rgb: RGB, points: Points) -> tuple[RGB, Points]:
        picture, (low, high) = rgb.copy(), _about(points)
        size = high - low
        if side in ("left", "top"):
            high = np.where([side == "left", side == "top"], low + share * size, high)
        else:
            low = np.where([side == "right", side == "bottom"], high - share * size, low)
        (x, y), (to_x, to_y) = np.maximum(low, 0).astype(int), np.maximum(high, 0).astype(int)
        picture[y:to_y, x:to_x] = grey
        return picture, points

    return change


def patched(middle: tuple[float, float], size: tuple[float, float], grey: int = 128) -> Change:
    """Lay a rectangle of one colour over the face; ``middle`` and ``size`` (x, y) in sizes of the face."""

    def change(rgb: RGB, points: Points) -> tuple[RGB, Points]:
        picture, (low, high) = rgb.copy(), _about(points)
        corner = low + (np.array(middle) - np.array(size) / 2) * (high - low)
        (x, y), (to_x, to_y) = (
            np.maximum(place, 0).astype(int) for place in (corner, corner + np.array(size) * (high - low))
        )
        picture[y:to_y, x:to_x] = grey
        return picture, points

    return change


def painted(before: RGB, after: RGB, points: Points) -> Bool[np.ndarray, " n_points"]:
    """Tell which points a change covered: their pixel is another than before."""
    x, y = np.clip(np.round(points), 0, np.array(before.shape[1::-1]) - 1).astype(int).T
    return (before[y, x] != after[y, x]).any(axis=-1)


def at_border(side: str, share: float = 0.0) -> Change:
    """Cut the photo off where the face ends, or so that a share of the face is lost."""

    def change(rgb: RGB, points: Points) -> tuple[RGB, Points]:
        (x, y), (to_x, to_y) = points.min(axis=0), points.max(axis=0)
        height, width = rgb.shape[:2]
        left = int(max(x + share * (to_x - x), 0)) if side == "left" else 0
        top = int(max(y + share * (to_y - y), 0)) if side == "top" else 0
        right = int(min(to_x - share * (to_x - x), width)) if side == "right" else width
        bottom = int(min(to_y - share * (to_y - y), height)) if side == "bottom" else height
        return np.ascontiguousarray(rgb[top:bottom, left:right]), points - [left, top]

    return change


def _about(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """Find the corners of the box of a face with its forehead."""
    low, high = points.min(axis=0), points.max(axis=0)
    size = high - low
    return low - size * [0.1, 0.3], high + size * 0.1
