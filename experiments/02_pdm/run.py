"""A PDM learned from 2D landmarks, beside OpenFace's: see README.md."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

from jaxclnf import FitConfig, Model, convert_openface, fit_faces
from jaxclnf.data.datasets import read_faces
from jaxclnf.data.evaluate import figures, point_errors
from jaxclnf.fitting.face_params import params_from_landmarks
from jaxclnf.ops.shape import shape_2d
from jaxclnf.output.draw import CURVES_68
from jaxclnf.training.pdm import learn_pdm
from jaxclnf.types import PDM

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[2] / "shared"
TURNED = 15  # degrees
YAW_BINS = (8, 16, 24, 32, 40)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modes", type=int, default=34)
    parser.add_argument("--held-back", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0, help="of the choice of held-back photos")
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    if not SHARED.exists():
        sys.exit("needs ../shared (LFPW's and Helen's training faces, OpenFace's model)")
    faces = read_faces([SHARED / "faces" / "lfpw_train", SHARED / "faces" / "helen_train"])
    print(faces.summary())
    train, held = faces.split(args.held_back, args.seed)
    ours = learn_pdm(train.points, args.modes, train.mirror, train.eye_distances, on_step=_progress)
    model = convert_openface(SHARED / "openface" / "model" / "main_clnf_general.txt")
    openface = model.pdm
    print(f"\nlearned from {len(train)} faces, measured on {len(held)} held back")
    print("modes   error left, % of eye distance, mean / median:  ours             OpenFace's")
    for modes in (10, 20, args.modes):
        each = [_error(_first_modes(pdm, modes), held) for pdm in (ours, openface)]
        print(f"{modes:<56}" + "    ".join(f"{e.mean():.3f} / {np.median(e):.3f}" for e in each))
    _compare_pose(ours, openface, held)
    _check_yaw(ours, openface, train)
    _compare_fits(ours, model, held)
    _describe(ours)
    _draw(ours, args.out)


def _progress(done: int, total: int) -> None:
    if done % 25 == 0:
        print(f"  EM step {done} of {total}", flush=True)


def _first_modes(pdm: PDM, n: int) -> PDM:
    return PDM(pdm.mean, pdm.basis[:, :, :n], pdm.eigenvalues[:n])


@jax.jit
def _explain(pdm, points):
    params = jax.lax.map(lambda p: params_from_landmarks(pdm, p), points, batch_size=64)
    return params, jax.vmap(shape_2d, (None, 0))(pdm, params)


def _error(pdm: PDM, faces) -> np.ndarray:
    _, shapes = _explain(pdm, faces.points)
    return 100 * np.linalg.norm(shapes - faces.points, axis=-1).mean(axis=1) / faces.eye_distances


def _angles(pdm: PDM, faces) -> np.ndarray:
    return np.degrees(np.asarray(_explain(pdm, faces.points)[0].rotation))


def _compare_pose(ours: PDM, openface: PDM, faces) -> None:
    a, b = _angles(ours, faces), _angles(openface, faces)
    print("\nagreement with OpenFace's PDM on the same faces, degrees")
    for i, name in enumerate(("pitch", "yaw", "roll")):
        off = np.abs(a - b)[:, i]
        slope, offset = np.polyfit(b[:, i], a[:, i], 1)
        print(
            f"{name:<6} median |difference| {np.median(off):5.2f}   90 % {np.percentile(off, 90):5.2f}"
            f"   ours = {slope:.3f} x theirs {offset:+.2f}"
        )
    turned = np.abs(b[:, 1]) > TURNED
    ratio = np.median(a[turned, 1] / b[turned, 1])
    print(
        f"yaw of the {turned.sum()} faces turned by more than {TURNED}: {ratio:.3f} of theirs in the median"
    )


def _check_yaw(ours: PDM, openface: PDM, faces) -> None:
    """Yaw against what no PDM has a say in: the line between the eyes, foreshortened by turning."""
    a, b = np.abs(_angles(ours, faces)[:, 1]), np.abs(_angles(openface, faces)[:, 1])
    foreshortening = _foreshortening(faces.points, _angles(openface, faces))
    print("\nmedian |yaw| of faces by what the foreshortened eye distance says, degrees")
    print("OpenFace's yaw   faces   eye distance   ours   OpenFace's")
    for low, high in zip(YAW_BINS, YAW_BINS[1:], strict=False):
        k = (b >= low) & (b < high)
        said = np.degrees(np.arccos(min(np.median(foreshortening[k]), 1)))
        print(f"{low:>3}-{high:<13}{k.sum():>5}{said:>15.1f}{np.median(a[k]):>7.1f}{np.median(b[k]):>13.1f}")


def _foreshortening(points: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Distance of the outer eye corners against the eyes' height above the nose's base, 1 if frontal."""
    across = points[:, 45] - points[:, 36]
    width = np.linalg.norm(across, axis=1)
    down = np.stack([-across[:, 1], across[:, 0]], axis=1) / width[:, None]
    eyes, nose = points[:, [36, 39, 42, 45]].mean(axis=1), points[:, 31:36].mean(axis=1)
    ratio = np.log(width / ((nose - eyes) * down).sum(axis=1))
    frontal = np.abs(angles[:, 1]) < 6
    by_pitch = np.polyfit(angles[frontal, 0], ratio[frontal], 2)
    return np.exp(ratio - np.polyval(by_pitch, angles[:, 0]))


