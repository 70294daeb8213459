"""Films of annotated heads over painted backgrounds, with the landmarks of every frame.

Heads are cut out of full photos, and moved, turned, resized, covered, lit and filmed as a film says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO
from typing import NamedTuple

import av
import cv2
import numpy as np

from jaxclnf import load_model
from jaxclnf.data.turned_heads import SolidHead, solid_head
from jaxclnf.media.images import RGB
from jaxclnf.media.photo_parts import in_resized

SIZE = 384, 288  # width, height
FPS = 25
SUBFRAMES = 7  # of a blurred frame


@dataclass(frozen=True)
class Head:
    """A head cut out of a photo: colours, opacity 0 to 1, and landmarks, 400 pixels wide or less."""

    rgb: RGB
    opaque: np.ndarray
    points: np.ndarray
    front: np.ndarray | None = None  # the landmarks before it was turned to a side

    @cached_property
    def _facing(self) -> np.ndarray:
        return self.points if self.front is None else self.front

    @property
    def width(self) -> float:
        return float(np.ptp(self._facing[:, 0]))

    @property
    def middle(self) -> np.ndarray:
        return (self._facing.min(0) + self._facing.max(0)) / 2

    @property
    def eyes(self) -> float:
        return float(np.linalg.norm(self._facing[36] - self._facing[45]))

    @cached_property
    def _solid(self) -> SolidHead:
        """The head with depth, 200 pixels wide or less."""
        scale = min(1.0, 200 / self.width)
        rgb, opaque = (
            cv2.resize(layer, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            for layer in (self.rgb, self.opaque)
        )
        return solid_head(rgb, opaque, in_resized(self.points, scale), load_model().pdm)

    @property
    def yaw(self) -> float:
        """Degrees by which it is turned to a side in its photo."""
        return float(np.degrees(self._solid.angles[1]))

    def turned(self, yaw: float) -> Head:
        """Turn to a side by degrees; the landmarks of a jaw's hidden side lie on the cheek's outline."""
        seen = self._solid.turned(np.radians(yaw))
        rgb = np.clip(np.round(seen.picture), 0, 255).astype(np.uint8)
        return Head(rgb, seen.opacity, seen.outline, self._solid.points[:, :2])

    @cached_property
    def smaller(self) -> list[tuple[float, RGB, np.ndarray]]:
        """The picture in halves of its size, for frames in which it is small."""
        levels = [(1.0, self.rgb, self.opaque)]
        while min(levels[-1][1].shape[:2]) > 40:
            scale, rgb, opaque = levels[-1]
            size = [max(1, n // 2) for n in rgb.shape[1::-1]]
            levels.append(
                (
                    scale / 2,
                    cv2.resize(rgb, size, interpolation=cv2.INTER_AREA),
                    cv2.resize(opaque, size, interpolation=cv2.INTER_AREA),
                )
            )
        return levels


def head(photo: RGB, points: np.ndarray, width: float = 400.0) -> Head:
    """Cut a head and what is below it out of a photo; its edge fades out."""
    scale = min(1.0, width / float(np.ptp(points[:, 0])))
    if scale < 1:
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        points = in_resized(points, scale)
    w, h = np.ptp(points, axis=0)
    x, y = (points.min(0) + points.max(0)) / 2
    mask = np.zeros(photo.shape[:2], np.uint8)
    cv2.ellipse(mask, (int(x), int(y - 0.15 * h)), (int(0.95 * w), int(1.15 * h)), 0, 0, 360, 255, -1)
    low = int(y + 0.9 * h)
    cv2.ellipse(mask, (int(x), low + int(0.9 * h)), (int(1.4 * w), int(0.9 * h)), 0, 180, 360, 255, -1)
    mask[low + int(0.9 * h) :, max(0, int(x - 1.4 * w)) : int(x + 1.4 * w)] = 255
    mask[[0, -1]] = 0
    mask[:, [0, -1]] = 0
    blur = max(1.0, 0.03 * w)
    soft = cv2.GaussianBlur(cv2.erode(mask, np.ones((int(blur * 2) | 1,) * 2, np.uint8)), (0, 0), blur)
    low = min(photo.shape[0], int(y + 2.5 * h))
    return Head(photo[:low], (soft[:low] / 255).astype(np.float32), points.astype(np.float64))


@dataclass(frozen=True)
class Pose:
    """Where a head is: its face's middle and width in pixels, its roll in degrees, clockwise as seen.

    A head that is turned to a side, by ``yaw`` degrees, has the width that it has from the front.
    """

    x: float
    y: float
    width: float = 90.0
    roll: float = 0.0
    yaw: float = 0.0


Course = Callable[[float], Pose | None]


class There(NamedTuple):
    """A face in a frame: its landmarks (NaN where it is away), which are covered by nothing, and its size."""

    points: np.ndarray
    seen: np.ndarray
    eyes: float  # the distance of the outer eye corners, as it would be from the front


Truth = list[There]


@dataclass(frozen=True)
class Cover:
    """Something in front of everything: a polygon of a colour."""

    corners: np.ndarray
    colour: tuple[int, int, int]


@dataclass
class Film:
    """What a film shows; times are in frames, and heads before others come later."""

    heads: list[Head]
    courses: list[Course]
    n_frames: int = 60
    covers: Callable[[float], list[Cover]] = lambda t: []
    posters: list[tuple[Head, Pose]] = field(default_factory=list)
    camera: Callable[[float], tuple[float, float]] = lambda t: (0.0, 0.0)
    shutter: float = 0.0  # share of a frame for which it is open
    light: Callable[[int], float] = lambda t: 1.0
    times: Callable[[int], float] = lambda t: float(t)
    size: tuple[int, int] = SIZE
    seed: int = 0
    noise: float = 2.0
    codec: str | None = None
    max_faces: int = 8
    cuts: tuple[int, ...] = ()

    def frames(self) -> list[tuple[RGB, Truth]]:
        """Draw the pictures; and of each head the landmarks, NaN where it is away, and which can be seen."""
        rng = np.random.default_rng(self.seed)
        grounds = [background(rng, self.size) for _ in range(len(self.cuts) + 1)]
        out = []
        for i in range(self.n_frames):
            ground = grounds[sum(i >= c for c in self.cuts)]
            t = self.times(i)
            picture, truth = self._picture(ground, t)
            if self.shutter:
                parts = [
                    self._picture(ground, t + self.shutter * (k / (SUBFRAMES - 1) - 0.5))[0]
                    for k in range(SUBFRAMES)
                ]
                picture = np.mean(parts, axis=0)
            picture = picture.astype(np.float32) * self.light(i)
            picture = picture + rng.normal(0, self.noise, picture.shape).astype(np.float32)
            out.append((np.clip(picture, 0, 255).astype(np.uint8), truth))
        if self.codec:
            pictures = coded([p for p, _ in out], self.codec)
            out = [(p, truth) for p, (_, truth) in zip(pictures, out, strict=True)]
        return out

    def _picture(self, ground: np.ndarray, t: float) -> tuple[np.ndarray, Truth]:
        dx, dy = self.camera(t)
        to = np.array([[1.0, 0, dx - MARGIN], [0, 1, dy - MARGIN]])
        picture = cv2.warpAffine(ground, to, self.size, borderMode=cv2.BORDER_REFLECT).astype(np.float32)
        for one, pose in self.posters:
            pasted(picture, one, replace(pose, x=pose.x + dx, y=pose.y + dy), poster=True)
        truth: Truth = []
        for one, course in zip(self.heads, self.courses, strict=True):
            pose = course(t)
            if pose is None:
                truth.append(There(np.full((68, 2), np.nan), np.zeros(68, bool), 1.0))
                continue
            points, opaque = pasted(picture, one, replace(pose, x=pose.x + dx, y=pose.y + dy))
            truth = [
                before._replace(seen=before.seen & (at(opaque, before.points) < 0.5)) for before in truth
            ]
            inside = ((points >= 0) & (points <= np.array(self.size) - 1)).all(axis=1)
            truth.append(There(points, inside, one.eyes * pose.width / one.width))
        for cover in self.covers(t):
            mask = np.zeros(picture.shape[:2], np.uint8)
            cv2.fillPoly(mask, [np.round(cover.corners).astype(np.int32)], 255, lineType=cv2.LINE_AA)
            opaque = (cv2.GaussianBlur(mask, (0, 0), 1) / 255).astype(np.float32)
            picture += opaque[..., None] * (np.float32(cover.colour) - picture)
            truth = [face._replace(seen=face.seen & (at(opaque, face.points) < 0.5)) for face in truth]
        return picture, truth


def at(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Look up a picture's values at points, 0 outside of it."""
    h, w = picture.shape
    xy = np.nan_to_num(points, nan=-1e6)
    inside = ((xy >= 0) & (xy <= [w - 1, h - 1])).all(axis=1)
    x, y = np.clip(np.round(xy), 0, [w - 1, h - 1]).astype(int).T
    return np.where(inside, picture[y, x], 0)


