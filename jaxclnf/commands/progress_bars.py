"""Bars that show how far long work is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxclnf.commands import garbage

if TYPE_CHECKING:
    from rich.progress import Progress


def progress_bar(unit: str, every: float | None = None) -> Progress:
    """Make a progress bar with rate and remaining time.

    Without a terminal it is a line a minute, or one ``every`` so many seconds.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from jaxclnf.commands.progress_lines import RATE_OVER, ProgressLines, rate

    class Rate(TextColumn):
        def render(self, task):
            self.text_format = rate(task.speed, unit)
            return super().render(task)

    garbage.as_usual()
    console = Console(stderr=True)
    if not console.is_terminal:
        return ProgressLines(unit, every)
    columns = (
        TextColumn("{task.description}", markup=False),  # names may hold [brackets]
        BarColumn(),
        MofNCompleteColumn(),
        Rate(""),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, speed_estimate_period=RATE_OVER)
