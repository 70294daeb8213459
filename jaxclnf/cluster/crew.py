"""The workers of a stage of a pool's work: those that start, wait for a task or do one."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jaxclnf.cluster.ray_engine import Size
from jaxclnf.cluster.worker import Function, Task

FIRST_PAUSE = 2.0  # seconds from starts that failed to the next ones
LONGEST_PAUSE = 30.0  # to which pauses grow, each twice as long as the one before


class PoolStage(NamedTuple):
    """A stage of every task: its function, and the size of its workers."""

    function: Function
    size: Size = Size()


@dataclass
class Attempt:
    """A task that is being done, perhaps not for the first time."""

    task: Task
    tries: int = 1
    before: Any = None  # reference to the result of the stage before


@dataclass
class Crew:
    """The workers of a stage, and the tasks that wait for them."""

    stage: PoolStage
    starting: dict[Any, Any] = field(default_factory=dict)  # by references that tell when they have started
    idle: list[Any] = field(default_factory=list)
    busy: dict[Any, tuple[Any, Any, Attempt]] = field(default_factory=dict)  # by references likewise
    waiting: deque[Attempt] = field(default_factory=deque)
    failed_starts: int = 0  # in a row
    pause: float = FIRST_PAUSE / 2  # after the last of them
    not_before: float = 0.0  # when workers may be started again

    def __len__(self) -> int:
        return len(self.starting) + len(self.idle) + len(self.busy)

    def has_started(self, worker: Any) -> None:
        """Take a worker that is ready."""
        self.idle.append(worker)
        self.failed_starts, self.pause = 0, FIRST_PAUSE / 2

    def has_not_started(self) -> None:
        """Wait for a while before the next starts, longer each time: others may fail as this one did.

        Of workers that were started together, and fail together, only the first makes the pause longer.
        """
        self.failed_starts += 1
        now = time.monotonic()
        if now >= self.not_before:
            self.pause = min(2 * self.pause, LONGEST_PAUSE)
            self.not_before = now + self.pause