def pasted(picture: np.ndarray, one: Head, pose: Pose, poster: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Lay a head over a picture; gives its landmarks and where it covers what is behind.

    A ``poster`` is a part of the photo, not the head cut out.
    """
    one = one.turned(pose.yaw) if pose.yaw else one
    scale = pose.width / one.width
    level = [s for s in one.smaller if s[0] >= scale * 0.99] or one.smaller[:1]
    small, rgb, opaque = level[-1]
    if poster:
        opaque = np.zeros_like(opaque)
        (x0, y0), (x1, y1) = one.points.min(0) * small, one.points.max(0) * small
        w, h = x1 - x0, y1 - y0
        opaque[
            max(0, int(y0 - 0.8 * h)) : int(y1 + 0.5 * h), max(0, int(x0 - 0.5 * w)) : int(x1 + 0.5 * w)
        ] = 1
    c, s = scale * np.cos(np.radians(pose.roll)), scale * np.sin(np.radians(pose.roll))
    turn = np.array([[c, -s], [s, c]])
    shift = np.array([pose.x, pose.y]) - turn @ one.middle
    full = np.column_stack([turn / small, shift + turn @ np.full(2, 0.5 / small - 0.5)])
    h, w = picture.shape[:2]
    there = cv2.warpAffine(rgb, full, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    solid = cv2.warpAffine(opaque, full, (w, h), flags=cv2.INTER_LINEAR)
    picture += solid[..., None] * (there - picture)
    return one.points @ turn.T + shift, solid


MARGIN = 60


def background(rng: np.random.Generator, size: tuple[int, int]) -> RGB:
    """Clouds, boxes and lines of muted colours."""
    w, h = size[0] + 2 * MARGIN, size[1] + 2 * MARGIN
    picture = np.zeros((h, w, 3), np.float32)
    for n, strength in ((4, 60), (12, 25), (40, 10)):
        few = rng.normal(0, strength, (n, n * 4 // 3, 3)).astype(np.float32)
        few = 0.5 * few + 0.5 * few.mean(axis=2, keepdims=True)
        picture += cv2.resize(few, (w, h), interpolation=cv2.INTER_CUBIC)
    picture += rng.uniform(70, 150)
    for _ in range(10):
        corner, extent = rng.integers(0, [w, h]), rng.integers(10, [w // 3, h // 2])
        colour = [float(v) for v in rng.uniform(30, 210) + rng.normal(0, 20, 3)]
        cv2.rectangle(picture, corner, corner + extent, colour, int(rng.choice([-1, 2, 4])))
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 1), 0, 255)


def coded(pictures: list[RGB], codec: str) -> list[RGB]:
    """What a codec leaves of pictures: "mjpeg:QUALITY", or one of PyAV's, "mpeg4:BITS_A_SECOND"."""
    name, value = codec.split(":")
    if name == "mjpeg":
        flags = [cv2.IMWRITE_JPEG_QUALITY, int(value)]
        files = [cv2.imencode(".jpg", p[..., ::-1], flags)[1] for p in pictures]
        return [cv2.imdecode(each, 1)[..., ::-1].copy() for each in files]
    file = BytesIO()
    with av.open(file, "w", format="matroska") as out:
        stream = out.add_stream(name, rate=FPS)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", int(value)
        for p in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(p, format="rgb24")))
        out.mux(stream.encode())
    file.seek(0)
    with av.open(file) as back:
        return [f.to_ndarray(format="rgb24") for f in back.decode(video=0)]
