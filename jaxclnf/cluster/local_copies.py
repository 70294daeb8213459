"""Sources as files on a worker's machine: local files in place, others copied while they are needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

from jaxclnf.batch.overlap import ahead
from jaxclnf.cluster.places import Unreachable, copy_to, is_there
from jaxclnf.media.addresses import here, is_address
from jaxclnf.media.failures import Failure

COPIED_AT_ONCE = 8


class Fetched:
    """Copies of sources in a temporary folder, and the source that each copy stands for."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, count()
        self._sources: dict[str, str] = {}  # by the paths of their copies
        self._reasons: dict[str, str] = {}  # why there is no copy

    def paths(self, sources: Iterable[str]) -> Iterator[Path]:
        """Give a path for each source, in order; the file is missing if the source cannot be copied."""
        with closing(ahead(self.path, sources, COPIED_AT_ONCE, 2 * COPIED_AT_ONCE)) as paths:
            yield from paths

    def path(self, source: str) -> Path:
        """Give the path of a source on this machine, copied if necessary."""
        if not is_address(source):
            return Path(source)
        copy = self._folder / f"{next(self._numbers)}{Path(source).suffix}"
        self._sources[str(copy)] = source
        try:
            copy_to(copy, source)
        except Unreachable as error:
            self._reasons[str(copy)] = str(error)
            copy.unlink(missing_ok=True)
        return copy

    def source(self, path: Path | str) -> str:
        """Find the source that a path stands for."""
        return self._sources.get(str(path), str(path))

    def renamed(self, failure: Failure) -> Failure:
        """Turn the failure of a copy into one of its source."""
        source = self.source(failure.source)
        reason = self._reasons.get(failure.source, failure.reason.replace(failure.source, source))
        return Failure(source, reason)

    def release(self, path: Path) -> None:
        """Remove a copy that is no longer needed."""
        if str(path) in self._sources:
            path.unlink(missing_ok=True)


def is_absent(failure: Failure) -> bool:
    """Tell by its words whether a source was not to be had, rather than of no use: it may come."""
    source = failure.source
    ways = "cannot be copied: ", "cannot be reached: ", "does not exist"
    return failure.reason.startswith(tuple(f"{source} {way}" for way in ways))


def n_absent(failures: Iterable[Failure]) -> int:
    """Count the sources that were not to be had."""
    return sum(map(is_absent, failures))


def has_come(failure: Failure) -> bool:
    """Tell whether a source that was not to be had is there now."""
    if not is_absent(failure):
        return False
    if not is_address(failure.source):
        return os.path.exists(here(failure.source))
    with suppress(Unreachable):
        return is_there(failure.source)
    return False
