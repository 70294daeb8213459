"""A head's surface seen from another side: samples of a photo, laid down from the farthest to the nearest."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float

Picture = Float[np.ndarray, "height width n_channels"]
Opacity = Float[np.ndarray, "height width"]

_FINE, _FINER = 2, 3  # samples a pixel of the picture that is made, and of the photo
_ROUNDS = 4  # of filling gaps where the surface is stretched

_OPAQUE = 0.3
"""Least opacity of what hides what is behind it."""


class TurnedView(NamedTuple):
    """A turn about an axis, and the size of the picture that is made."""

    turn: Float[np.ndarray, "3 3"]
    axis: Float[np.ndarray, "3"]
    toward: float
    size: tuple[int, int]

    def of_points(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        return (points - self.axis) @ self.turn.T + self.axis

    def pixels(self, points: Float[np.ndarray, "n 3"]) -> np.ndarray:
        """Find where points are in the fine picture, the nearest pixel inside of it."""
        places = np.round(_FINE * (points[:, :2] + 0.5) - 0.5).astype(int)
        return np.clip(places, 0, _FINE * np.array(self.size[::-1]) - 1)

    def of_surface(self, layers: Picture, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lay the samples of a head down from the farthest to the nearest; gives how near each pixel is, too.

        The last layer is the opacity, which the others are multiplied by.
        """
        height, width = (_FINER * n for n in self.size)
        fine = cv2.resize(layers, (width, height))
        y, x = np.nonzero(fine[..., -1] > _OPAQUE)
        colours = fine[y, x]
        colours[:, :-1] *= colours[:, -1:]
        z = cv2.resize(depth, (width, height))[y, x]
        places = self.of_points(np.stack([(x + 0.5) / _FINER - 0.5, (y + 0.5) / _FINER - 0.5, z], -1))
        nearness = self.toward * places[:, 2]
        order = np.argsort(nearness)
        order = order[self._inside(places[order])]
        column, row = self.pixels(places[order]).T
        seen = np.zeros((_FINE * self.size[0], _FINE * self.size[1], colours.shape[1]), np.float32)
        near = np.full(seen.shape[:2], -np.inf, np.float32)
        seen[row, column] = colours[order]
        near[row, column] = nearness[order]
        return seen, near

    def _inside(self, places: np.ndarray) -> Bool[np.ndarray, " n"]:
        within = (places[:, :2] > -0.5) & (places[:, :2] < np.array(self.size[::-1]) - 0.5)
        return np.all(within, axis=1)


def filled(picture: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fill gaps of a pixel or two from what is beside them."""
    for _ in range(_ROUNDS):
        there = (near > -np.inf).astype(np.float32)
        share = cv2.blur(there, (3, 3))
        gaps = (there == 0) & (share > 0.3)
        picture[gaps] = cv2.blur(picture, (3, 3)).reshape(picture.shape)[gaps] / share[gaps][:, None]
        near[gaps] = cv2.blur(np.where(there > 0, near, 0), (3, 3))[gaps] / share[gaps]
    return picture, near
