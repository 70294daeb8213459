"""Sources as files on a worker's machine: local files in place, others copied while they are needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

from jaxclnf.batch.overlap import ahead
from jaxclnf.cluster.places import Unreachable, copy_to
from jaxclnf.media.addresses import is_address
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
    """Tell whether a source was not to be had, rather than of no use: it may be there another time."""
    source = failure.source
    if is_address(source):
        return failure.reason.startswith((f"{source} cannot be copied: ", f"{source} cannot be reached: "))
    return not os.path.exists(source)


def n_absent(failures: Iterable[Failure]) -> int:
    """Count the sources that were not to be had."""
    return sum(map(is_absent, failures))
