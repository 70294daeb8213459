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


class ProgressLines(Progress):
    """A progress that is not drawn: it says now and then how far the work is and how long it takes yet."""

    def __init__(self, unit: str, every: float | None = None) -> None:
        super().__init__(console=Console(stderr=True), disable=True)
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
        rate = f", {task.speed:.1f} {self._unit}/s" if task.speed else ""
        left = task.time_remaining
        rest = "" if left is None else f", {timedelta(seconds=round(left))} left"
        typer.echo(f"{task.description}: {task.completed:,.0f}{of} {self._unit}{rate}{rest}", err=True)
