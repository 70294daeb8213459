"""The output folder of a run: one run at a time writes to it, and never over an input or a foreign file."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from jaxclnf.media.addresses import check_no_address, is_address
from jaxclnf.media.earlier_results import LIST, read_list
from jaxclnf.media.patterns import is_pattern
from jaxclnf.whole_files import remove_parts, write_whole

try:
    import fcntl
except ImportError:  # on Windows nothing keeps two runs apart
    fcntl = None

LONGEST_NAME = 255  # bytes, on all usual file systems
UNFINISHED = ".unfinished."  # within the names of files that a run is still writing
RUN = "the run"  # the owner of files that belong to no single source


def make_folder(path: Path) -> Path:
    """Make the output folder if it is missing; raises ValueError if it cannot hold files."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ValueError(f"{path} cannot be the output folder: {error.strerror or error}") from None
    return path


class OutputFolder:
    """A folder that one run writes to.

    Another run on the same folder is refused. ``jaxclnf.json`` lists the files that runs wrote here with the
    source of each; only those are written over, and only for the same source. ``done`` keeps what
    later runs have to know of each source. Use as a context manager.
    """

    def __init__(self, path: Path) -> None:
        check_no_address(path, "write to")
        self.path = make_folder(path)
        self._lock = _locked(path)
        remove_parts(path)
        said = read_list(path)
        self._owners: dict[str, str] = said["files"]
        self._owned: dict[str, list[str]] = defaultdict(list)
        for name, owner in self._owners.items():
            self._owned[owner].append(name)
        self.done: dict[str, Any] = said["done"]
        self._inputs: set[tuple[int, int]] = set()
        self._taken: dict[str, str] = {LIST: RUN}
        self._numbering = Numbering()
        self._is_saved = False

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # the list may say too much
            self._forget_finished()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def protect(self, inputs: Iterable[Path | str]) -> None:
        """Protect these files, and the files that they link to, from being written over."""
        for path in inputs:
            self._inputs |= _identities(Path(path))

    def claim(self, *names: str, replace: bool = False) -> None:
        """Take names for the whole run; raises ValueError if one is an input's or a foreign file's.

        With ``replace`` files may be written over that no list tells of; inputs never.
        """
        for name in names:
            path = self.path / name
            if _identities(path) & self._inputs:
                raise ValueError(f"{path} is an input and would be written over; choose another --out")
            if not replace and not self._is_free(name, RUN):
                raise ValueError(
                    f"{path} is from no earlier run and would be lost; move it or choose another --out"
                )
            self._take(name, RUN)

    def hold(self, *names: str) -> None:
        """Mark folders within this one as holding nothing but results."""
        for name in names:
            self._take(f"{name}/", RUN)
        self.save()

    def claim_folder(self, name: str) -> Path:
        """Take a folder in this one for results alone; its name gets a number if it is taken."""
        for number in range(1, 10**6):
            numbered = f"{name}{'' if number == 1 else f'-{number}'}"
            path = self.path / numbered
            ours = f"{numbered}/" in self._owners or not os.path.lexists(path)
            if ours and not (path.is_dir() and any(_identities(p) & self._inputs for p in path.iterdir())):
                self._take(f"{numbered}/", RUN)
                self.save()  # first: a run that is killed here finds its folder again
                path.mkdir(exist_ok=True)
                remove_parts(path)
                return path
        raise ValueError(f"{self.path} holds too many folders like {name}")

    def folders(self, name: str) -> list[Path]:
        """List the folders of results that `claim_folder` gave by this name, in this run or earlier ones."""
        own = re.compile(rf"{re.escape(name)}(-\d+)?/")
        return [self.path / each for each in self._owners if own.fullmatch(each)]

    def discard(self, source: str, *paths: Path) -> None:
        """Remove files that an earlier run wrote of ``source``; those that the list does not tell of stay."""
        for path in paths:
            name = path.relative_to(self.path).as_posix()
            is_ours = self._owners.get(name) == source_key(source)
            is_ours |= name.count("/") == 1 and f"{path.parent.name}/" in self._owners
            if is_ours and not _identities(path) & self._inputs:
                path.unlink(missing_ok=True)

    def stem(self, source: str, name: str, endings: Sequence[str], longest: str = "") -> str:
        """Give a name without ending for the outputs of ``source``, the same in every run into this folder.

        It is ``name``, shortened where ``endings`` (or the ``longest``) make it too long, with a number where
        another source, an input or a foreign file has it. A source is told from others by its whole path.
        """
        owner = source_key(source)

        def is_free(stem: str) -> bool:
            return all(self._is_free(stem + ending, owner) for ending in endings)

        stem = next(filter(is_free, self._earlier_stems(owner, endings)), None)
        if stem is None:
            stem = self._numbering.first_free(name, room_for((*endings, longest)), is_free)
        for ending in endings:
            self._take(stem + ending, owner)
        return stem

    def _earlier_stems(self, owner: str, endings: Sequence[str]) -> list[str]:
        """Names without ending that the source had before; of endings that fit, the longest is meant."""
        longest_first = sorted(endings, key=len, reverse=True)
        ends = [(name, next(filter(name.endswith, longest_first), "")) for name in self._owned.get(owner, ())]
        return [name.removesuffix(end) for name, end in ends if end]

    def save(self) -> None:
        """Write the list of files to ``jaxclnf.json``."""
        said = {"files": self._owners, "done": self.done}
        write_whole(self.path / LIST, json.dumps(said, indent=0).encode())
        self._is_saved = True

    def _forget_finished(self) -> None:
        """Leave unfinished files that are no more out of the list: later ones of such names are foreign."""
        names = [name for name in self._owners if UNFINISHED in name]
        gone = [name for name in names if not os.path.lexists(self.path / name)]
        for name in gone:
            del self._owners[name]
        if gone and self._is_saved:
            self.save()

    def _is_free(self, name: str, owner: str) -> bool:
        path = self.path / name
        if self._taken.get(name.casefold(), owner) != owner or _identities(path) & self._inputs:
            return False
        if name in self._owners:
            return self._owners[name] == owner
        return not os.path.lexists(path)

    def _take(self, name: str, owner: str) -> None:
        self._taken[name.casefold()] = owner
        self._owners[name] = owner