def _compare_fits(ours: PDM, model: Model, faces) -> None:
    print("\nheld-back faces fitted with OpenFace's experts, error mean / median / above 10 %")
    config, images = FitConfig.openface_wild(multi_view=True), faces.images()
    for name, pdm in (("ours", ours), ("OpenFace's", model.pdm)):
        found = fit_faces(replace(model, pdm=pdm), images, faces.boxes, config).landmarks
        f = figures(point_errors(found, faces.points, faces.eye_distances).mean(axis=1))
        print(f"  on {name:<12}{f.mean:.3f} / {f.median:.3f} / {f.large:.1f} %")


def _describe(pdm: PDM) -> None:
    mean = np.asarray(pdm.mean)
    eyes = mean[[36, 39, 42, 45]].mean(axis=0)
    print("\nmean shape, mm")
    print(f"  outer eye corners {np.linalg.norm(mean[45] - mean[36]):.1f} apart")
    print(f"  nose tip {eyes[2] - mean[30, 2]:.1f} before the eyes")
    print(f"  jaw's upper ends {mean[[0, 16], 2].mean() - mean[30, 2]:.1f} behind the nose tip")
    print(f"  chin {mean[8, 1] - eyes[1]:.1f} below the eyes")
    print("standard deviations of the modes:", np.sqrt(np.asarray(pdm.eigenvalues)).round(1))


def _draw(pdm: PDM, folder: Path) -> None:
    mean, basis = np.asarray(pdm.mean), np.asarray(pdm.basis)
    deviations = np.sqrt(np.asarray(pdm.eigenvalues))
    front, side = (0, 1), (2, 1)
    figure = Figure(figsize=(15, 6), layout="constrained")
    axes = figure.subplots(2, 7)
    for row, (view, name) in zip(axes, ((front, "front"), (side, "side")), strict=True):
        _face(row[0], mean, view, "black")
        row[0].set_title(f"mean, {name}")
        for k, axis in enumerate(row[1:]):
            for sign, colour in ((0, "0.75"), (2, "tab:red"), (-2, "tab:blue")):
                _face(axis, mean + sign * deviations[k] * basis[:, :, k], view, colour)
            axis.set_title(f"mode {k + 1}, ±2 sd")
    figure.savefig(folder / "pdm.png", dpi=75)


def _face(axis, shape: np.ndarray, view: tuple[int, int], colour: str) -> None:
    for first, last, closed in CURVES_68:
        curve = [*range(first, last + 1), *([first] if closed else [])]
        axis.plot(shape[curve, view[0]], shape[curve, view[1]], color=colour, linewidth=1.2)
    axis.set_aspect("equal")
    if not axis.yaxis_inverted():
        axis.invert_yaxis()


if __name__ == "__main__":
    main()
