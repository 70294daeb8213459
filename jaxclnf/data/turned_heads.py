"""Heads turned out of the image: a photo is laid over a head's surface, and seen from another side.

The depth of the landmarks is that of a shape model fitted to them; between them, and over the forehead to the
hair, the surface is smooth. Zhu et al. (2016) call it face profiling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Num

from jaxclnf.data.harder_photos import RGB, Change, Points, shrunk
from jaxclnf.data.turned_view import Opacity, Picture, TurnedView, filled
from jaxclnf.fitting.face_params import params_from_landmarks
from jaxclnf.media.photo_parts import cut_out
from jaxclnf.ops.rotation import euler_to_matrix
from jaxclnf.ops.shape import shape_3d
from jaxclnf.types import PDM

_GRID = 3  # pixels between the places where depth is computed
_YIELDS, _BLUR = 0.003, 0.0225  # in widths of the face: how depth is smoothed, to be alike in all sizes
_JAW, _NOSE, _BROWS = (0, 16), 30, (19, 24)
_HALVES = (-1, range(8), slice(36, 42)), (1, range(9, 17), slice(42, 48))
"""Of each half of a face: which way is outward in a photo, its jaw, its eye."""

_HIDDEN = 0.04
"""Depth, in distances of the jaw's ends, by which a landmark lies behind what hides it."""


class TurnedHead(NamedTuple):
    """A head seen from another side."""

    picture: Picture
    opacity: Opacity
    points: Points
    outline: Points  # the same, but hidden ones of the jaw on the head's outline, where annotators set them
    seen: Bool[np.ndarray, " n_points"]


@dataclass(frozen=True)
class SolidHead:
    """A head on a photo, of which it is the part that is opaque: the depth of every pixel, and the landmarks.

    Lengths are pixels of the photo; ``toward`` is the sign of depths that are nearer to the camera.
    """

    picture: Picture
    opacity: Opacity
    depth: Float[np.ndarray, "height width"]
    points: Float[np.ndarray, "n_points 3"]
    angles: Float[np.ndarray, "3"]  # the rotation in the photo, radians
    toward: float

    @property
    def width(self) -> float:
        """The distance of the jaw's ends."""
        return float(np.linalg.norm(np.subtract(*self.points[list(_JAW)])))

    @property
    def axis(self) -> Float[np.ndarray, "3"]:
        """The point about which the head turns, a little behind the middle of the jaw's ends."""
        middle = self.points[list(_JAW)].mean(axis=0)
        return middle - [0, 0, 0.1 * self.toward * self.width]

    def turned(self, yaw: float, pitch: float = 0.0) -> TurnedHead:
        """Turn the head by two angles in radians, those of `FaceParams.rotation`."""
        turn = np.asarray(euler_to_matrix(jnp.array([pitch, yaw, 0.0])), np.float64)
        view = TurnedView(turn, self.axis, self.toward, self.picture.shape[:2])
        layers = np.concatenate([self.picture, self.opacity[..., None]], -1)
        layers, nearness = filled(*view.of_surface(layers, self.depth))
        points = view.of_points(self.points)
        places = view.pixels(points)
        front = cv2.erode(nearness, np.ones((5, 5)))[places[:, 1], places[:, 0]]
        seen = self.toward * points[:, 2] > front - _HIDDEN * self.width
        smaller = cv2.resize(layers, self.picture.shape[1::-1], interpolation=cv2.INTER_AREA)
        colours = smaller[..., :-1] / np.maximum(smaller[..., -1:], 1e-3)
        return TurnedHead(colours, smaller[..., -1], points[:, :2], self._outline(view, points), seen)

    def _outline(self, view: TurnedView, points: np.ndarray) -> Points:
        """Move points of the jaw as far out as the cheek beside them reaches, along the photo's rows."""
        moved = points[:, :2].copy()
        for outward, jaw, eye in _HALVES:
            cheek = self.points[eye, 0].mean()
            for i in jaw:
                inner = outward * min(outward * cheek, outward * self.points[i, 0])
                line = view.of_points(self._row(self.points[i], inner))
                far = line[np.argmax(outward * line[:, 0])]
                if outward * far[0] > outward * moved[i, 0]:
                    moved[i] = far[:2]
        return moved

    def _row(self, start: np.ndarray, to: float) -> Float[np.ndarray, "n 3"]:
        """Give points of the surface from a point on along the photo's row, to an ``x``."""
        height, width = self.depth.shape
        x = np.linspace(start[0], to, 32)
        column = np.clip(np.round(x), 0, width - 1).astype(int)
        row = int(np.clip(np.round(start[1]), 0, height - 1))
        return np.stack([x, np.full_like(x, start[1]), self.depth[row, column]], -1)


_explained = jax.jit(params_from_landmarks)


