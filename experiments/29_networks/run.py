"""Faces from boxes that are off and photos that are hard; how well certainties of landmarks keep their word.

    python experiments/29_networks/run.py [FOLDER ...] [--presets NAME ...] [--kinds NAME ...]

Of the folders, by default the training faces, those count that the model has not learned from.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from kinds import KINDS, Trials, trials

import jaxclnf
from jaxclnf.data.datasets import read_faces
from jaxclnf.data.evaluate import not_learned
from jaxclnf.models.calibration import confidences
from jaxclnf.models.network_presets import settings_for
from jaxclnf.ops.certainty import certain_square

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
SHARED = HERE.parents[2] / "shared" / "faces"
SHARES = 0.5, 0.68, 0.8, 0.9, 0.95


class Outcome(NamedTuple):
    """What became of one kind of trials under the default settings."""

    error: np.ndarray  # percent of the eye distance
    square: np.ndarray  # of each landmark's distance, by its covariance
    visibility: np.ndarray
    confidence: np.ndarray


def fitted(model, config, met: Trials, eye_distances: np.ndarray) -> Outcome:
    """Fit one kind of trials."""
    result = jaxclnf.fit_faces(model, met.photos, met.boxes, config)
    apart = result.landmarks - met.points
    precision = np.linalg.inv(np.asarray(result.covariance, np.float64))
    return Outcome(
        100 * np.linalg.norm(apart, axis=-1).mean(1) / (eye_distances * met.sizes),
        np.einsum("fni,fnij,fnj->fn", apart, precision, apart),
        np.asarray(result.visibility),
        confidences(model, result, config),
    )


def main() -> None:
    asked = parsed()
    model = jaxclnf.load_model()
    faces = not_learned(read_faces(asked.folders), model)
    configs = {name: settings_for(model, name) for name in asked.presets}
    hidden: dict[str, np.ndarray] = {}
    outcomes: dict[str, dict[str, Outcome]] = {name: {} for name in configs}
    print(f"{len(faces)} faces; mean / median / % above 10: {', '.join(configs)}")
    for kind in asked.kinds:
        met = trials(faces, kind)
        hidden[kind] = met.hidden
        for name, config in configs.items():
            outcomes[name][kind] = fitted(model, config, met, faces.eye_distances)
        each = [summary(outcomes[name][kind].error) for name in configs]
        print(f"{kind:<26}" + "  |  ".join(each), flush=True)
    for name in configs:
        if len(asked.kinds) > 1:
            errors = np.concatenate([outcomes[name][kind].error for kind in asked.kinds[1:]])
            print(f"all but the first, {name}: {100 * (errors > 10).mean():.2f} % above 10")
    for name in configs:
        tell_certainty(name, outcomes[name], hidden)
    if "default" in configs and list(KINDS) == asked.kinds:
        draw({kind: outcome.square for kind, outcome in outcomes["default"].items()})


def parsed() -> argparse.Namespace:
    """Parse the command line; by default it asks for all that the table shows."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "folders", nargs="*", type=Path, default=[SHARED / "lfpw_train", SHARED / "helen_train"]
    )
    parser.add_argument("--presets", nargs="+", metavar="NAME", default=["default", "fast"])
    parser.add_argument("--kinds", nargs="+", metavar="NAME", default=list(KINDS), choices=list(KINDS))
    return parser.parse_args()


def summary(errors: np.ndarray) -> str:
    """Sum errors up: mean, median, percent above 10."""
    return f"{errors.mean():.2f} / {np.median(errors):.2f} / {100 * (errors > 10).mean():.1f}"


def tell_certainty(name: str, outcomes: dict[str, Outcome], hidden: dict[str, np.ndarray]) -> None:
    """Print how ellipses, visibilities and confidences of a preset keep their word."""
    print(f"{name}: landmarks within ellipses said to hold " + ", ".join(f"{s:.0%}" for s in SHARES))
    for kind, outcome in outcomes.items():
        within = [(outcome.square <= float(certain_square(share))).mean() for share in SHARES]
        print(f"  {kind:<22}" + " ".join(f"{share:6.1%}" for share in within))
    cover = {kind: h for kind, h in hidden.items() if h.any()}
    for kind, h in cover.items():
        print(f"  {kind}: area under the curve of visibility {area(1 - outcomes[kind].visibility, h):.3f}")
    everything = np.concatenate([hidden[kind] for kind in outcomes]).ravel()
    said = np.concatenate([outcome.visibility for outcome in outcomes.values()]).ravel()
    print(f"  all kinds: area under the curve of visibility {area(1 - said, everything):.3f}")
    for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1)):
        inside = (said > low) & (said <= high)
        if inside.any():
            print(f"    said {low}-{high}: {(~everything[inside]).mean():.0%} of {inside.sum()} are visible")
    error = np.concatenate([outcome.error for outcome in outcomes.values()])
    sure = np.concatenate([outcome.confidence for outcome in outcomes.values()])
    wrong = error > 10
    print(
        f"  confidence, error above 10 %: area under the curve {area(-sure, wrong):.3f} ({wrong.sum()} faces)"
    )


def area(sign: np.ndarray, is_so: np.ndarray) -> float:
    """Compute the area under the receiver's curve: how often a sign is larger where it is so."""
    from scipy.stats import rankdata

    sign, is_so = np.ravel(sign), np.ravel(is_so)
    n = int(is_so.sum())
    if n in (0, len(is_so)):
        return float("nan")
    return float((rankdata(sign)[is_so].sum() - n * (n + 1) / 2) / (n * (len(is_so) - n)))


def draw(squares: dict[str, np.ndarray]) -> None:
    """Draw promised shares of landmarks within their ellipses against those found."""
    promised = np.linspace(0.02, 0.98, 49)
    limits = np.asarray(certain_square(promised))
    figure, axes = plt.subplots(figsize=(6, 6))
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for i, (kind, square) in enumerate(squares.items()):
        style = ("-", "--", ":")[i // 10]
        found = [(square <= limit).mean() for limit in limits]
        axes.plot(promised, found, style, color=f"C{i % 10}", linewidth=1, label=kind)
    axes.set(xlabel="promised share of landmarks", ylabel="found share", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize=7)
    figure.savefig(HERE / "reliability.png", dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main()
