"""Files and folders that sub-commands write to: refused before long work, protected, written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jaxclnf.media.failures import Failure
    from jaxclnf.output.run_folder import OutputFolder


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


@contextmanager
def results_in(
    out: Path, inputs: Iterable[Path], names: Iterable[str], replace: bool = False
) -> Iterator[OutputFolder]:
    """Open a folder for figures, protected from other runs; no input or foreign file in it is written over.

    With ``replace`` files may be written over that no list tells of.
    """
    from jaxclnf.output.run_folder import OutputFolder

    with OutputFolder(out) as folder:
        for path in inputs:
            folder.protect(path.rglob("*") if path.is_dir() else [path])
        folder.claim(*names, replace=replace)
        folder.save()
        yield folder


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
