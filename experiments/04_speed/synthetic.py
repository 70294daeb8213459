"""A model and faces made from a seed, of the sizes of OpenFace's, for timing without its files.

Landmarks are bright spots, and the experts are such spots with noise, so that fits do settle.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from jaxclnf.models.sigma import smoothing_matrices
from jaxclnf.types import PDM, Model, PatchExperts, Provenance

N_POINTS, N_MODES, N_VIEWS, N_NEURONS, N_DISTINCT, SUPPORT = 68, 34, 7, 7, 210, 11
PATCH_SCALES = (0.25, 0.35, 0.5)
SPOT = 4.0
"""Standard deviation of a landmark's bright spot, in model units."""


def synthetic_model(windows: tuple[int, ...] = (11, 9, 7), seed: int = 0) -> Model:
    """Make a model: 68 points, 34 modes, three scales, seven views, seven 11 x 11 neurons a landmark."""
    rng = np.random.default_rng(seed)
    pdm = _pdm(rng)
    experts = tuple(_experts(scale, windows, rng) for scale in PATCH_SCALES)
    source = f"experiments/04_speed/synthetic.py, seed {seed}"
    return Model(pdm, experts, provenance=Provenance("synthetic", source, "Apache-2.0")).astype(np.float32)


def synthetic_faces(
    model: Model, n: int, side: int = 256, seed: int = 1
) -> tuple[UInt8[np.ndarray, "n side side"], Float[np.ndarray, "n 4"]]:
    """Make grey images of random faces of the model, and slightly displaced boxes."""
    rng = np.random.default_rng(seed)
    faces = [_face(model.pdm, side, rng) for _ in range(n)]
    return np.stack([image for image, _ in faces]), np.stack([box for _, box in faces])


def _pdm(rng: np.random.Generator) -> PDM:
    """Spread points over a bulging face, with smooth modes that are not rigid motions of it."""
    angle, radius = 2.4 * np.arange(N_POINTS), np.sqrt((np.arange(N_POINTS) + 0.5) / N_POINTS)
    x, y = 72 * radius * np.cos(angle), 70 * radius * np.sin(angle)
    mean = np.stack([x, y, 42 * (0.5 - radius**2)], axis=1)
    waves = np.cos(mean @ rng.normal(0, 0.03, (3, 3 * N_MODES)) + rng.uniform(0, 6, 3 * N_MODES))
    modes = (waves.reshape(N_POINTS, 3, N_MODES)).reshape(-1, N_MODES)
    rigid = [np.tile(axis, (N_POINTS, 1)) for axis in np.eye(3)]
    rigid += [mean, *(np.cross(axis, mean) for axis in np.eye(3))]
    columns = np.concatenate([np.reshape(rigid, (7, -1)).T, modes], axis=1)
    basis = np.linalg.qr(columns)[0][:, 7:]
    arrays: Any = mean, basis.reshape(N_POINTS, 3, N_MODES), np.geomspace(800, 0.6, N_MODES)
    return PDM(*arrays)


def _experts(patch_scale: float, windows: tuple[int, ...], rng: np.random.Generator) -> PatchExperts:
    centres = np.zeros((N_VIEWS, 3))
    centres[:, 1] = np.deg2rad([0, -20, -45, -70, 70, 45, 20])
    visibility = np.ones((N_VIEWS, N_POINTS), bool)
    visibility[3, 35:] = visibility[4, :33] = False
    # As in OpenFace's models, where mirrored landmarks share theirs, there are 210 distinct fields.
    field = rng.integers(0, N_DISTINCT, (N_VIEWS, N_POINTS))
    alpha = rng.uniform(4, 8, (N_DISTINCT, N_NEURONS))[field]
    betas = rng.uniform(2, 5, (N_DISTINCT, 3))[field]
    edges = {window: np.stack([_laplacian(window, step) for step in (1, 2, 3)]) for window in windows}
    sigma, sigma_index = smoothing_matrices(alpha, betas, visibility, edges)
    half = SUPPORT // 2
    distance = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1]) / (SPOT * patch_scale)
    spots = np.stack([np.exp(-0.5 * (distance / width) ** 2) for width in np.linspace(0.8, 1.4, N_NEURONS)])
    shape = (N_VIEWS, N_POINTS, N_NEURONS)
    arrays: dict[str, Any] = {
        "patch_scale": np.array(patch_scale),
        "view_centres": centres,
        "visibility": visibility,
        "weights": spots + 0.02 * rng.normal(size=(*shape, SUPPORT, SUPPORT)),
        "norm_weights": rng.uniform(10, 15, shape),
        "bias": rng.uniform(-9, -7, shape),
        "alpha": alpha,
        "betas": betas,
        "patch_confidence": rng.uniform(0.4, 1, shape[:2]),
        "edges": edges,
        "sigma": sigma,
        "sigma_index": sigma_index,
    }
    return PatchExperts(**arrays)


def _laplacian(window: int, step: int) -> Float[np.ndarray, "area area"]:
    """Build the Laplacian of the graph that joins pixels of a window ``step`` apart in a row or column."""
    line = np.eye(window, k=step) + np.eye(window, k=-step)
    joined = np.kron(line, np.eye(window)) + np.kron(np.eye(window), line)
    return (np.diag(joined.sum(0)) - joined) / 8


def _face(
    pdm: PDM, side: int, rng: np.random.Generator
) -> tuple[UInt8[np.ndarray, "side side"], Float[np.ndarray, "4"]]:
    eigenvalues, basis = np.asarray(pdm.eigenvalues), np.asarray(pdm.basis)
    shape = np.asarray(pdm.mean) + basis @ (rng.normal(size=N_MODES) * np.sqrt(eigenvalues) / 2)
    yaw = rng.uniform(-0.8, 0.8)
    x = np.cos(yaw) * shape[:, 0] + np.sin(yaw) * shape[:, 2]
    points = side / 230 * np.stack([x, shape[:, 1]], axis=1) + side / 2
    rows, cols = np.mgrid[:side, :side].astype(np.float32)
    image = 60 + 0.1 * cols + rng.normal(0, 3, (side, side))
    for point_x, point_y in points:
        distance = ((cols - point_x) ** 2 + (rows - point_y) ** 2) / (SPOT * side / 230) ** 2
        image += 90 * np.exp(-0.5 * distance)
    size = np.ptp(points, axis=0)
    corner = points.min(0) + rng.uniform(-0.03, 0.03, 2) * size
    box = np.concatenate([corner, size * rng.uniform(0.95, 1.05)])
    return image.clip(0, 255).astype(np.uint8), box.astype(np.float32)
