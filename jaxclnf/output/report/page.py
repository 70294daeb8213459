"""The content of the page, and the writing of it."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import cv2
import numpy as np

from jaxclnf.media.failures import Failure
from jaxclnf.media.images import RGB
from jaxclnf.media.photo_parts import resized
from jaxclnf.whole_files import write_whole
from jaxclnf.wording import percent

THUMBNAIL = 240  # pixels of the longer side


class Card(NamedTuple):
    """An entry with a picture: a face, a photo without one, or a frame of a video."""

    order: int
    name: str
    path: str  # in full
    text: str
    confidence: float
    bad: bool
    image: str  # its address, empty where there is none
    numbers: dict[str, str]
    full: str = ""  # address of the picture as it was drawn, which may be larger
    original: str = ""  # address of the photo itself
    time: float = 0.0  # of a frame, seconds


class Face(NamedTuple):
    """A line of a plot's legend."""

    number: int
    colour: str


class Line(NamedTuple):
    """A sentence on what became of a file, or of a face in it."""

    name: str
    path: str  # in full
    what: str


@dataclass(frozen=True)
class VideoPlots:
    """A video on the page: the plots of its course, the faces in it, and some of its frames."""

    name: str
    path: str
    svg: str
    start: float  # seconds at the drawing's left ...
    end: float  # ... and right
    faces: Sequence[Face]
    cards: Sequence[Card]
    film: str = ""  # address of the annotated copy


@dataclass(frozen=True)
class Page:
    """The content of a run's page."""

    title: str
    summary: str
    failures: Sequence[Line] = ()
    unfitted: Sequence[Line] = ()
    n_unfitted: int = 0
    courses: Sequence[VideoPlots] = ()
    cards: Iterable[Card] = ()
    left_out: int = 0
    longest: int = 0  # pixels of the longer side, to which larger photos are shrunk before they are drawn
    span: tuple[float, float] = (0.0, 1.0)  # of a drawing's width that its times fill


def failure_lines(failures: Sequence[Failure], names: Mapping[str, str]) -> list[Line]:
    """Turn failures into lines with short names."""
    return [Line(names[source], source, reason.replace(source, names[source])) for source, reason in failures]


def sure(confidence: float) -> str:
    """Write a confidence in words."""
    return f"{percent(confidence)} sure" if np.isfinite(confidence) else "how sure is unknown"


def thumbnail(picture: RGB | None) -> str:
    """Make a small copy of a picture, which its address holds."""
    if picture is None or not picture.size:
        return ""
    scale = min(1.0, THUMBNAIL / max(picture.shape[:2]))
    small = resized(np.ascontiguousarray(picture), scale)
    _, data = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def address(file: str | Path, page: Path) -> str:
    """Give the address of a file as seen from a page, so that both can be moved together."""
    way = os.path.relpath(os.path.realpath(file), os.path.realpath(page.parent))
    return quote(os.fsencode(way.replace(os.sep, "/")))


def breakable(name: str) -> str:
    """Let a long name of a file go on in the next line after the marks that part its words."""
    from markupsafe import Markup

    return Markup("<wbr>").join(re.split(r"(?<=[/_.-])", name))


@cache
def page_template() -> Any:
    """Read the page's template, once."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("jaxclnf.output"), autoescape=True)
    environment.filters["breakable"] = breakable
    return environment.get_template("report.html")


def write_page(path: Path, page: Page) -> None:
    """Write the page, whole or not at all."""
    write_whole(path, page_template().render(page=page).encode("utf-8", "replace"))
