"""The inputs of a run on a cluster: paths and addresses of photos and videos, one by one."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from jaxclnf.cluster.places import copied, file_system, told_of
from jaxclnf.media import input_tables
from jaxclnf.media.addresses import here, is_address
from jaxclnf.media.container import SCHEMES
from jaxclnf.media.failures import Failure
from jaxclnf.media.folders import in_order
from jaxclnf.media.images import SUFFIXES
from jaxclnf.media.inputs import find_photos, is_list, listed_names
from jaxclnf.media.patterns import is_pattern
from jaxclnf.media.text_files import as_path, without_quotes
from jaxclnf.media.video_inputs import VIDEO_SUFFIXES, find_videos, is_live


def photo_sources(arguments: Sequence[str], failures: list[Failure]) -> Iterator[str]:
    """List the photos that arguments stand for, each once and in order: paths and addresses.

    Folders, patterns and lists may be addresses, too, and lists may name addresses. Unusable
    sources are added to ``failures``.
    """
    return _each_once(_expanded(arguments, SUFFIXES, _photos_here, failures))


def video_sources(arguments: Sequence[str], failures: list[Failure]) -> Iterator[str]:
    """List the videos that arguments stand for; addresses of streams are taken as they are."""
    return _each_once(_expanded(arguments, VIDEO_SUFFIXES, _videos_here, failures))


def _photos_here(argument: str, failures: list[Failure]) -> Iterator[str]:
    path = Path(argument)
    if is_list(path):
        for line in listed_names(path):
            bare = without_quotes(line.strip())
            yield bare if is_address(bare) else str(as_path(line, path.parent))
        return
    found = find_photos([argument])
    failures += found.failures
    yield from map(str, found.paths)


def _videos_here(argument: str, failures: list[Failure]) -> Iterator[str]:
    if is_live(argument):
        raise ValueError(f"{argument} is a camera or a pipe of one machine; run this without --cluster")
    found = find_videos([argument])
    failures += found.failures
    yield from found.sources


def _expanded(
    arguments: Iterable[str],
    suffixes: Sequence[str],
    found_here: Callable[[str, list[Failure]], Iterator[str]],
    failures: list[Failure],
) -> Iterator[str]:
    for argument in arguments:
        streamed = argument.startswith("file://") and argument.endswith(".txt")
        far = is_address(argument) or streamed
        try:
            if far:
                yield from _at_address(argument, suffixes)
            else:
                yield from found_here(here(argument), failures)
        except (ValueError, OSError) as error:
            failures.append(Failure(argument, str(error)))


def _at_address(address: str, suffixes: Sequence[str]) -> Iterator[str]:
    """List the sources of a list, pattern, folder or file at an address; lists are read lazily."""
    scheme = address.partition("://")[0]
    if scheme in SCHEMES:  # which have no folders
        yield address
        return
    system, path = file_system(address)
    if path.endswith(".txt"):
        with (
            told_of(address, "read"),
            system.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape") as lines,
        ):
            yield from (_in_list(line.rstrip("\r\n"), address) for line in lines if line.strip())
    elif path.endswith(input_tables.SUFFIXES):
        yield from (_in_list(name, address) for name in _in_table(address))
    else:
        with told_of(address, "listed"):
            found = _found(system, path, suffixes)
        if found == []:
            raise ValueError(f"{address} {'matches no file' if '*' in path else 'holds no file of use'}")
        yield from [address] if found is None else found


def _in_table(address: str) -> list[str]:
    """Read the names in a list that is a table."""
    with copied(address) as copy:
        try:
            return listed_names(copy)
        except ValueError as error:
            raise ValueError(str(error).replace(str(copy), address)) from None


def _found(system, path: str, suffixes: Sequence[str]) -> list[str] | None:
    """List the files of a pattern or folder; None for anything else, which is a file or missing."""
    if "*" in path:
        return _in_order(system.glob(path), system, suffixes)
    return _in_order(system.find(path), system, suffixes) if system.isdir(path) else None


def _in_order(paths: Iterable[str], system, suffixes: Sequence[str]) -> list[str]:
    kept = [path for path in paths if posixpath.splitext(path)[1].lower() in suffixes]
    return [here(system.unstrip_protocol(str(path))) for path in in_order(map(Path, kept))]


def _in_list(line: str, address: str) -> str:
    line = without_quotes(line)
    if is_address(line) or line.startswith("/"):
        return line
    folder = here(address).rpartition("/")[0]
    return f"{folder}/{line.strip()}"


def _each_once(sources: Iterable[str]) -> Iterator[str]:
    """Drop repeated sources; a hash of each is kept, about 100 bytes."""
    seen: set[int] = set()
    for source in sources:
        known = hash(source if is_address(source) or is_pattern(source) else os.path.abspath(source))
        if known not in seen:
            seen.add(known)
            yield source
