"""The command line as a process, what processes cost, and what one that failed said."""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

TOOL = (sys.executable, "-c", "from jaxclnf.cli import program; program()")
"""The command line, to be followed by its arguments."""


@dataclass
class Cost:
    """The seconds of processes, by the clock and of CPU time."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


@contextmanager
def children_timed() -> Iterator[Cost]:
    """Measure what the processes cost that begin and end within a context."""
    cost, before, start = Cost(), _cpu_s(), time.perf_counter()
    yield cost
    cost.wall_s, cost.cpu_s = time.perf_counter() - start, _cpu_s() - before


def _cpu_s() -> float:
    """Read the CPU time of all processes that this one began and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def last_words(said: str) -> str:
    """Take the last line of words that a failed process printed, which tells its error; frames fall off."""
    lines = [line.strip(" │") for line in said.splitlines() if re.search(r"\w", line)]
    return lines[-1] if lines else "it said nothing"
