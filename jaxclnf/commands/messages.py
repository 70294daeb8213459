"""What the sub-commands tell their users beside results: warnings, failures, what is left out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from jaxclnf.wording import counted, some

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jaxclnf.media.failures import Failure


def warn(sentence: str) -> None:
    """Print a sentence on standard error, unless it is empty."""
    if sentence:
        typer.echo(f"jaxclnf: {sentence}", err=True)


def say_passed_over(paths: Sequence[Path]) -> None:
    """Print the names of files in folders that are not of the kind looked for."""
    if paths:
        typer.echo(f"passed over {counted(len(paths), 'file')} of other kinds: {some(paths)}")


def say_unused(names: Sequence[str], boxes: Path) -> None:
    """Print the names in a table of boxes that belong to no photo of the run."""
    if names:
        typer.echo(f"{boxes} has boxes of {counted(len(names), 'file')} not among the photos: {some(names)}")


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
