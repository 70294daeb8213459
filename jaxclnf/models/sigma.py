"""The smoothing matrices of the CCNF's random field, computed on the host in float64, once per model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxclnf.cores import n_cores
from jaxclnf.models.memory_budget import Budget

MAX_WINDOW = 31
"""Pixels of the widest window with edge terms, whose matrices grow with the fourth power of it."""
_MOST = 2**30  # bytes of a scale's smoothing matrices, where no budget is given
_CHUNK = 2**18  # numbers in the matrices computed at a time, so that intermediate results stay in the cache


def _one_thread_in_blas() -> AbstractContextManager[object]:
    """Have each thread do its matrix products alone; without threadpoolctl the threads disturb each other."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(1, user_api="blas")


def smoothing_matrices(
    alpha: Float[np.ndarray, "n_views n_points n_neurons"],
    betas: Float[np.ndarray, "n_views n_points n_edges"],
    visibility: Bool[np.ndarray, "n_views n_points"],
    edges: dict[int, np.ndarray],
    budget: Budget | None = None,
) -> tuple[dict[int, np.ndarray], Int[np.ndarray, "n_views n_points"]]:
    """Compute the distinct ``inv(2 (sum(alpha) I + sum_k beta_k S_k))`` and which of them a landmark uses.

    ``edges`` maps a window size to its components S_k, (n_edges, area, area) with area = window**2. The
    first result maps the same sizes to (n_distinct, area, area) in alpha's dtype. Landmarks of equal alpha
    sum and betas, as mirrored ones are, share a matrix; an invisible landmark has index 0.

    Raises ValueError if a component is not symmetric or changes when the window is reflected, if a landmark's
    matrix is not positive definite, or if the matrices take more memory than ``budget`` has.

    Source: OpenFace `CCNF_patch_expert::ComputeSigmas`; Baltrušaitis et al. 2014, eqs. 6-8.
    """
    terms = np.concatenate([alpha.sum(-1, dtype=np.float64)[..., None], betas], axis=-1)
    distinct, inverse = np.unique(terms[visibility], axis=0, return_inverse=True)
    index = np.zeros(visibility.shape, np.int32)
    index[visibility] = inverse.ravel()
    budget = budget or Budget(_MOST)
    for window in edges:
        if window > MAX_WINDOW:
            raise ValueError(
                f"window {window} has edge terms, expected windows of at most {MAX_WINDOW} pixels"
            )
        needed = len(distinct) * window**4 * alpha.dtype.itemsize
        budget.take(needed, f"window {window}: {len(distinct)} smoothing matrices of {window**2} rows")
    # The matrices are small: threads within a product would wait for each other; those of the pool do not.
    with _one_thread_in_blas(), ThreadPoolExecutor(n_cores()) as pool:
        sigma = {window: _invert(distinct, edges[window], window, alpha.dtype, pool) for window in edges}
    return sigma, index


def _invert(
    terms: Float[np.ndarray, "n terms"],
    edges: Float[np.ndarray, "k area area"],
    window: int,
    dtype: np.dtype,
    pool: ThreadPoolExecutor,
) -> Float[np.ndarray, "n area area"]:
    """Invert the matrices of one window size, by the even and odd parts of maps under their two reflections.

    Those four parts do not mix, so that four small inverses replace a large one, and a quarter of its rows
    determines the rest.
    """
    if not _is_symmetric(edges, window):
        raise ValueError(
            f"window {window}: the edge components are not symmetric under the window's reflections"
        )
    classes = [(basis, basis @ edges.astype(np.float64) @ basis.T) for basis in _reflection_classes(window)]
    sigma = np.empty((len(terms), window**2, window**2), dtype)
    size = max(1, _CHUNK // window**4)

    def fill(start: int) -> None:
        chunk = slice(start, start + size)
        sigma[chunk] = _unfold(_quarters(terms[chunk], classes, window).astype(dtype), window)

    list(pool.map(fill, range(0, len(terms), size)))
    return sigma


def _quarters(
    terms: Float[np.ndarray, "n terms"], classes: list[tuple[np.ndarray, np.ndarray]], window: int
) -> Float[np.ndarray, "n rows area"]:
    """Compute the rows of the inverses that belong to the top left quarter of the window."""
    half = (window + 1) // 2
    rows = np.arange(window**2).reshape(window, window)[:half, :half].ravel()
    quarters = np.zeros((len(terms), len(rows), window**2))
    for basis, edges in classes:
        field = 2 * (np.tensordot(terms[:, 1:], edges, 1) + terms[:, :1, None] * np.eye(len(basis)))
        quarters += basis.T[rows] @ _inverse(field, window) @ basis
    return quarters


def _is_symmetric(edges: Float[np.ndarray, "k area area"], window: int) -> bool:
    grid = edges.reshape(-1, *[window] * 4)
    images = edges.transpose(0, 2, 1).reshape(grid.shape), grid[:, ::-1, :, ::-1], grid[:, :, ::-1, :, ::-1]
    return all(np.array_equal(grid, image) for image in images)


def _reflection_classes(window: int) -> list[Float[np.ndarray, "size area"]]:
    """Build orthonormal bases of the maps that are even-even, even-odd, odd-even and odd-odd."""
    eye, half = np.eye(window), window // 2
    even = np.concatenate([np.sqrt(0.5) * (eye + eye[::-1])[:half], eye[half : window - half]])
    odd = np.sqrt(0.5) * (eye - eye[::-1])[:half]
    return [np.kron(rows, cols) for rows in (even, odd) for cols in (even, odd)]


def _inverse(matrices: Float[np.ndarray, "n size size"], window: int) -> Float[np.ndarray, "n size size"]:
    try:
        np.linalg.cholesky(matrices)  # raises if one is not positive definite, unlike the inverse
        return np.linalg.inv(matrices)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"window {window}: a landmark's alpha and betas give no positive definite matrix"
        ) from None


def _unfold(quarter: Float[np.ndarray, "n rows area"], window: int) -> Float[np.ndarray, "n area area"]:
    """Unfold matrices that reflections leave unchanged from their rows of the top left quarter."""
    half, rest = (window + 1) // 2, window // 2
    grid = quarter.reshape(-1, half, half, window, window)
    grid = np.concatenate([grid, grid[:, :rest, :, ::-1][:, ::-1]], axis=1)
    grid = np.concatenate([grid, grid[:, :, :rest, :, ::-1][:, :, ::-1]], axis=2)
    return grid.reshape(-1, window**2, window**2)
