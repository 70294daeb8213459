"""Kinds of hard trials: boxes that are off, and photos changed by `jaxclnf.data.harder_photos`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import numpy as np

import jaxclnf
from jaxclnf.data.datasets import Faces
from jaxclnf.data.harder_photos import (
    SIDES,
    Change,
    blurred,
    covered,
    darkened,
    lit_from,
    masked,
    motion_blurred,
    painted,
    patched,
    shrunk,
    turned,
    unchanged,
    with_dark_glasses,
)
from jaxclnf.data.turned_heads import turned_aside
from jaxclnf.media.images import read_photo, to_grey
from jaxclnf.types import PDM

Draw = Callable[[np.random.Generator], Change]
Move = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Trials(NamedTuple):
    """Grey photos, boxes and true landmarks of one kind of trials."""

    photos: list[np.ndarray]
    boxes: np.ndarray
    points: np.ndarray
    hidden: np.ndarray  # which landmarks the change covered
    sizes: np.ndarray  # of the faces, in those that they had


class Kind(NamedTuple):
    """A change of the photo, and one of the box."""

    change: Draw
    move: Move = lambda box, rng: box
    covers: bool = False


def _off(box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    shift = 0.15 * np.array([np.cos(angle), np.sin(angle)]) * box[2:]
    return np.concatenate([box[:2] + shift, box[2:]])


def _sized(factor: float) -> Move:
    def move(box: np.ndarray, _: np.random.Generator) -> np.ndarray:
        return np.concatenate([box[:2] + box[2:] * (1 - factor) / 2, factor * box[2:]])

    return move


def _plain(_: np.random.Generator) -> Change:
    return unchanged


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


@cache
def _pdm() -> PDM:
    return jaxclnf.load_model().pdm


def _aside(degrees: float, rng: np.random.Generator) -> Change:
    return turned_aside(np.radians(degrees * rng.choice([-1, 1])), _pdm())


KINDS: dict[str, Kind] = {
    "as they are": Kind(_plain),
    **{f"turned {d}°": Kind(lambda rng, d=d: turned(d)) for d in (-45, -30, 30, 45, 60, 90)},
    **{f"turned aside by {d}°": Kind(partial(_aside, d)) for d in (20, 40, 60)},
    "box 15 % of its size off": Kind(_plain, _off),
    "box 0.8 times as large": Kind(_plain, _sized(0.8)),
    "box 1.3 times as large": Kind(_plain, _sized(1.3)),
    "blurred": Kind(lambda rng: blurred(0.03)),
    "moved": Kind(lambda rng: motion_blurred(0.12, rng.uniform(0, 180))),
    "dark": Kind(lambda rng: darkened(0.12)),
    "lit from one side": Kind(lambda rng: lit_from(str(rng.choice(SIDES)), 0.05)),
    "noisy": Kind(lambda rng: darkened(0.5, 30, _seed(rng))),
    "40 pixels wide": Kind(lambda rng: shrunk(40)),
    "24 pixels wide": Kind(lambda rng: shrunk(24)),
    "a patch hidden": Kind(lambda rng: patched(tuple(rng.uniform(0.1, 0.9, 2)), (0.4, 0.4), 90), covers=True),
    "a side hidden": Kind(lambda rng: covered(str(rng.choice(SIDES)), 0.4), covers=True),
    "masked": Kind(lambda rng: masked(), covers=True),
    "dark glasses": Kind(lambda rng: with_dark_glasses(), covers=True),
}


def trials(faces: Faces, kind: str) -> Trials:
    """Make trials of every face."""
    made = [_trial(faces, i, KINDS[kind], np.random.default_rng((0, i))) for i in range(len(faces))]
    photos, *rest = zip(*made, strict=True)
    return Trials(list(photos), *(np.stack(each) for each in rest))


def _trial(faces: Faces, i: int, kind: Kind, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    rgb, points = read_photo(faces.photos[i]), faces.points[i].astype(np.float64)
    picture, moved = kind.change(rng)(rgb, points)
    hidden = painted(rgb, picture, points) if kind.covers else np.zeros(len(points), bool)
    size = np.linalg.norm(moved - moved.mean(0)) / np.linalg.norm(points - points.mean(0))
    box = faces.boxes[i].astype(np.float64)
    middle = moved.mean(0) + size * (box[:2] + box[2:] / 2 - points.mean(0))
    box = np.concatenate([middle - size * box[2:] / 2, size * box[2:]])
    return to_grey(picture), kind.move(box, rng).astype(np.float32), moved, hidden, np.float64(size)