def solid_head(
    picture: Num[np.ndarray, "height width n_channels"], opacity: Opacity, points: Points, pdm: PDM
) -> SolidHead:
    """Give a photo depth about the face with these 68 landmarks; the head is where it is opaque (0 to 1)."""
    params = _explained(pdm, jnp.asarray(points, jnp.float32))
    turn = np.asarray(euler_to_matrix(params.rotation), np.float64)
    face = float(params.scale) * np.asarray(shape_3d(pdm, params.shape), np.float64)
    toward = float(np.sign(face[_NOSE, 2] - face[list(_JAW), 2].mean()))
    rest = _head_around(face, toward) @ turn.T
    face = face @ turn.T
    shift = (points - face[:, :2]).mean(axis=0)
    known = np.concatenate([points, rest[:, :2] + shift])
    depths = np.concatenate([face[:, 2], rest[:, 2]])
    back = rest[-_HAIR:, 2].mean()
    depth = _depth(known, depths, back, points, picture.shape[:2])
    solid = np.concatenate([points, face[:, 2:]], axis=1)
    layers = np.asarray(picture, np.float32), np.asarray(opacity, np.float32)
    return SolidHead(*layers, depth, solid, np.asarray(params.rotation, np.float64), toward)


def turned_aside(yaw: float, pdm: PDM) -> Change:
    """Cut a face with its surroundings out of the photo, and turn the head by ``yaw``, in radians.

    Faces wider than 200 pixels are shrunk. What was behind the head is blurred away.
    """

    def change(rgb: RGB, points: Points) -> tuple[RGB, Points]:
        low, high = points.min(axis=0), points.max(axis=0)
        room = 1.2 * float((high - low).max())
        part, first = cut_out(rgb, low - room, high + room)
        part, points = shrunk(200)(part, points - first)
        seen = solid_head(part, head_opacity(points, part.shape[:2]), points, pdm).turned(yaw)
        ground = cv2.GaussianBlur(part, (0, 0), 0.3 * float(np.ptp(points[:, 0]))).astype(np.float32)
        picture = ground + seen.opacity[..., None] * (seen.picture - ground)
        return np.clip(np.round(picture), 0, 255).astype(np.uint8), seen.outline

    return change


def head_opacity(points: Points, size: tuple[int, int]) -> Opacity:
    """Make the head about a face opaque, in a picture of a height and a width; its edge fades out."""
    low, high = points.min(axis=0), points.max(axis=0)
    (width, height), (x, y) = high - low, (low + high) / 2
    down, right = np.mgrid[: size[0], : size[1]]
    away = np.hypot((right - x) / (0.9 * width), (down - y + 0.15 * height) / (1.1 * height))
    return np.clip((1 - away) / 0.08, 0, 1)


_HAIR = 24  # points around the head


def _head_around(face: Float[np.ndarray, "n_points 3"], toward: float) -> Float[np.ndarray, "n 3"]:
    """Compute points of a usual forehead, and a ring of hair and neck, about a face that looks ahead."""
    ends, brows = face[list(_JAW)], face[list(_BROWS)].mean(axis=0)
    middle, width = ends.mean(axis=0), float(np.linalg.norm(ends[0] - ends[1]))
    up = np.sign(brows[1] - face[8, 1])
    bulge = (brows - middle)[2] / width
    across, above = np.meshgrid(np.linspace(-0.4, 0.4, 5), [0.18, 0.36, 0.55, 0.75])
    share = np.repeat([[1.0], [0.85], [0.45], [0.0]], 5, axis=1)
    ahead = (bulge * share - 0.05 * toward * (share == 0)) * (1 - (across / 0.62) ** 2)
    forehead = np.stack(
        [middle[0] + across * width, brows[1] + up * above * width, middle[2] + ahead * width], -1
    )
    angles = np.linspace(0, 2 * np.pi, _HAIR, endpoint=False)
    ring = np.stack(
        [0.75 * np.cos(angles), up * 0.05 + 0.95 * np.sin(angles), np.full(_HAIR, -0.12 * toward)], -1
    )
    return np.concatenate([forehead.reshape(-1, 3), middle + width * ring])


def _depth(
    known: Float[np.ndarray, "n 2"], depths: np.ndarray, back: float, points: Points, size: tuple[int, int]
) -> Float[np.ndarray, "height width"]:
    """Compute a depth for every pixel; beyond the head it is that of its back."""
    from scipy.interpolate import RBFInterpolator  # slow to import, and it filters warnings

    height, width = size
    y, x = np.mgrid[0:height:_GRID, 0:width:_GRID].astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    extent = high[0] - low[0]
    surface = RBFInterpolator(known, depths, kernel="linear", smoothing=_YIELDS * extent)
    depth = surface(np.stack([x.ravel(), y.ravel()], -1)).reshape(x.shape)
    beyond = np.hypot(
        (x - (low[0] + high[0]) / 2) / (0.8 * extent), (y - (low[1] + high[1]) / 2 + 0.15 * extent) / extent
    )
    blur = _BLUR * extent / _GRID
    depth = cv2.GaussianBlur(np.where(beyond > 1, back, depth).astype(np.float32), (0, 0), blur)
    of_pixel = np.array([[1 / _GRID, 0, 0], [0, 1 / _GRID, 0]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(depth, of_pixel, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
