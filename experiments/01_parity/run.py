"""Parity with OpenFace's C++ program on the 224 faces of LFPW's test set: see README.md."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from jaxclnf import FitConfig, convert_openface, fit_faces
from jaxclnf.data.datasets import read_faces
from jaxclnf.data.evaluate import figures, point_errors

SHARED = Path(__file__).resolve().parents[3] / "shared"
RUNS = {
    "single_default": FitConfig.openface(),
    "multi5_default": FitConfig.openface(multi_view=True),
    "single_wild": FitConfig.openface_wild(),
    "multi5_wild": FitConfig.openface_wild(multi_view=True),
    "multi5_default_inner": FitConfig.openface(multi_view=True, parts=("inner",)),
}


def main() -> None:
    if not SHARED.exists():
        sys.exit("needs ../shared (OpenFace's model, LFPW's test faces, the C++ program's fits)")
    model = convert_openface(SHARED / "openface" / "model" / "main_clnf_general.txt")
    faces = read_faces([SHARED / "faces" / "lfpw_test"])
    with np.load(SHARED / "golden" / "lfpw_test_fits_golden.npz") as golden:
        reference = {run: golden[f"{run}/landmarks"].reshape(-1, 2, 68).swapaxes(1, 2) for run in RUNS}
    images, boxes = faces.images(), faces.boxes
    print("                      distance from C++, px            error, %: mean / median / >10 %")
    print("                      median     95 %      largest     here                    C++")
    for run, config in RUNS.items():
        landmarks = fit_faces(model, images, boxes, config).landmarks
        distance = np.linalg.norm(landmarks - reference[run], axis=-1).mean(axis=1)
        spread = f"{np.median(distance):.6f}   {np.percentile(distance, 95):.6f}   {distance.max():<9.4f}"
        errors = [_errors(shapes, faces) for shapes in (landmarks, reference[run])]
        print(f"{run:<22}{spread}   {errors[0]:<24}{errors[1]}", flush=True)


def _errors(landmarks, faces) -> str:
    f = figures(point_errors(landmarks, faces.points, faces.eye_distances).mean(axis=1))
    return f"{f.mean:.3f} / {f.median:.3f} / {f.large:.1f} %"


if __name__ == "__main__":
    main()
