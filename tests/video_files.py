"""Videos for the tests: whole ones, and one that breaks off."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from jaxclnf.media.video_encoder import VideoFile

N_FRAMES = 12


def picture(i: int, size: tuple[int, int] = (64, 96)) -> np.ndarray:
    """A dark frame with a light square that moves right and is redder in every frame."""
    i %= N_FRAMES
    rgb = np.full((*size, 3), 40, np.uint8)
    rgb[20:40, 4 * i : 4 * i + 20] = (100 + 10 * i, 120, 60)
    return rgb


def write_video(path: Path, n_frames: int = N_FRAMES, fps: float = 12.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    film = VideoFile(path, fps)
    for i in range(n_frames):
        film.add(picture(i))
    film.finish()
    return path


def write_broken_video(path: Path) -> Path:
    """An .avi, which is read to where it ends; its header promises more."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (96, 64))
    for i in range(N_FRAMES):
        writer.write(picture(i)[:, :, ::-1])
    writer.release()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path
