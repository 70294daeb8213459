"""The videos of a run: files, streams, pipes, image sequences and cameras, by what arguments say."""

from __future__ import annotations

import os
import re
from pathlib import Path

from jaxclnf.media.folders import files_below, files_in, matches
from jaxclnf.media.images import SUFFIXES
from jaxclnf.media.inputs import Found, gathered, photos_among
from jaxclnf.media.patterns import is_pattern
from jaxclnf.regular_files import no_file

# fmt: off
VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".qt", ".avi", ".divx", ".mkv", ".webm", ".wmv", ".asf", ".flv", ".f4v", ".mpg",
    ".mpeg", ".mpe", ".m2v", ".ts", ".mts", ".m2ts", ".vob", ".ogv", ".ogg", ".3gp", ".3g2", ".mxf", ".y4m",
    ".dv", ".rm", ".rmvb", ".wtv", ".mjpeg", ".mjpg", ".h264", ".264", ".hevc", ".h265", ".265",
    ".ivf", ".nut",
)
# fmt: on
STANDARD_INPUT = "-"


def find_videos(arguments: list[str]) -> Found:
    """Find the sources of frames that arguments stand for, each once.

    A folder stands for the videos in it and in its sub-folders. Pictures stand for the sequence in their
    folder, one for each folder, unless it or one around it holds videos. A pattern stands for the files and
    folders that it matches.
    """
    found = gathered(arguments, lambda argument, found: found.sources.extend(_expand(argument, found)))
    found.sources = list(dict.fromkeys(found.sources))
    return found


def _expand(argument: str, found: Found) -> list[str]:
    n_failures = len(found.failures)
    if os.path.isdir(argument):
        sources = _sources_among(files_below(Path(argument), found.unreadable), found)
        nothing = f"{argument} holds no photos and no videos"
    elif is_pattern(argument) and not scheme_of(argument):
        sources = _matched(argument, found)
        nothing = f"{argument} matches no file that is a photo or a video"
    else:
        return [argument]
    if not sources and len(found.failures) == n_failures:
        raise ValueError(nothing)
    return sources


def _matched(pattern: str, found: Found) -> list[str]:
    files, in_folders = matches(pattern, found.unreadable)
    name = Path(pattern).name.replace("**", "*")  # which matches the pictures of one folder
    sources = _sources_among(files, found, name)
    for below in in_folders:
        sources += _sources_among(below, found)
    return sources


def _sources_among(files: list[Path], found: Found, name: str = "") -> list[str]:
    """Choose the videos, and the folders of pictures (with a pattern's ``name``) unless videos are about."""
    videos = {file for file in files if file.suffix.lower() in VIDEO_SUFFIXES}
    places = {video.parent for video in videos}
    sources: dict[str, None] = {}
    for file in files:
        if file in videos:
            sources[str(file)] = None
        elif file.suffix.lower() in SUFFIXES and places.isdisjoint(file.parents):
            sources[str(file.parent / name)] = None
        else:
            found.passed_over.append(file)
    return list(sources)


def is_live(source: str) -> bool:
    """Tell whether a source gives other frames each time it is read: a camera, a pipe, a stream."""
    there = os.path.isfile(source) or os.path.isdir(source)
    return not there and not is_missing(source) and not is_pattern(source)


def sequence_photos(source: str) -> Found:
    """Find the frames of one sequence: photos in a folder, without its sub-folders, or of a pattern."""
    return gathered([source], lambda source, found: found.paths.extend(_frames_of(source, found)))


def _frames_of(source: str, found: Found) -> list[Path]:
    if not os.path.isdir(source):
        matched = matches(source, found.unreadable).files
        if not matched:
            raise ValueError(f"{source} matches no file")
        return [file for file in matched if file.suffix.lower() in SUFFIXES] or matched
    files = files_in(Path(source), found.unreadable)
    photos = photos_among(files, found)
    if not photos and not found.failures:
        deeper = _sources_among(files_below(Path(source), found.unreadable), Found())
        follow = f" itself; give one of its sub-folders, as {deeper[0]}" if deeper else ""
        raise ValueError(f"{source} holds no photos{follow}")
    return photos


def is_missing(source: str) -> bool:
    """Tell whether a source can only be a file, and is none that exists."""
    elsewhere = is_number(source) or source == STANDARD_INPUT or scheme_of(source) or is_pattern(source)
    return not elsewhere and not os.path.lexists(source)


def is_number(source: str) -> bool:
    """Tell whether a source is a camera's number."""
    return source.isascii() and source.isdecimal() and len(source) < 10


def absence(source: str) -> str:
    """Say that a source is missing, or in a closed folder."""
    return f"{source} {no_file(Path(source))}; give a video, a folder of pictures or a camera's number"


def scheme_of(source: str) -> str:
    """Give the part of an address before ``://``."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", source)
    return found[1].lower() if found else ""
