"""Progress of long work as lines in a log, where there is no terminal to draw a bar on."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

EVERY = 60.0
"""Seconds between two lines, unless others are asked for."""

RATE_OVER = 600.0
"""Seconds over which a rate is taken: Rich's 30 hold no two steps of slow work, which has no rate then."""


def rate(per_second: float | None, unit: str) -> str:
    """Say how fast work is, a second or, if it is slow, a minute; nothing while that is unknown."""
    if not per_second:
        return ""
    return f"{per_second:.1f} {unit}/s" if per_second >= 1 else f"{60 * per_second:.1f} {unit}/min"


class ProgressLines(Progress):
    """A progress that is not drawn: it says now and then how far the work is and how long it takes yet."""

    def __init__(self, unit: str, every: float | None = None) -> None:
        super().__init__(console=Console(stderr=True), disable=True, speed_estimate_period=RATE_OVER)
        self._unit, self._every, self._said = unit, EVERY if every is None else every, time.monotonic()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Note a task's progress; the parameters are those of Rich's."""
        super().update(task_id, **changes)
        self._say(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Note that a task has come so much further."""
        super().advance(task_id, advance)
        self._say(task_id)

    def stop(self) -> None:
        """End, without the empty line that some releases of Rich print."""
        self.live.stop()

    def _say(self, task_id: TaskID) -> None:
        if time.monotonic() - self._said < self._every:
            return
        self._said = time.monotonic()
        task = self.tasks[self.task_ids.index(task_id)]
        of = "" if task.total is None else f" of {task.total:,.0f}"
        left = task.time_remaining
        rest = "" if left is None else f"{timedelta(seconds=round(left))} left"
        parts = f"{task.completed:,.0f}{of} {self._unit}", rate(task.speed, self._unit), rest
        typer.echo(f"{task.description}: {', '.join(filter(None, parts))}", err=True)
