"""Interleaved timing: every case runs once in each round, so that other load affects all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np


class Case(NamedTuple):
    """A case to time: a call of ``run`` fits so many faces, so many times in a row."""

    name: str
    run: Callable[[], Any]
    faces: int
    group: str = ""
    times: int = 1


class Figure(NamedTuple):
    """Medians of a case in milliseconds per face, and its shortest wall-clock time."""

    name: str
    group: str
    faces: int
    wall_ms: float
    cpu_ms: float  # of all the process's threads, which other programs on the machine disturb little
    best_ms: float

    @property
    def faces_per_second(self) -> float:
        return 1e3 / self.wall_ms


def time_cases(cases: list[Case], rounds: int, step: Callable[[], None] = lambda: None) -> list[Figure]:
    """Time every case ``rounds`` times, after one call that compiles; ``step`` is told of every call."""
    for case in cases:
        jax.block_until_ready(case.run())
        step()
    seconds = np.array([list(_round(cases, step)) for _ in range(rounds)])  # rounds, cases, (wall, cpu)
    milliseconds = 1e3 * seconds / np.array([case.faces * case.times for case in cases])[None, :, None]
    medians, best = np.median(milliseconds, axis=0), milliseconds.min(axis=0)
    return [
        Figure(case.name, case.group, case.faces, float(wall), float(cpu), float(least))
        for case, (wall, cpu), (least, _) in zip(cases, medians, best, strict=True)
    ]


def _round(cases: list[Case], step: Callable[[], None]) -> Iterator[tuple[float, float]]:
    for case in cases:
        wall, cpu = time.perf_counter(), time.process_time()
        jax.block_until_ready(case.run())
        yield time.perf_counter() - wall, time.process_time() - cpu
        step()
