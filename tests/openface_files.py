"""Small models of random numbers in OpenFace's file formats, so that tests mean something without its own."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

CODES = {np.dtype("i4"): 4, np.dtype("f4"): 5, np.dtype("f8"): 6}


@dataclass
class Expert:
    weights: np.ndarray  # (n_neurons, h, w), float32
    norm_weights: np.ndarray
    bias: np.ndarray
    alpha: np.ndarray
    betas: np.ndarray
    confidence: float


@dataclass
class Scale:
    patch_scale: float
    centres: np.ndarray  # (n_views, 3), degrees
    visibility: np.ndarray  # (n_views, n_points)
    edges: dict[int, np.ndarray]
    experts: list[Expert | None] = field(default_factory=list)  # views times points


def matrix(values: np.ndarray, code: int | None = None) -> bytes:
    rows, cols = values.shape
    return struct.pack("<3i", rows, cols, CODES[values.dtype] if code is None else code) + values.tobytes()


def expert_bytes(expert: Expert | None) -> bytes:
    if expert is None:
        return struct.pack("<5i", 5, 0, 0, 0, 0)
    n, height, width = expert.weights.shape
    out = struct.pack("<4i", 5, width, height, n)
    for k in range(n):
        out += struct.pack("<2i3d", 2, 0, expert.norm_weights[k], expert.bias[k], expert.alpha[k])
        out += matrix(expert.weights[k])
    return out + expert.betas.tobytes() + struct.pack("<d", expert.confidence)


def scale_bytes(scale: Scale) -> bytes:
    out = struct.pack("<di", scale.patch_scale, len(scale.centres))
    out += b"".join(matrix(centre[:, None]) for centre in scale.centres)
    out += b"".join(matrix(row[:, None].astype("i4")) for row in scale.visibility)
    out += struct.pack("<i", len(scale.edges))
    for window, components in scale.edges.items():
        out += struct.pack("<2i", window, len(components)) + b"".join(map(matrix, components))
    return out + b"".join(map(expert_bytes, scale.experts))


def neighbour_edges(window: int) -> np.ndarray:
    """Components that tie each cell to its four neighbours and to its diagonal neighbours."""
    rows, cols = np.divmod(np.arange(window**2), window)
    steps = abs(rows[:, None] - rows), abs(cols[:, None] - cols)
    ties = [(steps[0] + steps[1] == 1), (steps[0] == 1) & (steps[1] == 1)]
    return np.array([np.diag(tie.sum(1)) - tie for tie in ties], np.float32)


def random_scale(seed: int, n_points: int, neurons: int = 3, windows: tuple[int, ...] = (3, 5)) -> Scale:
    """A scale of two views; in the second, landmark 0 is invisible and landmark 1 has fewer neurons."""
    rng = np.random.default_rng(seed)
    visibility = np.ones((2, n_points), bool)
    visibility[1, 0] = False
    scale = Scale(
        patch_scale=0.25 * (1 + seed),
        centres=np.array([[0, 0, 0], [0, -20.0, 0]]),
        visibility=visibility,
        edges={window: neighbour_edges(window) for window in windows},
    )
    for view, point in np.ndindex(visibility.shape):
        n = neurons - 1 if (view, point) == (1, 1) else neurons
        expert = Expert(
            weights=rng.normal(size=(n, 5, 3)).astype("f4"),
            norm_weights=rng.uniform(5, 20, n),
            bias=rng.normal(size=n),
            alpha=rng.uniform(0.5, 5, n),
            betas=rng.uniform(0.5, 5, 2 if windows else 0),
            confidence=rng.uniform(0.1, 0.9),
        )
        scale.experts.append(expert if visibility[view, point] else None)
    return scale


def text_matrix(values: np.ndarray) -> str:
    rows = "\n".join(" ".join(map(repr, map(float, row))) for row in values)
    return f"# a comment\n{values.shape[0]}\n{values.shape[1]}\n6\n{rows}\n"


def random_pdm(seed: int, n_points: int, n_modes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (3n, 1), modes (3n, m) and eigenvalues (1, m), rows all x, then all y, then all z."""
    rng = np.random.default_rng(seed)
    modes = np.linalg.qr(rng.normal(size=(3 * n_points, n_modes)))[0]
    return (
        rng.normal(scale=30, size=(3 * n_points, 1)),
        modes,
        np.sort(rng.uniform(1, 9, (1, n_modes)))[:, ::-1],
    )


