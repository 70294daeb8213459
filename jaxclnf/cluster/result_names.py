"""Names of each source's files, the same as those of a run on one machine into an empty folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jaxclnf.media.earlier_results import LIST
from jaxclnf.output.run_folder import numbered, room_for

PICTURES = "pictures"
"""The folder of pictures and annotated videos."""


class Names:
    """Names without endings, whose files are each given once; keeps a hash of each file, 100 bytes.

    Every name has files with all of ``endings``, perhaps more up to the ``longest``; no file is called as one
    of ``beside``, which a run on one machine writes to the same folder.
    """

    def __init__(self, endings: Sequence[str], longest: str = "", beside: Iterable[str] = ()) -> None:
        self._endings, self._room = endings, room_for((*endings, longest))
        self._taken = {_known(name) for name in (LIST, *beside)}
        self._numbers: dict[int, int] = {}  # that come next, of names that came more than once

    def give(self, name: str) -> str:
        """Give a name, shortened if endings make it too long, with a number if a file of it is taken."""
        first = self._numbers.get(hash(name), 1)
        for number, stem in enumerate(numbered(name, self._room, first), first):
            files = {_known(stem + ending) for ending in self._endings}
            if files.isdisjoint(self._taken):
                self._taken |= files
                if number > 1:
                    self._numbers[hash(name)] = number + 1
                return stem
        raise ValueError(f"too many files are called {name}")


def _known(file: str) -> int:
    return hash(file.casefold())  # some file systems know no capitals
