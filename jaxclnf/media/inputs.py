"""The inputs of a run: files named one by one, by folders, patterns and lists."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from jaxclnf.media import input_tables
from jaxclnf.media.addresses import check_no_address, here
from jaxclnf.media.failures import Failure, unusable
from jaxclnf.media.folders import files_below, in_order, matches
from jaxclnf.media.images import SUFFIXES
from jaxclnf.media.patterns import is_pattern
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


@dataclass
class Found:
    """The sources that arguments stand for, the failures among them, and files of other kinds."""

    paths: list[Path] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)  # of frames: files, addresses, pipes, cameras
    failures: list[Failure] = field(default_factory=list)
    passed_over: list[Path] = field(default_factory=list)

    def unreadable(self, error: OSError) -> None:
        """Add the failure of a folder that cannot be searched."""
        name = str(error.filename)
        self.failures.append(Failure(name, f"{name} cannot be searched: {error.strerror}"))


def gathered(arguments: Sequence[str], expand: Callable[[str, Found], None]) -> Found:
    """Add what each argument stands for by ``expand``; an argument that it cannot use becomes a failure."""
    found = Found()
    for argument in arguments:
        try:
            expand(argument, found)
        except (ValueError, OSError) as error:
            found.failures.append(unusable(argument, error))
    found.failures = list(dict.fromkeys(found.failures))
    return found


def find_photos(arguments: Sequence[str]) -> Found:
    """Find the photos that arguments stand for, each once and in order.

    An argument is a photo, a folder (searched with its sub-folders, also linked ones), a list (a ``.txt``
    file with a path a line, a ``.csv`` or ``.parquet`` table with paths in its column ``file``) or, if no
    file has that name, a pattern (``*.jpg``, ``**`` for folders at any depth) of photos or folders. Photos
    come in the order of their names, 2 before 10. Results of earlier runs are not taken from folders and
    patterns.
    """
    found = gathered(arguments, lambda argument, found: found.paths.extend(_expand(argument, found)))
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
        return _matched(argument, found)
    return [path]  # reading it reports that it does not exist


def _in_folder(path: Path, found: Found) -> list[Path]:
    n_failures = len(found.failures)
    photos = photos_among(files_below(path, found.unreadable), found)
    if not photos and len(found.failures) == n_failures:
        raise ValueError(f"{path} holds no photos ({', '.join(SUFFIXES)})")
    return photos


def _matched(pattern: str, found: Found) -> list[Path]:
    n_failures = len(found.failures)
    files, in_folders = matches(pattern, found.unreadable)
    photos = in_order([*files, *photos_among(chain(*in_folders), found)])
    if not photos and len(found.failures) == n_failures:
        raise ValueError(f"{pattern} matches {'only folders without photos' if in_folders else 'no file'}")
    return photos


def photos_among(files: Iterable[Path], found: Found) -> list[Path]:
    """Choose the photos; pictures of kinds that cannot be read are failures, other files are passed over."""
    photos = []
    for file in files:
        if file.suffix.lower() in SUFFIXES:
            photos.append(file)
        elif is_picture(file):
            reason = f"{file} is a picture of a kind that cannot be read"
            found.failures.append(Failure(str(file), reason))
        else:
            found.passed_over.append(file)
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
            names = [row.file for row in input_tables.file_rows(path)[0]]
    except ValueError as error:
        raise ValueError(f"{path} is not a list of photos: {error}") from None
    if not names:
        raise ValueError(f"{path} is an empty list; write the path of a photo on each line")
    return names


def is_picture(path: Path) -> bool:
    """Tell whether a file's name is that of a picture, readable or not."""
    kind = mimetypes.guess_type(path.name.lower())[0] or ""
    return path.suffix.lower() in (*SUFFIXES, *_RAW) or kind.startswith("image/")
