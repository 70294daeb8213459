"""The processor's cores."""

from __future__ import annotations

import os

_allotted: int | None = None


def n_cores() -> int:
    """Count the cores that this process may use."""
    return n_here() if _allotted is None else min(n_here(), _allotted)


def n_here() -> int:
    """Count the cores that the system lets this process run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def allot(n: int) -> None:
    """Have this process use ``n`` cores, since others like it use the rest of the machine."""
    global _allotted
    _allotted = n
