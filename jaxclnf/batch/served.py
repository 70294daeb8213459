"""The fresh process that does the fits of a forked one: see `jaxclnf.batch.forked`."""

from __future__ import annotations

import os
import pickle
import sys

import jax

from jaxclnf.batch.many_faces import stream


def serve(compiled: str | None, x64: bool) -> None:
    """Fit the faces that arrive on standard input, until it ends, or nobody waits for the results."""
    jax.config.update("jax_compilation_cache_dir", compiled)
    jax.config.update("jax_enable_x64", x64)
    answers, sys.stdout = os.fdopen(os.dup(1), "wb"), sys.stderr
    while True:
        try:
            (model, config), faces, range_known = pickle.load(sys.stdin.buffer)
        except (EOFError, pickle.UnpicklingError):  # no more, or cut off
            return
        results, error = [], None
        try:
            results.extend(stream(model, faces, config, range_known))
        except Exception as failure:  # for the caller to raise
            error = failure
        try:
            pickle.dump((results, error), answers)
            answers.flush()
        except BrokenPipeError:
            return
