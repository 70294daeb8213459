"""What probability of a good fit does a log-likelihood mean? Prints a model's calibration and tests it.

    python experiments/21_confidence/run.py [MODEL] [--faces N]

A logistic curve is fitted on one half of annotated training faces and held against the other half. The line
it prints is what `jaxclnf.models.known` has of OpenFace's models; reliability.png shows promised against
found shares.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import jaxclnf
from jaxclnf.media.images import read_photo, to_grey
from jaxclnf.models.calibration import comparable, promised
from jaxclnf.models.known import experts_digest
from jaxclnf.models.opening import open_model
from jaxclnf.training.calibrate import logistic_curve

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[2] / "shared" / "faces"
GOOD = 0.05  # of the distance of the outer eye corners


def fits(model: jaxclnf.Model, folders: list[Path], n_faces: int) -> tuple[np.ndarray, np.ndarray]:
    """Comparable log-likelihoods of faces fitted from their boxes, and whether their error is small."""
    photos, boxes, points = [], [], []
    for folder in folders:
        table = np.load(folder / "points.npz")
        chosen = np.random.default_rng(0).permutation(len(table["names"]))[: n_faces // len(folders)]
        photos += [to_grey(read_photo(folder / table["names"][i])) for i in chosen]
        boxes += list(table["boxes"][chosen])
        points.append(table["points"][chosen])
    truth = np.concatenate(points)
    result = jaxclnf.fit_faces(model, photos, boxes, model.settings)
    error = np.linalg.norm(result.landmarks - truth, axis=-1).mean(axis=1)
    eyes = np.linalg.norm(truth[:, 36] - truth[:, 45], axis=1)
    return comparable(model, result, model.settings), error / eyes < GOOD


def reliability(probability: np.ndarray, good: np.ndarray, n_bins: int = 5) -> np.ndarray:
    """Mean promised and found share of good fits in bins of equally many faces, and the bins' sizes."""
    bins = np.array_split(np.argsort(probability), n_bins)
    return np.array([[probability[b].mean(), good[b].mean(), len(b)] for b in bins])


def draw(path: Path, bins: np.ndarray, name: str) -> None:
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    spread = np.sqrt(bins[:, 1] * (1 - bins[:, 1]) / bins[:, 2])
    axes.errorbar(bins[:, 0], bins[:, 1], yerr=spread, fmt="o-", capsize=3)
    axes.set(
        xlabel="promised share of fits below 5 % error",
        ylabel="found share, held-back half",
        xlim=(0, 1),
        ylim=(0, 1),
        title=name,
    )
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?")
    parser.add_argument("--faces", type=int, default=800)
    parser.add_argument(
        "--folders", type=Path, nargs="+", default=[SHARED / "lfpw_train", SHARED / "helen_train"]
    )
    options = parser.parse_args()
    model = open_model(options.model)
    likelihood, good = fits(model, options.folders, options.faces)
    half = np.arange(len(good)) % 2 == 0
    calibration = logistic_curve(likelihood[half], good[half])
    curve = f"{calibration.centre:.3f}, {calibration.slope:.2f}"
    print(f"{model.provenance.name!r}, {experts_digest(model)}: {curve}")
    probability = promised(calibration, likelihood[~half])
    bins = reliability(probability, good[~half])
    for low, found, size in bins:
        print(f"    promised {low:.2f}, found {found:.2f} of {size:.0f} faces")
    brier = np.mean((probability - good[~half]) ** 2)
    print(f"Brier score {brier:.3f}; {good[~half].mean() * (1 - good[~half].mean()):.3f} for the share alone")
    draw(HERE / "reliability.png", bins, model.provenance.name)


if __name__ == "__main__":
    main()
