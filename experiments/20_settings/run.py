"""What the default settings are worth, and each part of them: see README.md.

Prints the errors on LFPW's test faces with OpenFace's general model, and the processor time against that of
OpenFace's settings; with ``train`` as argument, on the faces that the settings were chosen on. ``throughput``
prints how long a sweep of 1,000 settings on 200 faces takes instead, ``mirror`` where annotations lie from
the fits of photos and of their mirror images.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import jax
import numpy as np

from jaxclnf import FitConfig, convert_openface
from jaxclnf.config import setting
from jaxclnf.data.datasets import read_faces
from jaxclnf.data.evaluate import figures, point_errors
from jaxclnf.fitting.fit import fit_batch, fit_settings
from jaxclnf.sweeps.spec import Spec
from jaxclnf.sweeps.sweep_faces import Canvases, draw_photos
from jaxclnf.sweeps.tasks import FACES_AT_ONCE, SETTINGS_AT_ONCE

SHARED = Path(__file__).resolve().parents[3] / "shared"
BATCH = 32
N_TRAIN = 600
ONE_START = FitConfig(start_rotations=FitConfig().start_rotations[:1])


def configs() -> list[tuple[str, FitConfig]]:
    """OpenFace's settings, ours, and ours without one part at a time."""
    ours, best = FitConfig(), FitConfig.best()
    level = ours.start_rotations * np.array([0, 1, 1], np.float32)
    per_stage = ("reg_factor", "sigma", "weight_factor")
    of_wild = {name: setting(FitConfig.openface_wild(), name)[[0, 1, 2, 2]] for name in per_stage}
    inner = best.parts["inner"]
    nearest = {"inner": inner.changed(between_views=())}
    large = {"inner": inner.changed(scale_margin=np.float32(0.9))}
    return [
        ("OpenFace's default", FitConfig.openface()),
        ("FitConfig()", ours),
        ("OpenFace's wild, five starts", FitConfig.openface_wild(multi_view=True)),
        ("FitConfig() with one start", ours.changed(start_rotations=ours.start_rotations[:1])),
        ("  with every start to the end", ours.changed(keep=())),
        ("  with the likeliest alone after one stage", ours.changed(keep=(3, 1, 1, 1))),
        ("  with starts that do not nod", ours.changed(start_rotations=level)),
        ("  without the second pass on the last scale", ours.changed(windows=(11, 9, 7))),
        ("  with OpenFace's wild regularisation, sigma", ours.changed(**of_wild)),
        ("  with maps of the nearest view alone", ours.changed(between_views=())),
        ("  without the inner face", ours.changed(parts={})),
        ("FitConfig.best()", best),
        ("  with maps of the nearest view alone", best.changed(between_views=(), parts=nearest)),
        ("  without the inner face", best.changed(parts={})),
        ("  with the inner face of large faces alone", best.changed(parts=large)),
        ("  with the likeliest try alone", best.changed(temperature=0.0)),
        ("  without the shape's prior", best.changed(prior=np.float32(0))),
        ("  with the nine starts that do not roll", best.changed(start_rotations=best.start_rotations[:9])),
    ]


def main() -> None:
    if not SHARED.exists():
        sys.exit("needs ../shared (OpenFace's model, annotated faces)")
    train = sys.argv[1:] == ["train"]
    throughput = sys.argv[1:] == ["throughput"]
    model = convert_openface(SHARED / "openface" / "model" / "main_clnf_general.txt")
    names = ("lfpw_train", "helen_train") if train else ("lfpw_test",)
    folders = tuple(SHARED / "faces" / name for name in names)
    photos = draw_photos(read_faces(folders), Spec(folders, (), faces=N_TRAIN if train else None))
    if throughput:
        return print_throughput(model, photos)
    if sys.argv[1:] == ["mirror"]:
        return print_mirrored(model)
    offset = annotation_offset(training_faces(), model)
    print(f"Annotations lie {offset[0]:.2f}, {offset[1]:.2f} px right of and below the training faces' fits.")
    print(f"{'':<44}error, mean / median / >10 %    time    without that offset")
    unit = None
    for name, config in configs():
        landmarks, seconds = fits(model, photos, config)
        unit = unit or seconds
        shifted = summary(landmarks + offset, photos)
        print(f"{name:<44}{summary(landmarks, photos)}   {seconds / unit:5.2f} x   {shifted}", flush=True)


