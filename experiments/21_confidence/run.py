"""What does a confidence promise? Holds a model's calibration against trials, and prints and draws it.

    python experiments/21_confidence/run.py [MODEL] [--folders FOLDER ...] [--as-is] [--preset NAME]

Trials are faces on photos as they are and made harder, in the detector's boxes, and in boxes that are off;
and places beside faces. The calibration is learned on one half of the faces that the model has not learned
from and held against the other; with --as-is it is the model's own, held against all. Non-faces are also cut
from scikit-image's pictures, where that is installed. See README.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from jaxclnf.data.datasets import read_faces
from jaxclnf.data.evaluate import not_learned
from jaxclnf.media.images import read_photo, to_grey
from jaxclnf.models.calibration import SIGNS, promised
from jaxclnf.models.known_calibrations import experts_digest
from jaxclnf.models.network_presets import settings_for
from jaxclnf.models.opening import open_model
from jaxclnf.training.calibrate import GOOD, MOST_FACES, FittedTrials, learned_from, outcomes
from jaxclnf.training.trials import Trial, beside, trials
from jaxclnf.types import Calibration, Model

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[2] / "shared" / "faces"
PRESETS = ("default", "fast", "best")
EDGES = (0, 0.1, 0.3, 0.5, 0.7, 0.75, 0.85, 0.95, 1)
N_CROPS = 600
WITH_FACES = ("astronaut", "camera", "lfw_subset", "logo")


def textures(n: int) -> list[Trial]:
    """Boxes of any size in scikit-image's pictures that show no faces."""
    try:
        from skimage import data
    except ImportError:
        print("scikit-image is not installed: no crops of its pictures")
        return []
    paths = [p for p in sorted(Path(data.__file__).parent.iterdir()) if p.suffix in (".png", ".jpg")]
    greys = [to_grey(read_photo(p)) for p in paths if p.stem not in WITH_FACES]
    greys = [grey for grey in greys if min(grey.shape) >= 80]
    rng, nobody = np.random.default_rng(0), np.zeros((0, 4))
    each = -(-n // len(greys))
    return [Trial("texture", g, box, None) for g in greys for box in beside(g.shape, nobody, rng, each)]


def precision_recall_area(doubt: np.ndarray, bad: np.ndarray) -> float:
    """Mean precision at which the bad ones are found, the most doubtful first."""
    found = bad[np.argsort(-doubt, kind="stable")]
    precision = np.cumsum(found) / np.arange(1, len(found) + 1)
    return float(precision[found].mean())


def bins(sure: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Mean promised and found share in bins of confidence, and the bins' sizes."""
    at = np.digitize(sure, EDGES[1:-1])
    rows = [[sure[at == i].mean(), good[at == i].mean(), (at == i).sum()] for i in np.unique(at)]
    return np.array(rows)


def draw(path: Path, kinds: dict[str, np.ndarray], name: str) -> None:
    """Promised against found shares; points that hold many trials are large."""
    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for label, rows in kinds.items():
        spread = np.sqrt(np.maximum(rows[:, 1] * (1 - rows[:, 1]), 0.01) / rows[:, 2])
        line = axes.errorbar(rows[:, 0], rows[:, 1], yerr=spread, capsize=2, linewidth=1, label=label)
        axes.scatter(rows[:, 0], rows[:, 1], s=4 + rows[:, 2] / 4, color=line[0].get_color())
    axes.set(xlabel="promised share of fits below 5 % error", ylabel="found share", title=name)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=130)


def held_against(calibration: Calibration, outcome: FittedTrials, kinds: np.ndarray) -> np.ndarray:
    """Print what a calibration promises of trials and what was found; returns the promises."""
    sure = promised(calibration, outcome.signs, outcome.by_network)
    good, bad = outcome.error < GOOD, outcome.error > 10
    face = np.isfinite(outcome.error)
    for kind in dict.fromkeys(kinds):
        of = kinds == kind
        shares = f"promised {sure[of].mean():.3f}, found {good[of].mean():.3f}"
        print(f"    {kind:16} {of.sum():4} trials, {shares}")
    print(f"    Brier score of faces {np.mean((sure - good)[face] ** 2):.3f}")
    print(f"    mean confidence of {(~face).sum()} non-faces {sure[~face].mean():.4f}")
    for name, of in (("disturbed boxes", kinds == "disturbed"), ("all faces", face)):
        area = precision_recall_area(-sure[of], bad[of])
        before = precision_recall_area(outcome.signs[of, 1] - outcome.signs[of, 0], bad[of])
        told = f"{area:.4f}, by the likelihood less the spread alone {before:.4f}"
        print(f"    area under precision-recall for an error above 10 %, {name}: {told}")
    return sure


def split(
    model: Model, met: list[Trial], outcome: FittedTrials, kept: list[int], as_is: bool
) -> tuple[Calibration, np.ndarray]:
    """The calibration that is held against trials, and which ones: not those that it was learned from."""
    if as_is:
        assert model.calibration is not None, "the model has no calibration: leave out --as-is"
        return model.calibration, np.ones(len(kept), bool)
    nth = np.cumsum([trial.kind == "plain" for trial in met])[kept]
    test = (nth % 2 == 0) | np.array([met[i].kind == "texture" for i in kept])
    return learned_from(outcome.take(~test)), test


def show_curves(calibration: Calibration) -> None:
    """Print the slopes of both endings."""
    for last, slopes, bias in zip(
        ("patches", "a network"), calibration.slopes, calibration.bias, strict=True
    ):
        words = ", ".join(f"{name} {w:.3f}" for name, w in zip(SIGNS, slopes, strict=True))
        print(f"    fits that end with {last}: {words}, bias {bias:.3f}")


def promised_and_found(sure: np.ndarray, part: FittedTrials, kinds: np.ndarray) -> dict[str, np.ndarray]:
    """The `bins` of faces in detectors' boxes, and of those in disturbed ones; they are printed, too."""
    from_boxes = np.isfinite(part.error) & ~np.isin(kinds, ("disturbed", "lying"))
    good = part.error < GOOD
    shown = {"detector's boxes": from_boxes, "disturbed boxes": kinds == "disturbed"}
    found = {name: bins(sure[of], good[of]) for name, of in shown.items()}
    for name, rows in found.items():
        for promise, share, n in rows:
            print(f"    {name}: promised {promise:.2f}, found {share:.2f} of {n:.0f}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?")
    parser.add_argument("--as-is", action="store_true")
    parser.add_argument("--preset", choices=PRESETS, default="default")
    parser.add_argument(
        "--folders", type=Path, nargs="+", default=[SHARED / "lfpw_train", SHARED / "helen_train"]
    )
    options = parser.parse_args()
    model = open_model(options.model)
    faces = not_learned(read_faces(options.folders), model)
    faces = faces.take(np.random.default_rng(0).permutation(len(faces))[:MOST_FACES])
    met = [*trials(faces, pdm=model.pdm), *textures(N_CROPS)]
    settings = model.settings if options.preset == "default" else settings_for(model, options.preset)
    outcome, kept = outcomes(model, met, settings)
    calibration, test = split(model, met, outcome, kept, options.as_is)
    print(f"{model.provenance.name!r}, {experts_digest(model)}")
    show_curves(calibration)
    part, kinds = outcome.take(test), np.array([met[i].kind for i in kept])[test]
    shown = promised_and_found(held_against(calibration, part, kinds), part, kinds)
    picture = options.folders[0].name if options.as_is else "reliability"
    draw(HERE / f"{picture}.png", shown, model.provenance.name)


if __name__ == "__main__":
    main()
