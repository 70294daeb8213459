"""Processes that were forked from one in which JAX had run: there JAX waits for ever."""

from __future__ import annotations

import os

from jax._src.xla_bridge import backends_are_initialized

_inherited = False


def is_inherited() -> bool:
    """Tell whether this process was forked from one in which JAX had run already."""
    return _inherited


def refuse_if_inherited() -> None:
    """Raise RuntimeError if JAX cannot run in this process, where it would wait for ever."""
    if _inherited:
        raise RuntimeError(
            "this process was forked after JAX had run, so JAX cannot run here; expected a fresh process: "
            'start workers by multiprocessing.get_context("spawn"), or call fit_faces or fit_stream'
        )


def _note() -> None:
    global _inherited
    _inherited = _inherited or backends_are_initialized()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note)
