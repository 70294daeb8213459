"""Helpers of the sub-commands: messages, progress bars, folders for figures."""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from jaxclnf.commands import garbage
from jaxclnf.wording import counted, some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.progress import Progress

    from jaxclnf.media.failures import Failure


def add_command(app: typer.Typer, command: Callable[..., None], name: str | None = None) -> None:
    """Register a sub-command. Its help is its docstring; the terminal's width breaks the lines."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    text = "\n\n".join(" ".join(each.split()) for each in paragraphs)
    app.command(name, help=text)(command)


def warn(sentence: str) -> None:
    """Print a sentence on standard error, unless it is empty."""
    if sentence:
        typer.echo(f"jaxclnf: {sentence}", err=True)


def check_model_out(option: str, path: Path, inputs: Iterable[Path] = ()) -> None:
    """Refuse, before long work, a path where no model can be written, or that is an input."""
    from jaxclnf.media.addresses import check_no_address

    check_no_address(path, "write to")
    for given in inputs:
        if path.exists() and (path.samefile(given) if given.exists() else False):
            raise ValueError(f"{option} {path} is an input and would be written over; choose another name")
    if path.name == "points.npz" and path.exists():
        raise ValueError(f"{option} {path} holds a dataset's points and would be lost; choose another name")
    is_no_file = path.exists() and not path.is_file()  # a folder, a pipe
    if path.suffix != ".npz" or is_no_file or not path.parent.is_dir():
        raise ValueError(f"{option} {path}: expected a file name ending in .npz, in a folder that exists")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ValueError(f"{option} {path}: no file can be written there: {error.strerror}") from None


def progress(unit: str, every: float | None = None) -> Progress:
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


def report_failures(failures: Iterable[Failure]) -> None:
    """Print failures on standard error and, if there are any, exit with status 1."""
    failures = list(failures)
    for failure in failures:
        typer.echo(f"jaxclnf: {failure.reason}", err=True)
    if failures:
        raise typer.Exit(1)


def require_one(n_inputs: int, missing: Sequence[Failure], failures: Sequence[Failure]) -> None:
    """End a run none of whose inputs exists: it must not replace the results of an earlier one by nothing."""
    if len(missing) == n_inputs:
        report_failures([*failures, *missing])


def written(write: Callable[..., object], path: Path, *arguments: object) -> list[Failure]:
    """Write a file beside a run's table; an error is returned as a failure, so that the run goes on."""
    from jaxclnf.media.failures import failed

    try:
        write(path, *arguments)
    except Exception as error:
        return [failed(str(path), error)]
    return []


def report_written(write: Callable[..., object], path: Path, *arguments: object) -> list[Failure]:
    """Write the report and say where it is; an error is returned as a failure."""
    failures = written(write, path, *arguments)
    if not failures:
        typer.echo(f"{path}: the report")
    return failures


@contextmanager
def results_in(
    out: Path, inputs: Iterable[Path], names: Iterable[str], replace: bool = False
) -> Iterator[Path]:
    """Open a folder for figures, protected from other runs; no input or foreign file in it is written over.

    With ``replace`` files may be written over that no list tells of.
    """
    from jaxclnf.output.run_folder import OutputFolder

    with OutputFolder(out) as folder:
        for path in inputs:
            folder.protect(path.rglob("*") if path.is_dir() else [path])
        folder.claim(*names, replace=replace)
        folder.save()
        yield folder.path


def base_folder(names: Iterable[str | Path]) -> str:
    """Give the folder from which relative names of files count; empty if none is relative."""
    from jaxclnf.media.addresses import here, is_address

    relative = [each for each in map(str, names) if not is_address(each) and not os.path.isabs(here(each))]
    return os.getcwd() if relative else ""


def say_passed_over(paths: Sequence[Path]) -> None:
    """Print the names of files in folders that are not of the kind looked for."""
    if paths:
        typer.echo(f"passed over {counted(len(paths), 'file')} of other kinds: {some(paths)}")


def say_unused(names: Sequence[str], boxes: Path) -> None:
    """Print the names in a table of boxes that belong to no photo of the run."""
    if names:
        typer.echo(f"{boxes} has boxes of {counted(len(names), 'file')} not among the photos: {some(names)}")
