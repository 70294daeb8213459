"""The page of a run on photos: every face with its picture, least confident first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxclnf.media.images import RGB, open_picture, read_photo
from jaxclnf.media.inputs import Failure
from jaxclnf.output.overlays import LONGEST
from jaxclnf.output.report.page import Card, Line, Page, count, failure_lines, sure, thumbnail, write_page
from jaxclnf.output.report.rows import LOOKS, PHOTO, Row, is_bad, read_rows, shown_numbers, worth
from jaxclnf.output.report.short_names import short_names
from jaxclnf.output.tables import NO_FACE, STATUS_WORDS
from jaxclnf.types import Status

MOST_CARDS = 1000
MOST_LISTED = 300  # faces that were not fitted, one by one

_FITTED = (STATUS_WORDS[Status.OK], STATUS_WORDS[Status.NOT_CONVERGED])
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
        Line(names[row["source"]], row["source"], _what(row)) for row in rows if row["status"] not in _FITTED
    ]
    least_sure = sorted(range(len(rows)), key=lambda i: worth(rows[i]["confidence"]))[:MOST_CARDS]
    summary = [count(found, "face") + f" on {count(len(photos), 'photo')}"]
    summary += [f"{count(len(failures), 'photo')} could not be used"] if failures else []
    page = Page(
        title="Faces on photos",
        summary="; ".join(summary),
        failures=failure_lines(failures, names),
        unfitted=unfitted[:MOST_LISTED],
        n_unfitted=len(unfitted),
        cards=_cards(rows, sorted(least_sure), names, pictures),
        left_out=len(rows) - len(least_sure),
    )
    write_page(path, page)


def _what(row: Row) -> str:
    """Say what became of a face without landmarks."""
    return row["status"] if row["status"] == NO_FACE else f"face {row['face']}: {row['status']}"


def _cards(
    rows: list[Row], shown: Sequence[int], names: Mapping[str, str], pictures: Mapping[str, Path | None]
) -> Iterator[Card]:
    """Make the cards of these rows; their pictures are read one at a time."""
    alone = _alone(rows)
    before: tuple[str, RGB | None] = "", None
    for i in shown:
        source = rows[i]["source"]
        place = pictures.get(source)
        if before[0] != source:
            before = source, read_photo(place) if place is not None and place.exists() else None
        picture = before[1]
        small = picture if picture is None or source in alone else _surroundings(picture, rows[i])
        yield _card(i, rows[i], names[source], small, place.name if place is not None else "")


def _card(order: int, row: Row, name: str, picture: RGB | None, full: str) -> Card:
    confidence = row["confidence"]
    text = NO_FACE if row["status"] == NO_FACE else f"face {row['face']}: {row['status']}, {sure(confidence)}"
    shown = {} if row["status"] == NO_FACE else {"face": str(row["face"])} | shown_numbers(row)
    image = thumbnail(picture)
    return Card(
        order,
        name,
        row["source"],
        text,
        confidence,
        is_bad(confidence),
        image,
        shown,
        full if image else "",
    )


def _alone(rows: list[Row]) -> set[str]:
    """Photos that have only one row."""
    seen: dict[str, int] = {}
    for row in rows:
        seen[row["source"]] = seen.get(row["source"], 0) + 1
    return {source for source, n in seen.items() if n == 1}


def _surroundings(picture: RGB, row: Row) -> RGB:
    """Crop a face and its surroundings from a picture that may be smaller than its photo."""
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
    """Factor by which a picture is smaller than its photo."""
    longest = max(picture.shape[:2])
    if longest < LONGEST:
        return 1.0
    try:
        with open_picture(source) as photo:
            return min(1.0, longest / max(photo.size))
    except ValueError:
        return 1.0
