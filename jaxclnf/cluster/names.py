"""Names of each source's files, the same as those of a run on one machine into an empty folder."""

from __future__ import annotations

from collections.abc import Sequence

from jaxclnf.output.folder import numbered, room_for

PICTURES = "pictures"
"""The folder of pictures and annotated videos."""


class Names:
    """Names without endings, each given once; keeps the hash of each, 100 bytes a name."""

    def __init__(self, endings: Sequence[str]) -> None:
        self._room = room_for(endings)
        self._taken: set[int] = set()
        self._numbers: dict[int, int] = {}  # that come next, of names that came more than once

    def give(self, name: str) -> str:
        """Give a name, shortened if endings make it too long, with a number if it is taken."""
        first = self._numbers.get(hash(name), 1)
        for number, stem in enumerate(numbered(name, self._room, first), first):
            told = hash(stem.casefold())  # some file systems know no capitals
            if told not in self._taken:
                self._taken.add(told)
                if number > 1:
                    self._numbers[hash(name)] = number + 1
                return stem
        raise ValueError(f"too many files are called {name}")