def print_throughput(model, photos: Canvases) -> None:
    """Processor time of eight settings on 25 faces at once, as `jaxclnf sweep` tries them, extrapolated."""
    rng, faces = np.random.default_rng(0), slice(0, FACES_AT_ONCE)
    for name, config in {
        "one start": ONE_START,
        "three starts": FitConfig().changed(keep=(3, 1, 1, 1)),
    }.items():
        usual = {n: setting(config, n) for n in ("reg_factor", "sigma", "weight_factor")}
        times = []
        for _ in range(4):
            changes = {
                n: v * rng.uniform(0.8, 1.2, (SETTINGS_AT_ONCE, *v.shape)).astype(np.float32)
                for n, v in usual.items()
            }
            begun = time.process_time()
            jax.block_until_ready(
                fit_settings(model, photos.canvases[faces], photos.boxes[faces], config, changes)
            )
            times.append(time.process_time() - begun)
        fit = min(times[1:]) / (SETTINGS_AT_ONCE * FACES_AT_ONCE)
        print(f"{name}: {1e3 * fit:.2f} ms of one core a fit, so 1,000 settings on 200 faces take")
        print(
            f"  {fit * 2e5 / 2 / 60:.0f} minutes on two cores; {fit_settings._cache_size()} programs compiled"
        )


def fits(model, photos: Canvases, config: FitConfig) -> tuple[np.ndarray, float]:
    """Landmarks of every face and the least processor time of a full batch, a face."""
    found, times = [], []
    for start in range(0, len(photos.boxes), BATCH):
        take = np.minimum(np.arange(start, start + BATCH), len(photos.boxes) - 1)
        begun = time.process_time()
        result = jax.block_until_ready(fit_batch(model, photos.canvases[take], photos.boxes[take], config))
        times.append(time.process_time() - begun)
        found.append(np.asarray(result.landmarks))
    return np.concatenate(found)[: len(photos.boxes)], min(times) / BATCH


def training_faces() -> Canvases:
    folders = tuple(SHARED / "faces" / name for name in ("lfpw_train", "helen_train"))
    return draw_photos(read_faces(folders), Spec(folders, (), faces=200, seed=7))


def annotation_offset(photos: Canvases, model) -> np.ndarray:
    """Median place x, y of the annotations from the fits, in pixels."""
    landmarks, _ = fits(model, photos, FitConfig())
    return np.median((photos.points - landmarks).mean(axis=1), axis=0)


def print_mirrored(model) -> None:
    """A bias of the fit stays when a photo is mirrored; one of the annotations changes sides."""
    photos = training_faces()
    boxes, points, last = photos.boxes.copy(), photos.points.copy(), photos.canvases.shape[2] - 1
    boxes[:, 0] = last - boxes[:, 0] - boxes[:, 2]
    points[..., 0] = last - points[..., 0]
    mirrored = photos._replace(canvases=photos.canvases[:, :, ::-1].copy(), boxes=boxes, points=points)
    for name, these in {"photos": photos, "mirrored": mirrored}.items():
        x, y = annotation_offset(these, model)
        print(f"{name:<10}annotations lie {x:+.2f}, {y:+.2f} px (x, y) from the fits", flush=True)


def summary(landmarks: np.ndarray, photos: Canvases) -> str:
    f = figures(point_errors(landmarks, photos.points, photos.eye_distances).mean(axis=1))
    return f"{f.mean:6.3f} / {f.median:5.3f} / {f.large:4.1f} %"


if __name__ == "__main__":
    main()
