"""One self-contained page a run: what failed, plots over time for videos, faces with the least sure first."""

from __future__ import annotations

import base64
import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from jaxclnf.media.images import RGB, read_photo
from jaxclnf.media.inputs import Failure
from jaxclnf.output.files import write_whole
from jaxclnf.output.tables import LOST

THUMBNAIL = 240  # pixels of the longer side
MOST_CARDS = 1000
FRAMES_SHOWN = 24  # of a video
MOST_NAMES = 9  # lines of a plot that a legend names
DOUBTFUL = 0.5  # confidence below which a face is marked

_LOOKS = ("gaze_angle_x", "gaze_angle_y")
_TABLE = ("confidence", "status", "source")
_KINDS = {"source": str, "status": str} | dict.fromkeys(("frame", "face", "face_id", "success"), int)
_SMALL = 2**22  # bytes of a table that is read before polars is imported


class Card(NamedTuple):
    """A face, or a photo without one."""

    order: int
    name: str
    text: str
    confidence: float
    bad: bool
    image: str  # JPEG in base64, empty where there is none


class Plot(NamedTuple):
    """A drawing of a video's course."""

    name: str
    svg: str


def report_photos(
    path: Path, table: Path, pictures: Mapping[str, Path | None], failures: Sequence[Failure]
) -> None:
    """Write the page of a run on photos: ``pictures`` are the overlays, by the photos' names in the table."""
    rows = _read(table, (*_TABLE, "face"))
    found = sum(row["status"] != "no face" for row in rows)
    least_sure = sorted(range(len(rows)), key=lambda i: _worth(rows[i]["confidence"]))[:MOST_CARDS]
    cards = (_photo_card(i, rows[i], pictures.get(rows[i]["source"])) for i in sorted(least_sure))
    n_photos = len({row["source"] for row in rows})
    summary = f"{_count(found, 'face')} on {_count(n_photos, 'photo')}; {len(failures)} could not be used"
    left_out = len(rows) - len(least_sure)
    _write(path, "Faces on photos", summary, failures, [], cards, left_out)


def _photo_card(order: int, row: dict[str, Any], picture: Path | None) -> Card:
    sure = row["confidence"]
    text = f"face {row['face']}: {row['status']}, {_sure(sure)}"
    return Card(order, row["source"], text, sure, not sure >= DOUBTFUL, _thumbnail(picture))


def _sure(confidence: float) -> str:
    return f"{confidence:.0%} sure" if np.isfinite(confidence) else "how sure is unknown"


def report_videos(path: Path, videos: dict[Path, Path], failures: Sequence[Failure]) -> None:
    """Write the page of a run on videos: ``videos`` maps tables to the annotated copies there may be."""
    tables = {table: _read(table, None) for table in videos if table.exists()}
    plots = [Plot(table.stem, _course(rows)) for table, rows in tables.items()]
    cards = [card for table, rows in tables.items() for card in _frame_cards(table.stem, rows, videos[table])]
    n_frames = sum(len({row["frame"] for row in rows}) for rows in tables.values())
    counts = _count(len(tables), "video"), _count(n_frames, "frame"), _count(len(failures), "problem")
    summary = ", ".join(counts)
    _write(path, "Faces in videos", summary, failures, plots, cards, left_out=0)


