"""The inputs of a run: files named one by one, by folders, patterns and lists."""

from __future__ import annotations

import mimetypes
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from jaxclnf.media import input_tables
from jaxclnf.media.addresses import check_no_address, here
from jaxclnf.media.earlier_results import LIST, is_result
from jaxclnf.media.images import SUFFIXES
from jaxclnf.media.patterns import expanded, is_pattern
from jaxclnf.media.text_files import as_path, read_lines

# Pictures that cannot be read, some of which no registry of types knows.
_RAW = (
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".dng",
    ".orf",
    ".raf",
    ".rw2",
    ".psd",
    ".exr",
    ".hdr",
    ".jxl",
    ".svg",
)


class Failure(NamedTuple):
    """A source that a run could not use, and the reason in one sentence."""

    source: str
    reason: str


def failed(source: str, error: BaseException) -> Failure:
    """Make the failure of a source from an unforeseen error."""
    said = " ".join(str(error).split())[:200]
    return Failure(
        source, f"{source} could not be worked on: {type(error).__name__}{': ' * bool(said)}{said}"
    )


def unusable(source: str, error: ValueError | OSError) -> Failure:
    """Make the failure of a source that cannot be used: of a closed folder, or as the error says."""
    said = f"{source} cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
    return Failure(source, said)


@dataclass
class Found:
    """The sources that arguments stand for, the failures among them, and files of other kinds."""

    paths: list[Path] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)  # of frames: files, addresses, pipes, cameras
    failures: list[Failure] = field(default_factory=list)
    passed_over: list[Path] = field(default_factory=list)


def find_photos(arguments: Sequence[str]) -> Found:
    """Find the photos that arguments stand for, each once and in order.

    An argument is a photo, a folder (searched with its sub-folders, also linked ones), a list (a ``.txt``
    file with a path a line, a ``.csv`` or ``.parquet`` table with paths in its column ``file``) or, if no
    file has that name, a pattern (``*.jpg``, ``**`` for folders at any depth). Photos come in the order of
    their names, 2 before 10. Results of earlier runs are not taken from folders and patterns.
    """
    found = Found()
    for argument in arguments:
        try:
            found.paths += _expand(argument, found)
        except (ValueError, OSError) as error:
            found.failures.append(unusable(argument, error))
    each: dict[str, Path] = {}
    for path in found.paths:
        each.setdefault(os.path.abspath(path), path)
    found.paths = list(each.values())
    return found


def _expand(argument: str, found: Found) -> list[Path]:
    argument = here(argument)
    check_no_address(argument, "read")
    path = Path(argument)
    if os.path.isdir(path):  # which takes a closed folder's for none; reading it says why
        return _in_folder(path, found)
    if is_list(path):
        return [as_path(line, path.parent) for line in listed_names(path)]
    if is_pattern(argument):
        files = [p for p in matches(argument) if not os.path.isdir(p) and not is_result(p)]
        return files or _nothing(f"{argument} matches no file")
    return [path]  # reading it reports that it does not exist


def _nothing(sentence: str) -> list[Path]:
    raise ValueError(sentence)


def _in_folder(path: Path, found: Found) -> list[Path]:
    photos, unreadable, others = [], [], []
    for file in files_below(path, found.failures):
        if file.suffix.lower() in SUFFIXES:
            photos.append(file)
        elif is_picture(file):
            unreadable.append(Failure(str(file), f"{file} is a picture of a kind that cannot be read"))
        else:
            others.append(file)
    found.failures += unreadable
    if not photos and not unreadable:
        raise ValueError(f"{path} holds no photos ({', '.join(SUFFIXES)})")
    found.passed_over += others
    return photos


def is_list(path: Path) -> bool:
    """Tell whether a file is a list of photos."""
    return path.suffix.lower() in (".txt", *input_tables.SUFFIXES) and os.path.isfile(path)


def listed_names(path: Path) -> list[str]:
    """Read the names in a list: the lines of a text, or the column ``file`` of a table."""
    try:
        if path.suffix.lower() == ".txt":
            names = read_lines(path)
        else:
            names = [name for (name,) in input_tables.column_cells(path, ("file",))[0]]
    except ValueError as error:
        raise ValueError(f"{path} is not a list of photos: {error}") from None
    if not names:
        raise ValueError(f"{path} is an empty list; write the path of a photo on each line")
    return names


def is_picture(path: Path) -> bool:
    """Tell whether a file's name is that of a picture, readable or not."""
    kind = mimetypes.guess_type(path.name.lower())[0] or ""
    return path.suffix.lower() in (*SUFFIXES, *_RAW) or kind.startswith("image/")


def matches(pattern: str) -> list[Path]:
    """List the files and folders that a pattern matches, in the order of their names."""
    return in_order(path for path in expanded(pattern) if path.name != LIST)


def files_below(folder: Path, failures: list[Failure]) -> Iterator[Path]:
    """List the files in a folder and its sub-folders, without a run's results; links are followed once.

    Folders that cannot be read are added to ``failures``.
    """

    def unreadable(error: OSError) -> None:
        failures.append(
            Failure(str(error.filename), f"{error.filename} cannot be searched: {error.strerror}")
        )

    seen: set[tuple[int, int]] = set()
    found = []
    for place, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        found += [Path(place, name) for name in names if name != LIST]
    yield from in_order(path for path in found if not is_result(path))


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Sort paths by name, with numbers by value: frame2 before frame10."""
    return sorted(paths, key=lambda path: [_by_number(part) for part in path.parts])


def _by_number(name: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(p), p) if p[0] in "0123456789" and len(p) < 1000 else (1, 0, p) for p in parts]
