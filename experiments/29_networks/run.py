"""Faces from boxes that are off and photos that are hard; how well landmarks' covariances keep their word.

    python experiments/29_networks/run.py [FOLDER ...]

Of the folders, by default the training faces, those count that the model has not learned from.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from scipy.stats import chi2

import jaxclnf
from jaxclnf.data.datasets import Faces, read_faces
from jaxclnf.data.evaluate import not_learned
from jaxclnf.models.presets import settings_for

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

HERE = Path(__file__).parent
SHARED = HERE.parents[2] / "shared" / "faces"
PRESETS = "default", "fast"


def trials(faces: Faces) -> Iterator[tuple[str, list, np.ndarray, np.ndarray]]:
    """Kinds of trials: photos, boxes and true landmarks."""
    rng, n = np.random.default_rng(0), len(faces)
    photos, boxes, points = [faces.image(i) for i in range(n)], faces.boxes, faces.points
    yield "as they are", photos, boxes, points
    for degrees in (-45, -30, 30, 45):
        turned = [_turned(p, b, t, degrees) for p, b, t in zip(photos, boxes, points, strict=True)]
        yield f"turned {degrees}°", [p for p, _ in turned], boxes, np.stack([t for _, t in turned])
    angles = rng.uniform(0, 2 * np.pi, n)
    shift = 0.15 * np.stack([np.cos(angles), np.sin(angles)], 1) * boxes[:, 2:]
    yield "box 15 % off", photos, np.concatenate([boxes[:, :2] + shift, boxes[:, 2:]], 1), points
    for size in (0.8, 1.3):
        corner = boxes[:, :2] + boxes[:, 2:] * (1 - size) / 2
        yield f"box x {size}", photos, np.concatenate([corner, size * boxes[:, 2:]], 1), points
    for kind in ("blurred", "dark", "noisy", "partly hidden"):
        yield kind, [_hard(p, b, kind, rng) for p, b in zip(photos, boxes, strict=True)], boxes, points


def _turned(photo: np.ndarray, box: np.ndarray, points: np.ndarray, degrees: float):
    x, y = (box[:2] + box[2:] / 2).tolist()
    turn = cv2.getRotationMatrix2D((x, y), degrees, 1)
    turned = cv2.warpAffine(photo, turn, photo.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    return turned, points @ turn[:, :2].T + turn[:, 2]


def _hard(photo: np.ndarray, box: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    grey, (x, y, w, h) = photo.astype(np.float32), box
    if kind == "blurred":
        grey = cv2.GaussianBlur(grey, (0, 0), 0.03 * float(w))
    elif kind == "dark":
        grey = 0.12 * grey
    elif kind == "noisy":
        grey = 0.5 * grey + 30 * rng.standard_normal(grey.shape)
    else:
        left, top = np.maximum([x, y] + rng.uniform(0, 0.6, 2) * [w, h], 0).astype(int)
        grey[top : top + int(0.4 * h), left : left + int(0.4 * w)] = 90
    return np.clip(np.round(grey), 0, 255).astype(np.uint8)


def main() -> None:
    folders = [Path(p) for p in sys.argv[1:]] or [SHARED / "lfpw_train", SHARED / "helen_train"]
    model = jaxclnf.load_model()
    faces = not_learned(read_faces(folders), model)
    configs = {name: settings_for(model, name) for name in PRESETS}
    squares, total = {}, {name: [] for name in PRESETS}
    print(f"{len(faces)} faces; mean / median / % above 10")
    for kind, photos, boxes, points in trials(faces):
        row = []
        for name, config in configs.items():
            result = jaxclnf.fit_faces(model, photos, boxes, config)
            apart = result.landmarks - points
            errors = 100 * np.linalg.norm(apart, axis=-1).mean(1) / faces.eye_distances
            total[name].append(errors)
            row.append(f"{errors.mean():.2f} / {np.median(errors):.2f} / {100 * (errors > 10).mean():.1f}")
            if name == "default":
                precision = np.linalg.inv(np.asarray(result.covariance, np.float64))
                squares[kind] = np.einsum("fni,fnij,fnj->fn", apart, precision, apart)
        print(f"{kind:<16}" + "  |  ".join(row), flush=True)
    means = [f"{100 * (np.concatenate(each[1:]) > 10).mean():.2f} % above 10" for each in total.values()]
    print(f"{'all disturbed':<16}" + "  |  ".join(means))
    draw(squares)


def draw(squares: dict[str, np.ndarray]) -> None:
    """Promised shares of landmarks within their ellipses against those found."""
    promised = np.linspace(0.02, 0.98, 49)
    limits = chi2.ppf(promised, 2)
    figure, axes = plt.subplots(figsize=(6, 6))
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for kind, square in squares.items():
        axes.plot(promised, [(square <= limit).mean() for limit in limits], label=kind)
        within = (square <= chi2.ppf(0.9, 2)).mean()
        print(f"{kind:<16}of landmarks said to be within with 90 %, {within:.1%} are")
    axes.set(xlabel="promised share of landmarks", ylabel="found share", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(HERE / "reliability.png", dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main()
