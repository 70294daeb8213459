"""Which detector finds which faces, and where do fits from its boxes end? Prints tables.

    python experiments/27_detection/run.py [PHOTOS] [--photos N] [--detectors NAME ...] [--preset NAME]
        [--changes NAME ...]

PHOTOS is a folder of full photos with points.npz, each with one annotated face. Photos are also turned,
enlarged or shrunk so far that the face is so many pixels wide, darkened, blurred, half covered, and cut off
where the face ends. See README.md.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import jaxclnf
from jaxclnf.batch.box_rows import overlaps, tight_box
from jaxclnf.config import FitConfig
from jaxclnf.data.evaluate import true_yaws
from jaxclnf.data.harder_photos import (
    SIDES,
    Change,
    at_border,
    beside_large,
    blurred,
    close_up,
    covered,
    darkened,
    shrunk,
    turned,
    unchanged,
)
from jaxclnf.media.detection import DetectorName, detect_faces, named_detector
from jaxclnf.media.images import read_photo, to_grey
from jaxclnf.models.calibration import confidences

SHARED = Path(__file__).resolve().parents[3] / "shared"
FOUND = 0.3  # of a detection's overlap with the face
DOUBTED = 0.05  # confidence below which a detection is called false

CHANGES: dict[str, Change] = {
    "as it is": unchanged,
    "turned 20": turned(20),
    "turned 30": turned(30),
    "turned 45": turned(45),
    "turned 90": turned(90),
    "turned -90": turned(-90),
    "turned 180": turned(180),
    "2,000 px": close_up(2000),
    "1,000 px": close_up(1000),
    "60 px": shrunk(60),
    "32 px": shrunk(32),
    "24 px": shrunk(24),
    **{f"{width} by large": beside_large(width) for width in (24, 32, 48)},
    "tilted by large": lambda rgb, points: beside_large(48, (1280, 960))(*turned(-40)(rgb, points)),
    "dark": darkened(0.2),
    "dark, noise": darkened(0.1, 8),
    "darker, noise": darkened(0.05, 8),
    "blurred": blurred(0.04),
    **{f"half: {side}": covered(side, 0.5) for side in SIDES},
    **{f"border {side}": at_border(side) for side in SIDES},
}


class Seen(NamedTuple):
    """What became of each annotated face under a detector, and what was found elsewhere."""

    found: np.ndarray  # whether
    error: np.ndarray  # percent of the eye distance, infinite where it was not found
    elsewhere: int
    false: int
    seconds: float  # of a core, for all photos

    def said(self) -> str:
        n, good = len(self.found), self.error < 10
        middle = np.median(self.error[self.found]) if self.found.any() else np.nan
        return (
            f"{self.found.mean():6.1%} found, {good.mean():6.1%} within 10 %, median error {middle:5.2f} %, "
            f"{self.elsewhere:3} elsewhere, {self.false:2} of them false, {1e3 * self.seconds / n:4.0f} ms"
        )


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


def seen(
    model: jaxclnf.Model, config: FitConfig, name: str, change: Change, photos: list, points: np.ndarray
) -> Seen:
    """Detect and fit the faces of changed photos."""
    greys, boxes, truths, seconds = [], [], [], 0.0
    for photo, own in zip(photos, points, strict=True):
        rgb, truth = change(photo, own.astype(np.float64))
        start = time.process_time()
        found = detect_faces(rgb, name)
        seconds += time.process_time() - start
        greys.append(to_grey(rgb))
        boxes.append(found.tilted)
        truths.append(truth)
    result = jaxclnf.fit_faces(model, greys, boxes, config) if any(map(len, boxes)) else None
    sure = np.zeros(0) if result is None else confidences(model, result, config)
    landmarks = np.zeros((0, 68, 2)) if result is None else result.landmarks
    ends = np.cumsum([len(rows) for rows in boxes])[:-1]
    each = zip(boxes, np.split(landmarks, ends), np.split(sure, ends), truths, strict=True)
    faces = [of_photo(*values) for values in each]
    hit, error, elsewhere, false = (np.array(column) for column in zip(*faces, strict=True))
    return Seen(hit, error, int(elsewhere.sum()), int(false.sum()), seconds)


def of_photo(
    boxes: np.ndarray, landmarks: np.ndarray, sure: np.ndarray, truth: np.ndarray
) -> tuple[bool, float, int, int]:
    """Whether the annotated face was found, its error, and how many detections are elsewhere, and false."""
    at = overlaps(boxes[:, :4], tight_box(truth)[None])[:, 0]
    others = at <= FOUND
    counts = int(others.sum()), int((others & (sure < DOUBTED)).sum())
    if others.all():
        return False, np.inf, *counts
    eyes = np.linalg.norm(truth[36] - truth[45])
    error = 100 * np.linalg.norm(landmarks[at.argmax()] - truth, axis=-1).mean() / eyes
    return True, float(error), *counts


def by(name: str, values: np.ndarray, edges: list[float], what: Seen) -> None:
    """Print a detector's shares by a property of the faces."""
    for low, high in zip(edges, edges[1:], strict=False):
        of = (values >= low) & (values < high)
        if of.any():
            shares = f"{what.found[of].mean():6.1%} found, {(what.error[of] < 10).mean():6.1%} within 10 %"
            print(f"    {name} {low:3.0f} to {high:4.0f}: {of.sum():3} faces, {shares}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?", default=SHARED / "photos" / "helen_train")
    parser.add_argument("--photos", type=int, default=120)
    parser.add_argument("--detectors", nargs="+", choices=[*DetectorName], default=installed())
    parser.add_argument("--preset", default="default")
    parser.add_argument("--changes", nargs="+", choices=[*CHANGES], default=[*CHANGES])
    options = parser.parse_args()
    table = np.load(options.folder / "points.npz")
    photos = [read_photo(options.folder / name) for name in table["names"][: options.photos]]
    points = table["points"][: len(photos)]
    model = jaxclnf.load_model()
    config = jaxclnf.preset_settings(model, options.preset)
    yaws, widths = np.abs(true_yaws(model.pdm, points)), np.ptp(points[..., 0], axis=1)
    for what in options.changes:
        for name in options.detectors:
            became = seen(model, config, name, CHANGES[what], photos, points)
            print(f"{what:13} {name:8} {became.said()}", flush=True)
            if what == "as it is":
                by("yaw", yaws, [0, 10, 20, 30, 90], became)
                by("width", widths, [0, 60, 120, 240, 480, 4000], became)


if __name__ == "__main__":
    main()
