"""The page of a run on photos: every face with its picture, least confident first."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxclnf.media.failures import Failure
from jaxclnf.media.images import RGB, open_picture, read_photo
from jaxclnf.output.overlays import LONGEST, SMALL
from jaxclnf.output.report.page import (
    Card,
    Line,
    Page,
    address,
    failure_lines,
    sure,
    thumbnail,
    write_page,
)
from jaxclnf.output.report.rows import LOOKS, PHOTO, Row, is_bad, read_rows, shown_numbers, worth
from jaxclnf.output.report.short_names import short_names
from jaxclnf.output.tables import NO_FACE
from jaxclnf.types import USABLE_WORDS
from jaxclnf.wording import counted

MOST_CARDS = 5000
"""Faces with a card, the least sure ones: many more keep a browser busy for a minute."""

MOST_HELD = 1000
"""The least sure of them, whose small pictures are in the page; of the others it loads what is seen."""

MOST_LISTED = 300  # faces that were not fitted, one by one

_ABOUT = 0.8  # of a face's size is shown on each of its sides, where a photo has several
_SPANS = ("x_0", "x_16", "y_19", "y_8", "y_24")  # landmarks about which a face lies


def report_photos(
    path: Path, table: Path, pictures: Mapping[str, Path | None], failures: Sequence[Failure]
) -> None:
    """Write the page of a run on photos: ``pictures`` are the overlays, by the photos' names in the table."""
    rows = read_rows(table, PHOTO, (*LOOKS, *_SPANS))
    found = sum(row["status"] != NO_FACE for row in rows)
    photos = dict.fromkeys(row["source"] for row in rows)
    names = short_names([*photos, *(failure.source for failure in failures)])
    unfitted = [
        Line(names[row["source"]], row["source"], _what(row))
        for row in rows
        if row["status"] not in USABLE_WORDS
    ]
    least_sure = sorted(range(len(rows)), key=lambda i: worth(rows[i]["confidence"]))
    summary = [counted(found, "face") + f" on {counted(len(photos), 'photo')}"]
    summary += [f"{counted(len(failures), 'photo')} could not be used"] if failures else []
    page = Page(
        title="Faces on photos",
        summary="; ".join(summary),
        failures=failure_lines(failures, names),
        unfitted=unfitted[:MOST_LISTED],
        n_unfitted=len(unfitted),
        cards=_cards(path, rows, least_sure, names, pictures),
        left_out=max(len(rows) - MOST_CARDS, 0),
        longest=LONGEST,
    )
    write_page(path, page)


def _what(row: Row) -> str:
    """Say what became of a face without landmarks."""
    return row["status"] if row["status"] == NO_FACE else f"face {row['face']}: {row['status']}"


def _cards(
    page: Path,
    rows: list[Row],
    least_sure: Sequence[int],
    names: Mapping[str, str],
    pictures: Mapping[str, Path | None],
) -> Iterator[Card]:
    """Make the cards of the least sure rows, in the table's order; pictures are read one at a time."""
    alone, held = _alone(rows), set(least_sure[:MOST_HELD])
    before: tuple[str, RGB | None] = "", None
    for i in sorted(least_sure[:MOST_CARDS]):
        source = rows[i]["source"]
        place = pictures.get(source)
        place = place if place is not None and place.exists() else None
        drawn = address(place, page) if place else ""
        original = address(source, page) if os.path.isfile(source) else ""
        if i in held and before[0] != source:
            before = source, read_photo(place) if place else None
        image = thumbnail(_surroundings(before[1], rows[i], alone)) if i in held else drawn
        yield _card(i, rows[i], names[source], image)._replace(full=drawn, original=original)


def _card(order: int, row: Row, name: str, image: str) -> Card:
    confidence = row["confidence"]
    text = NO_FACE if row["status"] == NO_FACE else f"face {row['face']}: {row['status']}, {sure(confidence)}"
    shown = {} if row["status"] == NO_FACE else {"face": str(row["face"])} | shown_numbers(row)
    return Card(order, name, row["source"], text, confidence, is_bad(confidence), image, shown)


def _alone(rows: list[Row]) -> set[str]:
    """Photos that have only one row."""
    seen: dict[str, int] = {}
    for row in rows:
        seen[row["source"]] = seen.get(row["source"], 0) + 1
    return {source for source, n in seen.items() if n == 1}


def _surroundings(picture: RGB | None, row: Row, alone: set[str]) -> np.ndarray | None:
    """Crop a face and its surroundings from a picture, perhaps not of its photo's size, that has others."""
    if picture is None or row["source"] in alone:
        return picture
    spans = np.array([row.get(name, np.nan) for name in _SPANS], float)
    low, high = spans[[0, 2]], spans[[1, 3]]
    low[1] = min(low[1], spans[4])
    size = np.abs(high - low).max()
    if not np.isfinite(spans).all() or size < 4:
        return picture
    scale = _scale(picture, row["source"])
    middle, reach = scale * (low + high) / 2, scale * size * (0.5 + _ABOUT)
    start = np.clip(middle - reach, 0, picture.shape[1::-1]).astype(int)
    end = np.clip(middle + reach, 0, picture.shape[1::-1]).astype(int)
    part = picture[start[1] : end[1], start[0] : end[0]]
    return part if part.size else picture


def _scale(picture: RGB, source: str) -> float:
    """Factor by which a picture is larger than its photo; below 1 where it was shrunk."""
    longest = max(picture.shape[:2])
    if SMALL < longest < LONGEST:
        return 1.0
    try:
        with open_picture(source) as photo:
            return longest / max(photo.size)
    except ValueError:
        return 1.0