def _worth(confidence: float) -> float:
    """For sorting: what nobody knows comes after the doubtful."""
    return confidence if np.isfinite(confidence) else DOUBTFUL


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _frame_cards(name: str, rows: list[dict[str, Any]], film: Path) -> Iterator[Card]:
    """The least sure frames of a video and some in between, with their pictures."""
    sure: dict[int, float] = {}
    for row in rows:
        sure[row["frame"]] = min(row["confidence"], sure.get(row["frame"], np.inf))
    lost = {row["frame"] for row in rows if row["status"] == LOST}
    frames = sorted(sure)
    half = FRAMES_SHOWN // 2
    between = frames[:: max(1, len(frames) // half)][:half]
    shown = sorted({*sorted(frames, key=lambda f: _worth(sure[f]))[:half], *between})
    pictures = _frames(film, shown)
    for frame in shown:
        text = _sure(sure[frame]) + (", a face is lost" if frame in lost else "")
        image = _thumbnail(pictures.get(frame))
        yield Card(frame, f"{name}, frame {frame}", text, sure[frame], not sure[frame] >= DOUBTFUL, image)


def _frames(film: Path, numbers: Iterable[int]) -> dict[int, RGB]:
    from jaxclnf.media.video import open_video

    wanted = set(numbers)
    if not film.exists() or not wanted:
        return {}
    return {f.number: f.rgb for f in open_video(str(film)).frames if f.number in wanted}


def _course(rows: list[dict[str, Any]]) -> str:
    """Confidence, rotation and position of each face over time, as SVG."""
    from matplotlib.figure import Figure

    from jaxclnf.output.draw import colour_of

    looks = bool(rows) and _LOOKS[0] in rows[0]
    n_panels = 4 if looks else 3
    figure = Figure(figsize=(10, 2.2 * n_panels), layout="constrained")
    panels = figure.subplots(n_panels, 1, sharex=True)
    panels[0].set(ylabel="confidence", ylim=(0, 1.02))
    panels[1].set(ylabel="rotation, degrees")
    panels[2].set(ylabel="distance, mm")
    panels[-1].set(xlabel="seconds")
    if looks:
        panels[3].set(ylabel="gaze, degrees")
    for face in sorted({row["face_id"] for row in rows if row["status"] != "no face"}):
        seen = _seen(rows, face)
        time = [row["timestamp"] for row in seen]
        colour = tuple(0.75 * c / 255 for c in colour_of(face))
        panels[0].plot(time, [row["confidence"] for row in seen], color=colour, label=f"face {face}")
        for axis, style in zip("xyz", ("-", "--", ":"), strict=True):
            degrees = np.degrees([row[f"pose_R{axis}"] for row in seen])
            panels[1].plot(time, degrees, style, color=colour, label=f"face {face}, {axis}")
        panels[2].plot(time, [row["pose_Tz"] for row in seen], color=colour)
        for angle, style in zip(_LOOKS if looks else (), ("-", "--"), strict=False):
            degrees = np.degrees([row[angle] for row in seen])
            panels[3].plot(time, degrees, style, color=colour, label=f"face {face}, {angle[-1]}")
    for panel in panels:
        panel.grid(alpha=0.3)
    for panel in (*panels[:2], *panels[3:]):
        if 0 < len(panel.lines) <= MOST_NAMES:  # a taller legend would push the panels apart
            panel.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small", frameon=False)
    text = io.StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue()[text.getvalue().index("<svg") :]


def _seen(rows: list[dict[str, Any]], face: int) -> list[dict[str, Any]]:
    """The rows of a face where it was seen, and a row of NaNs, which breaks lines, where it was gone."""
    gap: dict[str, Any] = defaultdict(lambda: np.nan)
    seen: list[dict[str, Any]] = []
    for row in rows:
        if row["face_id"] == face and row["success"]:
            if seen and row["frame"] > seen[-1]["frame"] + 1:
                seen.append(gap)
            seen.append(row)
    return seen


def _read(table: Path, names: Sequence[str] | None) -> list[dict[str, Any]]:
    """A table's rows; without ``names``, the columns that the page of a video shows."""
    names = names or (*_TABLE, "frame", "face_id", "timestamp", "success", "pose_Tz", *_rotations())
    if table.suffix == ".csv" and table.stat().st_size < _SMALL:
        return _read_small(table, names)
    import polars as pl

    texts: dict[str, Any] = {"source": pl.String, "status": pl.String}
    if table.suffix == ".csv":  # polars would take [, * and ? for patterns
        rows = pl.scan_csv(table.absolute(), infer_schema_length=None, schema_overrides=texts, glob=False)
        rows = rows.select(_shown(rows.collect_schema().names(), names)).collect()
    elif table.suffix == ".parquet":
        rows = pl.read_parquet(io.BytesIO(table.read_bytes()))
        rows = rows.select(_shown(rows.columns, names))
    elif table.stat().st_size:
        rows = pl.read_ndjson(table.read_bytes(), infer_schema_length=None)
        rows = rows.select(_shown(rows.columns, names))
    else:  # where no photo could be read
        return []
    floats = pl.exclude("source", "status", "frame", "face", "face_id", "success")
    return rows.with_columns(floats.cast(pl.Float64).fill_null(np.nan)).to_dicts()


def _read_small(table: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    with table.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        shown = _shown(rows.fieldnames or (), names)
        return [{name: _KINDS.get(name, float)(row[name]) for name in shown} for row in rows]


def _shown(there: Sequence[str], names: Sequence[str]) -> list[str]:
    """The columns to read: those named, and of gaze those that are there."""
    return [*names, *(name for name in _LOOKS if name in there)]


def _rotations() -> list[str]:
    return [f"pose_R{axis}" for axis in "xyz"]


def _thumbnail(picture: Path | RGB | None) -> str:
    if isinstance(picture, Path):
        picture = read_photo(picture) if picture.exists() else None
    if picture is None:
        return ""
    scale = min(1.0, THUMBNAIL / max(picture.shape[:2]))
    size = [max(1, round(scale * n)) for n in picture.shape[1::-1]]
    small = cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return base64.b64encode(data.tobytes()).decode()


@cache
def page_template() -> Any:
    """The page, without its content."""
    from jinja2 import Environment, PackageLoader

    return Environment(loader=PackageLoader("jaxclnf.output"), autoescape=True).get_template("report.html")


def _write(
    path: Path,
    title: str,
    summary: str,
    failures: Sequence[Failure],
    plots: Sequence[Plot],
    cards: Iterable[Card],
    left_out: int,
) -> None:
    text = page_template().render(
        title=title, summary=summary, failures=failures, plots=plots, cards=cards, left_out=left_out
    )
    write_whole(path, text.encode("utf-8", "replace"))