def write_model(folder: Path) -> Path:
    """A main file of a model of six landmarks at two scales and a part of three landmarks without edges."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, n_points, scales in (("whole", 6, (0, 1)), ("part", 3, (2,))):
        pdm = random_pdm(7, n_points, 2)
        (folder / f"pdm_{name}.txt").write_text("".join(map(text_matrix, pdm)))
        lines = [f"PDM pdm_{name}.txt", "Triangulations none.txt"]
        for seed in scales:
            scale = random_scale(seed, n_points, windows=(3, 5) if name == "whole" else ())
            (folder / f"ccnf {name} {seed}.txt").write_bytes(scale_bytes(scale))
            lines.append(f"PatchesCCNF ccnf {name} {seed}.txt")
        (folder / f"clnf_{name}.txt").write_text("\n".join(lines) + "\n")
    main = folder / "main.txt"
    main.write_text(
        "LandmarkDetector clnf_whole.txt\n\nLandmarkDetector_part clnf_part.txt nose 1 0 2 1\n"
        "DetectionValidator none.txt"
    )
    return main


def cen_bytes(
    patch_scale: float, mirror: np.ndarray, hidden: tuple[int, ...], rng: np.random.Generator
) -> Iterator[bytes]:
    """A file of CEN experts, piece by piece: three views, of which the third is the second in a mirror.

    ``mirror`` is the landmark that each one is in a mirror. The second view does not see landmark 0.
    """
    n_points, sizes = len(mirror), (122, *hidden, 1)
    seen = np.ones((3, n_points, 1), "i4")
    seen[1, 0] = seen[2, mirror[0]] = 0
    yield struct.pack("<di", patch_scale, 3)
    for yaw in (0.0, -20, 20):
        yield matrix(np.array([[0.0], [yaw], [0.0]]))
    for rows in (*seen, mirror[:, None].astype("i4"), np.array([[0], [2], [1]], "i4")):
        yield matrix(rows)
    for view, point in np.ndindex(3, n_points):
        stored = view < 2 and seen[view, point] and (view == 1 or point <= mirror[point])
        yield struct.pack("<4i", 6, 11, 11, len(sizes) - 1 if stored else 0)
        for n_in, n_out in pairwise(sizes) if stored else ():
            weights = rng.standard_normal((n_out, n_in), "f4") / np.float32(n_in**0.5)
            yield struct.pack("<i", 2 if n_out > 1 else 0)
            yield matrix(np.zeros((n_out, 1), "f4")) + matrix(weights)
        yield struct.pack("<d", 0.5)


def write_cen_model(
    folder: Path, n_points: int = 6, hidden: tuple[tuple[int, ...], ...] = ((5,), (4,)), seed: int = 0
) -> Path:
    """A main file of CEN experts with hidden layers of these sizes, each scale; landmarks mirror in pairs."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, mirror = np.random.default_rng(seed), np.arange(n_points)[::-1].copy()
    (folder / "pdm.txt").write_text("".join(map(text_matrix, random_pdm(7, n_points, 2))))
    lines = ["PDM pdm.txt", "EarlyTermination early.txt"]
    for k, sizes in enumerate(hidden):
        with (folder / f"cen_{k}.dat").open("wb") as file:
            file.writelines(cen_bytes((0.25, 0.35, 0.5, 1)[k], mirror, sizes, rng))
        lines.append(f"PatchesCEN cen_{k}.dat")
    (folder / "early.txt").write_text("1 1 1 0 0 0\n-0.2 -0.2 -0.2\n")
    (folder / "cen.txt").write_text("\n".join(lines) + "\n")
    (folder / "main_ceclm.txt").write_text("LandmarkDetector cen.txt\n")
    return folder / "main_ceclm.txt"


def write_validator(
    path: Path, seed: int = 0, n_views: int = 2, side: int = 12, corners: tuple[int, ...] = (0, 16, 8)
) -> Path:
    """A validator of random networks in OpenFace 2's format; its faces are disks in one triangle."""
    rng = np.random.default_rng(seed)
    mask = (np.hypot(*(np.mgrid[:side, :side] - (side - 1) / 2)) < side / 2).astype("i4")
    path.write_bytes(
        struct.pack("<2i", 3, n_views)
        + b"".join(matrix(np.array([[0.0], [20.0 * i], [0.0]])) for i in range(n_views))
        + b"".join(_validator_view(mask, corners, rng) for _ in range(n_views))
    )
    return path


def _validator_view(mask: np.ndarray, corners: tuple[int, ...], rng: np.random.Generator) -> bytes:
    n, n_maps, pooled = int(mask.sum()), 3, (len(mask) - 4) // 2
    biases, kernels = rng.normal(size=n_maps).astype("f4"), rng.normal(size=(n_maps, 5, 5)).astype("f4")
    out = matrix(rng.normal(size=(1, n))) + matrix(rng.uniform(1, 2, (1, n))) + struct.pack("<i", 6)
    out += struct.pack("<3i", 0, 1, n_maps) + biases.tobytes() + b"".join(map(matrix, kernels))
    out += struct.pack("<2i", 3, 1)
    for n_in, n_out, then in ((n_maps * pooled**2, 5, struct.pack("<i", 3)), (5, 20, b"")):
        weights = rng.normal(size=(n_out, 1)).astype("f4"), rng.normal(size=(n_in, n_out)).astype("f4")
        out += struct.pack("<i", 2) + b"".join(map(matrix, weights)) + then
    out += struct.pack("<i2d", n, -30.0, -30.0) + matrix(rng.normal(size=(136, 1)))
    out += matrix(np.array([corners], "i4")) + matrix(mask - 1) + matrix(mask)
    return out + matrix(rng.normal(size=(1, 3))) + matrix(rng.normal(size=(1, 3)))
