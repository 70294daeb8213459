"""Workers forked from a process in which JAX has run: they fit, or say at once that they cannot."""

from __future__ import annotations

import multiprocessing
import warnings

import numpy as np
import pytest
from engine import box_of, quick_config, synthetic_face, synthetic_model

from jaxclnf import fit, fit_faces, fit_on_cores, fit_sharded

MODEL, CONFIG = synthetic_model(np.float32), quick_config()
pytestmark = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="processes are not forked here"
)


def in_a_fork(function):
    """What ``function`` returns in a worker of a fork pool, or the exception that it raises there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX's own, about the fork
        with multiprocessing.get_context("fork").Pool(1) as pool:
            return pool.apply_async(function).get(timeout=300)


IMAGE, PARAMS = synthetic_face(1, np.float32)
BOX = box_of(MODEL, PARAMS)


def landmarks() -> np.ndarray:
    return fit_faces(MODEL, [IMAGE], [BOX], CONFIG).landmarks


def misuse() -> None:
    fit_faces(MODEL, [IMAGE], [BOX[:3]], CONFIG)


def alone() -> None:
    fit(MODEL, IMAGE, BOX, CONFIG)


def on_cores() -> None:
    fit_on_cores(MODEL, IMAGE[None], BOX[None], CONFIG)


def sharded() -> None:
    fit_sharded(MODEL, IMAGE[None], BOX[None], CONFIG, ["none is asked for"])


def test_fits_come_from_a_fresh_process() -> None:
    np.testing.assert_allclose(landmarks(), in_a_fork(landmarks), atol=1e-4)


def test_misuse_is_refused_as_ever() -> None:
    with pytest.raises(ValueError, match=r"box of shape \(3,\)"):
        in_a_fork(misuse)


@pytest.mark.parametrize("function", [alone, on_cores, sharded])
def test_what_jax_cannot_do_there_is_refused_at_once(function) -> None:
    with pytest.raises(RuntimeError, match="spawn"):
        in_a_fork(function)
