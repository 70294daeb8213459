"""Names of each source's files, the same as those of a run on one machine into an empty folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jaxclnf.media.earlier_results import LIST
from jaxclnf.output.run_folder import Numbering, room_for

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
        self._numbering = Numbering()

    def give(self, name: str) -> str:
        """Give a name, shortened if endings make it too long, with a number if a file of it is taken."""
        stem = self._numbering.first_free(
            name, self._room, lambda each: self._taken.isdisjoint(self._files(each))
        )
        self._taken |= self._files(stem)
        return stem

    def _files(self, stem: str) -> set[int]:
        return {_known(stem + ending) for ending in self._endings}


def _known(file: str) -> int:
    return hash(file.casefold())  # some file systems know no capitals
