"""The page of a run on videos: the course of each over time, and some of its frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from jaxclnf.media.failures import Failure
from jaxclnf.media.images import RGB
from jaxclnf.output.report.page import (
    Card,
    Line,
    Page,
    VideoPlots,
    address,
    failure_lines,
    sure,
    thumbnail,
    write_page,
)
from jaxclnf.output.report.rows import LOOKS, VIDEO, Row, is_bad, read_rows, shown_numbers, worth
from jaxclnf.output.report.short_names import short_names
from jaxclnf.output.report.video_plots import SPAN, course, faces_in
from jaxclnf.output.tables import LOST, NO_FACE
from jaxclnf.types import USABLE_WORDS
from jaxclnf.wording import counted

FRAMES_SHOWN = 24  # of a video

_SEEN = USABLE_WORDS | {NO_FACE}


def report_videos(path: Path, videos: dict[Path, Path], failures: Sequence[Failure]) -> None:
    """Write the page of a run on videos: ``videos`` maps tables to the annotated copies there may be."""
    tables = {table: read_rows(table, VIDEO, LOOKS) for table in videos if table.exists()}
    names = short_names(str(table.with_suffix("")) for table in tables)
    courses = [
        _course(path, names[str(table.with_suffix(""))], rows, videos[table])
        for table, rows in tables.items()
    ]
    n_frames = sum(len({row["frame"] for row in rows}) for rows in tables.values())
    counts = counted(len(tables), "video"), counted(n_frames, "frame"), counted(len(failures), "problem")
    unfitted = [
        line for shown, rows in zip(courses, tables.values(), strict=True) for line in _unfitted(shown, rows)
    ]
    page = Page(
        title="Faces in videos",
        summary=", ".join(counts),
        failures=failure_lines(failures, short_names(failure.source for failure in failures)),
        unfitted=unfitted,
        n_unfitted=len(unfitted),
        courses=courses,
        span=SPAN,
    )
    write_page(path, page)


def _course(page: Path, name: str, rows: list[Row], film: Path) -> VideoPlots:
    times = [row["timestamp"] for row in rows] or [0.0]
    start = min(times)  # with which the film begins
    source = next((row["source"] for row in rows if row["source"]), name)
    return VideoPlots(
        name=name,
        path=source,
        svg=course(rows, start, max(times)),
        start=start,
        end=max(times),
        faces=faces_in(rows),
        cards=list(_frame_cards(source, rows, film, start)),
        film=address(film, page) if film.exists() else "",
    )


def _unfitted(shown: VideoPlots, rows: list[Row]) -> Iterator[Line]:
    """Count the frames in which faces were found or expected but not fitted, in a line for each status."""
    lost = Counter((row["status"], row["face_id"]) for row in rows if row["status"] not in _SEEN)
    for status in sorted({status for status, _ in lost}):
        faces = [
            f"face {i} in {counted(n, 'frame')}" for (what, i), n in sorted(lost.items()) if what == status
        ]
        yield Line(shown.name, shown.path, f"{status}: {', '.join(faces)}")


def _frame_cards(source: str, rows: list[Row], film: Path, start: float) -> Iterator[Card]:
    """Make cards of a video's least confident frames and some in between, in order."""
    of_frame: dict[int, list[Row]] = {}
    for row in rows:
        of_frame.setdefault(row["frame"], []).append(row)
    shown = _chosen({frame: min(row["confidence"] for row in of_frame[frame]) for frame in of_frame})
    pictures = _pictures(film, {frame: of_frame[frame][0]["timestamp"] - start for frame in shown})
    for frame in shown:
        here = of_frame[frame]
        least = min(row["confidence"] for row in here)
        lost = ", a face is lost" if any(row["status"] == LOST for row in here) else ""
        time = here[0]["timestamp"]
        yield Card(
            order=frame,
            name=f"frame {frame}",
            path=source,
            text=f"{time:.2f} s, {sure(least)}{lost}",
            confidence=least,
            bad=is_bad(least),
            image=thumbnail(pictures.get(frame)),
            numbers={f"face {row['face_id']}": _line(row) for row in here if row["status"] != NO_FACE},
            time=time,
        )


def _chosen(least: dict[int, float]) -> list[int]:
    """Choose frames by their lowest confidence: the least confident, no neighbours, and some in between."""
    half = FRAMES_SHOWN // 2
    apart, doubtful = max(len(least) // (4 * half), 1), []
    for frame in sorted(least, key=lambda frame: worth(least[frame])):
        if len(doubtful) < half and all(abs(frame - other) >= apart for other in doubtful):
            doubtful.append(frame)
    at = np.linspace(0, len(least) - 1, min(half, len(least))).round().astype(int)
    between = [sorted(least)[i] for i in at]
    return sorted({*doubtful, *between})


def _line(row: Row) -> str:
    """Write the numbers of a face in one line."""
    said = shown_numbers(row)
    return ", ".join(v if name in ("status", "confidence") else f"{name} {v}" for name, v in said.items())


def _pictures(film: Path, times: dict[int, float]) -> dict[int, RGB]:
    """Read frames of a film, whose ``times`` are known by their numbers, as far as it can be read."""
    from jaxclnf.media.film_frames import frames_at

    if not film.exists():
        return {}
    return dict(zip(times, frames_at(film, times.values()), strict=False))
