"""Settings learned by gradient descent against settings drawn at random, at equal cost: see README.md.

Both begin with the default settings and one start, and are given the same processor time on training faces;
what they end with is measured on other training faces. ``unrolled`` as argument prints the memory and the
values of derivatives through more and more iterations instead.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from jaxclnf import FitConfig, convert_openface
from jaxclnf.config import setting
from jaxclnf.data.datasets import read_faces
from jaxclnf.fitting.fit import fit_settings
from jaxclnf.sweeps.spec import Spec
from jaxclnf.sweeps.sweep_faces import Canvases, draw_photos
from jaxclnf.sweeps.tune import LOST, face_errors, freed, loss, tune, with_learned

SHARED = Path(__file__).resolve().parents[3] / "shared"
N_FACES, BATCH, STEPS, RATE = 160, 4, 24, 0.04
NAMES = ("reg_factor", "sigma", "landmark_weights", "mode_stiffness", "box_correction")
DRAWN = ("reg_factor", "sigma")


def main() -> None:
    if not SHARED.exists():
        sys.exit("needs ../shared (OpenFace's model, annotated faces)")
    model = replace(convert_openface(SHARED / "openface" / "model" / "main_clnf_general.txt"), parts=())
    folders = tuple(SHARED / "faces" / name for name in ("lfpw_train", "helen_train"))
    photos = draw_photos(read_faces(folders), Spec(folders, (), faces=N_FACES, seed=3))
    starts = np.radians(np.array([[10, 0, 0]], np.float32))
    config = FitConfig().changed(start_rotations=starts, between_views=())
    config = jax.tree.map(jax.numpy.asarray, config)
    if sys.argv[1:] == ["unrolled"]:
        unrolled(model, take(photos, np.arange(2)), config)
    else:
        compare(model, photos, config)


def take(photos: Canvases, which: np.ndarray) -> Canvases:
    return Canvases(*(a[which] for a in photos))


def compare(model, photos: Canvases, config: FitConfig) -> None:
    learning, held = take(photos, np.arange(N_FACES // 2)), take(photos, np.arange(N_FACES // 2, N_FACES))
    sizes = {"landmark_weights": model.pdm.n_points, "mode_stiffness": model.pdm.n_modes}
    free = freed(config, NAMES, sizes)
    print(
        f"{sum(v.size for v in free.values())} quantities, {len(learning.boxes)} faces to learn from",
        flush=True,
    )
    report(model, learning, held, "as they are", config)
    spent: list[float] = []
    learnt = tune(
        model,
        learning,
        config,
        free,
        STEPS,
        BATCH,
        RATE,
        report=lambda step, error, free: spent.append(time.process_time()),
    )
    seconds = spent[-1] - spent[0]  # the first step also compiles
    report(model, learning, held, f"learned in {STEPS} steps, {seconds:.0f} s", with_learned(config, learnt))
    best, tried = drawn(model, learning, config, seconds)
    report(model, learning, held, f"best of {tried} drawn in the same time", best)


def drawn(model, photos: Canvases, config: FitConfig, seconds: float) -> tuple[FitConfig, int]:
    """The best of as many drawn settings as can be tried in so much time."""
    rng, at_once = np.random.default_rng(0), 4
    found: list[tuple[float, FitConfig]] = []
    begun = None
    while begun is None or time.process_time() - begun < seconds:
        usual = {name: setting(config, name) for name in DRAWN}
        scatter = {"reg_factor": 0.7, "sigma": 0.2}
        changes = {
            n: (v * np.exp(scatter[n] * rng.normal(size=(at_once, *v.shape)))).astype(np.float32)
            for n, v in usual.items()
        }
        landmarks = [
            fit_settings(model, photos.canvases[s], photos.boxes[s], config, changes).landmarks
            for s in np.split(np.arange(len(photos.boxes)), 4)
        ]
        distance = np.linalg.norm(np.concatenate(landmarks, axis=1) - photos.points, axis=-1).mean(-1)
        errors = np.minimum(100 * distance / photos.eye_distances, LOST).mean(axis=1)
        found += [
            (float(e), config.changed(**{n: v[k] for n, v in changes.items()})) for k, e in enumerate(errors)
        ]
        begun = begun or time.process_time()  # the first round also compiles
    return min(found, key=lambda pair: pair[0])[1], len(found)


def report(model, learning: Canvases, held: Canvases, name: str, config: FitConfig) -> None:
    errors = []
    for photos in (learning, held):
        parts = [
            face_errors_jit(model, take(photos, s), config) for s in np.split(np.arange(len(photos.boxes)), 4)
        ]
        errors.append(np.minimum(np.concatenate(parts), LOST))
    shown = "   ".join(f"{e.mean():.3f} / {np.median(e):.3f}" for e in errors)
    print(f"{name:<44}{shown}   mean / median, learning and held-back faces", flush=True)


face_errors_jit = jax.jit(face_errors)


def unrolled(model, photos: Canvases, config: FitConfig) -> None:
    """Memory and value of the derivative of one stage's error, by the number of iterations."""
    print("iterations   memory of the derivative, MB   d error / d log reg_factor, d log sigma")
    for iterations in (5, 10, 20, 80):
        one = config.changed(windows=(11, 0, 0, 0), iterations=iterations, tolerance=np.float32(0))
        free = freed(one, DRAWN)
        gradient = jax.jit(jax.grad(loss)).lower(free, model, photos, one).compile()
        memory = gradient.memory_analysis().temp_size_in_bytes / 1e6
        slope = gradient(free, model, photos, one)
        print(
            f"{iterations:<13}{memory:<31.1f}{slope['reg_factor'][0]:+.4f}, {slope['sigma'][0]:+.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
