"""Which detector finds which faces, and where do fits from its boxes end? Prints a table.

    python experiments/27_detection/run.py [PHOTOS] [--photos N]

PHOTOS is a folder of full photos with points.npz, each with one annotated face. Photos are also turned,
shrunk so far that the face is so many pixels wide, darkened and blurred.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

import jaxclnf
from jaxclnf.media.detection import DetectorName, detect_faces, named_detector
from jaxclnf.media.detection.sizes import overlaps
from jaxclnf.media.images import read_photo, to_grey

SHARED = Path(__file__).resolve().parents[3] / "shared"
Change = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def turned(degrees: float) -> Change:
    def change(rgb: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        to = cv2.getRotationMatrix2D(points.mean(axis=0).tolist(), -degrees, 1.0)
        picture = cv2.warpAffine(rgb, to, rgb.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
        return picture, points @ to[:, :2].T + to[:, 2]

    return change


def shrunk(width: float) -> Change:
    def change(rgb: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scale = min(1.0, width / float(np.ptp(points[:, 0])))
        picture = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return picture, scale * (points + 0.5) - 0.5

    return change


CHANGES: dict[str, Change] = {
    "as it is": lambda rgb, points: (rgb, points),
    "turned 20": turned(20),
    "turned 30": turned(30),
    "turned 45": turned(45),
    "60 px": shrunk(60),
    "32 px": shrunk(32),
    "24 px": shrunk(24),
    "dark": lambda rgb, points: ((rgb * 0.2).astype(np.uint8), points),
    "blurred": lambda rgb, points: (cv2.GaussianBlur(rgb, (0, 0), np.ptp(points[:, 0]) / 25), points),
}


def installed() -> list[DetectorName]:
    """The detectors that can be had here."""
    found = []
    for name in DetectorName:
        try:
            named_detector(name)
        except (ValueError, ImportError):
            continue
        found.append(name)
    return found


def row(model: jaxclnf.Model, name: str, change: Change, photos: list, points: np.ndarray) -> str:
    greys, boxes, truths, seconds = [], [], [], 0.0
    for photo, own in zip(photos, points, strict=True):
        rgb, truth = change(photo, own)
        start = time.process_time()
        found = detect_faces(rgb, name)
        seconds += time.process_time() - start
        tight = np.concatenate([truth.min(axis=0), np.ptp(truth, axis=0)])
        at = overlaps(found.boxes, tight[None])[:, 0]
        if len(at) and at.max() > 0.3:
            greys.append(to_grey(rgb))
            boxes.append(found.tilted[at.argmax()])
            truths.append(truth)
    n, good, middle = len(photos), 0, np.nan
    if greys:
        truth = np.array(truths)
        result = jaxclnf.fit_faces(model, greys, boxes)
        eyes = np.linalg.norm(truth[:, 36] - truth[:, 45], axis=1)
        error = 100 * np.linalg.norm(result.landmarks - truth, axis=-1).mean(axis=1) / eyes
        good, middle = int((error < 10).sum()), float(np.median(error))
    share = f"{len(greys) / n:7.1%} found, {good / n:7.1%} within 10 %, median error {middle:5.2f} %"
    return f"{share}, {1e3 * seconds / n:5.0f} ms of a core a photo"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?", default=SHARED / "photos" / "helen_train")
    parser.add_argument("--photos", type=int, default=120)
    options = parser.parse_args()
    table = np.load(options.folder / "points.npz")
    names = table["names"][: options.photos]
    photos = [read_photo(options.folder / name) for name in names]
    model = jaxclnf.load_model()
    for what, change in CHANGES.items():
        for name in installed():
            line = row(model, name, change, photos, table["points"][: len(photos)])
            print(f"{what:10} {name:8} {line}", flush=True)


if __name__ == "__main__":
    main()
