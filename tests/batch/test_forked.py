"""Workers forked from a process in which JAX has run: they fit, or say at once that they cannot."""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

import numpy as np
import pytest
from engine import box_of, quick_config, synthetic_face, synthetic_model

from jaxclnf import fit, fit_faces, fit_on_cores, fit_sharded, fit_stream
from jaxclnf.batch import forked

MODEL, CONFIG = synthetic_model(np.float32), quick_config()
pytestmark = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="processes are not forked here"
)


IMAGE, PARAMS = synthetic_face(1, np.float32)
BOX = box_of(MODEL, PARAMS)


def landmarks() -> np.ndarray:
    return fit_faces(MODEL, [IMAGE], [BOX], CONFIG).landmarks


@pytest.fixture(scope="module")
def in_a_fork() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """What a function returns in a worker of a fork pool, or the exception that it raises there."""
    landmarks()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX's own, about the fork
        pool = multiprocessing.get_context("fork").Pool(1)
    with pool:
        yield lambda function: pool.apply_async(function).get(timeout=300)


def of_two_photos() -> list[np.ndarray]:
    """Landmarks of a face and of its photo upside down, which two threads ask for in turn."""
    landmarks()
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda image: fit_faces(MODEL, [image], [BOX], CONFIG), [IMAGE, IMAGE[::-1]] * 8)
        return [each.landmarks for each in found]


def after_interruptions() -> np.ndarray:
    """What a fit gives after two of other photos, whose answer and whose question were broken off."""
    forked._HELPERS.clear()
    signal.signal(signal.SIGALRM, out_of_time)
    for image in (IMAGE[::-1], np.zeros((2000, 2000), np.float32)):
        signal.setitimer(signal.ITIMER_REAL, 0.3)  # sooner than a process begins that runs JAX
        with suppress(TimeoutError):
            fit_faces(MODEL, [image], [BOX], CONFIG)
            raise RuntimeError("the fit was not broken off")
    return landmarks()


def out_of_time(*_: object) -> NoReturn:
    raise TimeoutError


def after_a_loss() -> np.ndarray:
    """What a fit gives whose process died in the meantime, as it may for want of memory."""
    landmarks()
    process = forked._helper()._process
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return landmarks()


def with_an_end_in_error(last: Any) -> tuple[int, str]:
    """How many faces are fitted of a stream that ends in an error, or in what is no face; what is said."""

    def faces() -> Iterator[Any]:
        yield from [(IMAGE, BOX)] * 2
        if last is None:
            raise OSError("the disk is gone")
        yield last

    found = []
    try:
        found.extend(fit_stream(MODEL, faces(), CONFIG))
    except (OSError, ValueError) as error:
        return len(found), str(error)
    raise RuntimeError("no error was raised")


def misuse() -> None:
    fit_faces(MODEL, [IMAGE], [BOX[:3]], CONFIG)


def alone() -> None:
    fit(MODEL, IMAGE, BOX, CONFIG)


def on_cores() -> None:
    fit_on_cores(MODEL, IMAGE[None], BOX[None], CONFIG)


def sharded() -> None:
    fit_sharded(MODEL, IMAGE[None], BOX[None], CONFIG, ["none is asked for"])


def test_fits_come_from_a_fresh_process(in_a_fork) -> None:
    np.testing.assert_allclose(landmarks(), in_a_fork(landmarks), atol=1e-4)


def test_threads_have_each_its_own_results(in_a_fork) -> None:
    for expected, found in zip(of_two_photos(), in_a_fork(of_two_photos), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("function", [after_interruptions, after_a_loss])
def test_a_fit_that_broke_off_leaves_the_next_its_own_results(in_a_fork, function) -> None:
    np.testing.assert_allclose(in_a_fork(function), landmarks(), atol=1e-4)


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (None, "the disk is gone"),
        ((IMAGE, BOX[:3]), "box of shape (3,)"),
        (([[1], [1, 2]], BOX), "inhomogeneous shape"),
        ((IMAGE,), "expected pairs of a grey image and a box; got 1 values"),
        (7, "expected pairs of a grey image and a box; got int"),
    ],
)
def test_an_error_comes_after_the_faces_before_it(in_a_fork, last: Any, said: str) -> None:
    n_found, sentence = in_a_fork(partial(with_an_end_in_error, last))
    assert n_found == 2
    assert said in sentence


def test_misuse_is_refused_as_ever(in_a_fork) -> None:
    with pytest.raises(ValueError, match=r"box of shape \(3,\)"):
        in_a_fork(misuse)


@pytest.mark.parametrize("function", [alone, on_cores, sharded])
def test_what_jax_cannot_do_there_is_refused_at_once(in_a_fork, function) -> None:
    with pytest.raises(RuntimeError, match="spawn"):
        in_a_fork(function)
