"""Fits in processes that were forked from one in which JAX had run.

There JAX would wait for ever for threads that the fork did not copy. Such a process has its fits done by a
fresh one, which it starts at the first fit. Workers of a "spawn" pool do not need that and start as fast.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from threading import RLock
from typing import Any

import jax
import numpy as np

from jaxclnf.batch.overlap import until_failure
from jaxclnf.config import FitConfig
from jaxclnf.fitting.grey_range import is_bright
from jaxclnf.types import FitResult, Model

AT_A_TIME = 64  # faces handed over before their results are waited for


def fit_elsewhere(
    model: Model,
    faces: Iterable[tuple[np.ndarray, np.ndarray]],
    config: FitConfig | None,
    range_known: bool = False,
) -> Iterator[FitResult]:
    """Do `jaxclnf.fit_stream` in the fresh process; with a known range of grey no image is too dark."""
    settings = jax.tree.map(np.asarray, (model, config))
    errors: list[Exception] = []
    remaining = until_failure(map(_plain, faces), errors)
    while some := list(islice(remaining, AT_A_TIME)):
        results, error = _helper().answer((settings, some, range_known))
        yield from results
        if error is not None:
            raise error
        range_known = range_known or any(is_bright(image) for image, _ in some)
    if errors:
        raise errors[0]


def _plain(face: Any) -> Any:
    """Make arrays of an image and its box; what is no pair, the fresh process refuses."""
    return tuple(map(np.asarray, face)) if isinstance(face, list | tuple) else face


class _Helper:
    """The fresh process, started when it is asked first; it ends when this one does."""

    def __init__(self) -> None:
        self._lock = RLock()  # a handler of signals may ask while an answer is waited for
        self._process: Any = None

    def answer(self, question: object) -> Any:
        """Hand a question over, and wait for its answer.

        Whatever breaks that off, as a task queue's limit of time, ends the process: what is left in its pipes
        would be taken for the next question or its answer.
        """
        with self._lock:
            process, self._process = self._process, None
            if process is None or process.poll() is not None:
                process = _started()
            try:
                answer = _answer(process, question)
            except BaseException:
                with suppress(BrokenPipeError), process:  # which closes its pipes and waits for its end
                    process.kill()
                raise
            self._process = process
            return answer


_HELPERS: dict[int, _Helper] = {}  # of this process, and of those from which it was forked


def _helper() -> _Helper:
    return _HELPERS.setdefault(os.getpid(), _Helper())


def _answer(process: Any, question: object) -> Any:
    try:
        pickle.dump(question, process.stdin)
        process.stdin.flush()
        return pickle.load(process.stdout)
    except (BrokenPipeError, EOFError):
        raise RuntimeError(
            "the process that fits for this forked one ended before the faces were fitted, perhaps for want "
            "of memory; fit fewer at a time, or start workers by multiprocessing.get_context('spawn')"
        ) from None


def _started() -> Any:
    """Start the fresh process, which leaves Ctrl-C to this one."""
    package = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    config: Any = jax.config
    kept = config.jax_compilation_cache_dir, config.jax_enable_x64
    ignored = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
    program = f"{ignored}; from jaxclnf.batch.served import serve; serve(*{kept!r})"
    environment = os.environ | {"PYTHONPATH": paths}
    command, pipe = [sys.executable, "-c", program], subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe)
