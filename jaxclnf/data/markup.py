"""Markups: the meaning of landmarks, their mirror images, groups and the outer corners of the eyes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Markup:
    """A numbering of landmarks.

    ``mirror[i]``: the landmark that landmark i becomes in a mirrored photo. ``groups``: landmarks of a
    part of the face. ``eye_corners``: the outer ones, whose distance is the unit of the error.
    """

    mirror: tuple[int, ...]
    groups: Mapping[str, tuple[int, ...]]
    eye_corners: tuple[int, int]

    def eye_distances(self, points: np.ndarray) -> np.ndarray:
        """Compute the distance (n,) of the outer eye corners of faces (n, n_points, 2)."""
        first, second = self.eye_corners
        return np.linalg.norm(points[:, first] - points[:, second], axis=-1)


def _mirror_68() -> tuple[int, ...]:
    """Mirror the 68-point markup: runs of landmarks swap with each other or reverse."""
    table = [0] * 68
    turned = [(0, 16), (17, 26), (31, 35), (48, 54), (55, 59), (60, 64), (65, 67)]
    for first, last in turned:
        for i in range(first, last + 1):
            table[i] = first + last - i
    for i in range(27, 31):
        table[i] = i
    for left, right in [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]:
        table[left], table[right] = right, left
    return tuple(table)


LANDMARKS_68 = Markup(
    mirror=_mirror_68(),
    groups={
        "jaw": tuple(range(0, 17)),
        "brows": tuple(range(17, 27)),
        "nose": tuple(range(27, 36)),
        "eyes": tuple(range(36, 48)),
        "mouth": tuple(range(48, 68)),
    },
    eye_corners=(36, 45),
)

MOST = 10_000
"""Landmarks of the longest run in a text; no face has so many."""

MARKUPS = {68: LANDMARKS_68}
"""The known markups by their number of landmarks."""


def mirror_of_groups(mirror: Sequence[int] | None, groups: Sequence[Sequence[int]]) -> tuple[int, ...] | None:
    """Build the mirror table of the markup whose landmark k stands for the landmarks in groups[k].

    It is None if there is no mirror table or the mirror image of some group is not a group.
    """
    if mirror is None:
        return None
    index = {frozenset(g): k for k, g in enumerate(groups)}
    images = [index.get(frozenset(mirror[i] for i in g)) for g in groups]
    table = tuple(k for k in images if k is not None)
    return table if len(table) == len(groups) else None


def parse_groups(text: str) -> list[list[int]]:
    """Parse landmark groups from a text such as ``36+39,42+45,30,48-49``: commas separate landmarks of the
    new markup, ``+`` joins landmarks to be averaged, ``a-b`` names the run from a to b.
    """
    groups: list[list[int]] = []
    try:
        for item in text.replace(" ", "").split(","):
            if "+" in item:
                groups.append([int(i) for i in item.split("+")])
            else:
                first, _, last = item.partition("-")
                run = range(int(first), int(last or first) + 1)
                if not 0 < len(run) <= MOST:
                    raise ValueError
                groups += [[i] for i in run]
    except (ValueError, OverflowError):
        raise ValueError(f"landmarks must read like 36+39,42+45,30,48-54; got {text!r:.100}") from None
    return groups