def room_for(endings: Iterable[str]) -> int:
    """Count the bytes that a name may have before any of the endings."""
    return LONGEST_NAME - max(len(os.fsencode(ending)) for ending in endings)


class Numbering:
    """Numbers that tell things of one name apart; each name's go on from the last one given.

    It keeps a hash of each name that came more than once.
    """

    def __init__(self) -> None:
        self._next: dict[int, int] = {}

    def first_free(self, name: str, room: int, is_free: Callable[[str], bool]) -> str:
        """Give the first free one of name, name-2, name-3, ..., each shortened to at most ``room`` bytes."""
        key = hash(_shortened(name, room).casefold())
        for number in range(self._next.get(key, 1), 10**6):
            ending = "" if number == 1 else f"-{number}"
            numbered = _shortened(name, room - len(ending)) + ending
            if is_free(numbered):
                if number > 1:
                    self._next[key] = number + 1
                return numbered
        raise ValueError(f"too many files are called {name}")


def source_key(source: str) -> str:
    """Make a key that tells a source from others of the same name, wherever it is named from."""
    is_of_folder = os.path.lexists(source) or (is_pattern(source) and not is_address(source))
    return os.path.abspath(source) if is_of_folder else source


def _identities(path: Path) -> set[tuple[int, int]]:
    """Identify the file and, if it is a link, the link too."""
    found = set()
    for look in (os.stat, os.lstat):
        with suppress(OSError, ValueError):
            status = look(path)
            found.add((status.st_dev, status.st_ino))
    return found


def _shortened(name: str, most: int) -> str:
    """Shorten a name to at most ``most`` bytes, cut between letters."""
    while len(os.fsencode(name)) > most:
        name = name[:-1]
    return name


def _locked(path: Path) -> int | None:
    if fcntl is None:
        return None
    lock = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise ValueError(
            f"{path} is the output folder of another run that has not ended; choose another --out"
        ) from None
    except OSError:  # a file system without locks
        os.close(lock)
        return None
    return lock
