"""Photos and films of known faces: a portrait pasted onto backgrounds of coloured clouds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from jaxclnf.media.images import RGB, read_photo
from jaxclnf.media.portrait import portrait_file
from jaxclnf.media.video_encoder import VideoFile

PHOTO = 640, 480  # width, height
FILM = 640, 480
DISTINCT = 100
"""Number of different photos; more are copies under other names, since nothing is cached by content."""

_FACE = slice(100, 420), slice(110, 430)  # in the portrait


def write_photos(folder: Path, n: int, seed: int = 0) -> list[Path]:
    """Write ``n`` photos with a face each, of 160 to 400 pixels with its surroundings."""
    rng = np.random.default_rng(seed)
    head, contents = _head(), []
    for i in range(min(n, DISTINCT)):
        photo, side = _clouds(rng, PHOTO), int(rng.integers(160, 400))
        corner = rng.integers(0, np.array(PHOTO) - side)
        _paste(photo, head if i % 2 else head[:, ::-1], side, corner)
        contents.append(cv2.imencode(".jpg", photo[:, :, ::-1])[1].tobytes())
    paths = [folder / f"{i:05}.jpg" for i in range(n)]
    for i, path in enumerate(paths):
        path.write_bytes(contents[i % len(contents)])
    return paths


def write_film(path: Path, n_frames: int, n_faces: int = 3, seed: int = 0) -> Path:
    """Write a film of up to four faces, each of which circles in its quarter of the picture."""
    rng = np.random.default_rng(seed)
    head, background, film = _head(), _clouds(rng, FILM), VideoFile(path, 25)
    quarter, side = np.array(FILM) // 2, 190
    for t in range(n_frames):
        picture = background.copy()
        for face in range(n_faces):
            angle = 2 * np.pi * (t / 75 + face / 4)
            middle = np.array([face % 2, face // 2]) * quarter + quarter // 2
            corner = middle - side // 2 + np.round(20 * np.array([np.cos(angle), np.sin(angle)])).astype(int)
            _paste(picture, head if face % 2 else head[:, ::-1], side, corner)
        film.add(picture)
    film.finish()
    return path


def _head() -> RGB:
    return read_photo(portrait_file())[_FACE]


def _clouds(rng: np.random.Generator, size: tuple[int, int]) -> RGB:
    few = rng.integers(0, 255, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(few, size, interpolation=cv2.INTER_CUBIC)


def _paste(
    picture: RGB, head: UInt8[np.ndarray, "head_height head_width 3"], side: int, corner: np.ndarray
) -> None:
    """Put a head into a picture, fading out towards a circle."""
    across = np.linspace(-1, 1, side)
    opaque = np.clip((1 - np.hypot(*np.meshgrid(across, across))) * 6, 0, 1)[..., None]
    small = cv2.resize(np.ascontiguousarray(head), (side, side), interpolation=cv2.INTER_AREA)
    place = picture[corner[1] : corner[1] + side, corner[0] : corner[0] + side]
    place[:] = (opaque * small + (1 - opaque) * place).astype(np.uint8)
