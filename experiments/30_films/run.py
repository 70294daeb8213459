"""How does the tracker follow faces through films that are made for it? Prints the table of README.md.

    python experiments/30_films/run.py [--films N] [--half first|second] [--kinds NAME ...] [--model FILE]
        [--show FOLDER]

Heads are cut out of ../shared/photos/helen_train. With a folder, rows are drawn into the frames of the films
in which something is wrong: the truth in green, orange where it cannot be seen, what is followed in red.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from kinds import KINDS
from made_films import Film, Head, Pose, There, Truth, head

from jaxclnf.media.detection import named_detector
from jaxclnf.media.frames import Frame
from jaxclnf.media.images import RGB, read_photo
from jaxclnf.models.opening import open_model
from jaxclnf.tracking import TrackConfig, Tracked
from jaxclnf.tracking.host_loop import FrameLoop
from jaxclnf.types import Model

PHOTOS = Path(__file__).resolve().parents[3] / "shared" / "photos" / "helen_train"
SEVERAL = {52, 53, 62, 71, 72, 83, 87, 92, 97, 104, 106}
"""Photos in which others' faces are beside the one that is annotated."""

SEEN, GONE = 0.97, 0.3
"""Shares of a face's landmarks from which on it must be followed, and below which it counts as away."""

FAR = 0.6
"""Error, in distances of the eyes, of a row that is of no face of the film."""


class Row(NamedTuple):
    """A row with success, and the face that it is nearest to."""

    face_id: int
    confidence: float
    error: float  # in distances of the eyes; infinite where no face is
    seen: float  # share of the face's landmarks


class Followed(NamedTuple):
    """What became of a film."""

    rows: list[Row]
    lost: list[bool]  # of each face in each frame in which it is seen
    n_people: int


def heads(half: str) -> list[Head]:
    """Cut heads out of a half of the photos: those with room about the face, and nobody beside it."""
    table = np.load(PHOTOS / "points.npz")
    n = len(table["names"])
    chosen = [i for i in range(n) if (i < n // 2) == (half == "first") and i not in SEVERAL]
    cut = [head(read_photo(PHOTOS / table["names"][i]), table["points"][i]) for i in chosen]
    return [one for one in cut if _has_room(one)]


def _has_room(one: Head) -> bool:
    low, high = one.points.min(axis=0), one.points.max(axis=0)
    (width, height), (right, below) = high - low, np.array(one.rgb.shape[1::-1]) - high
    return min(low[0], right) > 0.15 * width and below > 0.1 * height and low[1] > 0.3 * height


def film(kind: str, k: int, everybody: list[Head]) -> Film:
    """Make the film of a kind with the number ``k``, always the same."""
    seed = zlib.crc32(kind.encode())
    rng = np.random.default_rng([seed, k])
    made = KINDS[kind]([everybody[j] for j in rng.permutation(len(everybody))[:8]], rng)
    made.seed = seed + 1000 * k
    return made


def follow(model: Model, made: Film, pictures: list[RGB]) -> list[list[Tracked]]:
    """Follow a film's faces as `jaxclnf track` does."""
    loop = FrameLoop(model, TrackConfig(model.settings, max_faces=made.max_faces), named_detector(None))
    return [seen for _, seen in loop.run(Frame(i + 1, i / 25, p) for i, p in enumerate(pictures))]


def judged(made: Film, truths: list[Truth], found: list[list[Tracked]]) -> Followed:
    """Compare what was followed with what is there, faces on posters among it."""
    walls = [_on_wall(one, pose) for one, pose in made.posters]
    rows, lost = [], []
    for truth, seen in zip(truths, found, strict=True):
        taken = set()
        for face in seen:
            if face.success:
                j, row = _nearest([*truth, *walls], face)
                rows.append(row)
                taken.add(j)
        lost += [j not in taken for j, there in enumerate(truth) if there.seen.mean() >= SEEN]
    n_people = len(made.heads) + len(made.posters) if made.max_faces > 1 else 1
    return Followed(rows, lost, n_people)


def _on_wall(one: Head, pose: Pose) -> There:
    scale = pose.width / one.width
    points = scale * (one.points - one.middle) + [pose.x, pose.y]
    return There(points, np.ones(68, bool), scale * one.eyes)


def _nearest(truth: Truth, face: Tracked) -> tuple[int, Row]:
    errors = [
        float(np.linalg.norm(face.result.landmarks - there.points, axis=1).mean()) / there.eyes
        if there.seen.any()
        else np.inf
        for there in truth
    ]
    j = int(np.argmin(errors))
    if errors[j] > FAR:
        return -1, Row(face.face_id, face.confidence, np.inf, 0.0)
    return j, Row(face.face_id, face.confidence, errors[j], float(truth[j].seen.mean()))


TITLES = ("kind", "rows", "> 10 %", "part seen", "> 10 %", "no face", "lost", "ids", "of", "error", "sure")


def line(kind: str, films: list[Followed]) -> str:
    """Sum up the films of a kind."""
    rows = [row for each in films for row in each.rows]
    whole = [row for row in rows if row.seen >= SEEN]
    part = [row for row in rows if GONE <= row.seen < SEEN]
    none = [row for row in rows if row.seen < GONE and row.error > 0.1]
    lost = [away for each in films for away in each.lost]
    wrong = [[row for row in some if row.error > 0.1] for some in (whole, part, none)]
    ids = np.mean([len({row.face_id for row in each.rows}) for each in films])
    error = 100 * np.median([row.error for row in whole]) if whole else np.nan
    sure = max((row.confidence for some in wrong for row in some), default=0.0)
    numbers = [f"{len(rows)}", f"{len(wrong[0])}", f"{len(part)}", f"{len(wrong[1])}", f"{len(none)}"]
    numbers += [f"{100 * np.mean(lost):.1f} %" if lost else "-", f"{ids:.2f}"]
    numbers += [f"{np.mean([each.n_people for each in films]):.2f}", f"{error:.2f} %", f"{sure:.2f}"]
    return f"| {kind} | {' | '.join(numbers)} |"


def drawn(pictures: list[RGB], truths: list[Truth], found: list[list[Tracked]]) -> Iterator[np.ndarray]:
    """Draw the truth and the rows into the pictures, for OpenCV to write."""
    for picture, truth, seen in zip(pictures, truths, found, strict=True):
        canvas = picture[..., ::-1].copy()
        dots = [
            (p, (0, 255, 0) if s else (0, 120, 255))
            for there in truth
            for p, s in zip(there.points, there.seen, strict=True)
        ]
        dots += [(p, (0, 0, 255)) for face in seen if face.success for p in face.result.landmarks]
        for point, colour in dots:
            if np.isfinite(point).all():
                cv2.circle(canvas, np.round(point).astype(int), 1, colour, -1)
        said = "  ".join(f"{face.face_id}: {face.confidence:.2f}" for face in seen if face.success)
        cv2.putText(canvas, said, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 255, 255))
        yield canvas


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--films", type=int, default=3)
    parser.add_argument("--half", choices=("first", "second"), default="second")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), metavar="NAME")
    parser.add_argument("--model", type=Path, help="another than the one that ships")
    parser.add_argument("--show", type=Path)
    asked = parser.parse_args()
    model, everybody, everything = open_model(asked.model), heads(asked.half), []
    print(f"| {' | '.join(TITLES)} |\n|{' --- |' * len(TITLES)}")
    for kind in asked.kinds:
        films = []
        for k in range(asked.films):
            made = film(kind, k, everybody)
            pictures, truths = zip(*made.frames(), strict=True)
            found = follow(model, made, pictures)
            films.append(judged(made, truths, found))
            if asked.show and (any(films[-1].lost) or any(row.error > 0.1 for row in films[-1].rows)):
                folder = asked.show / f"{kind} {k}".replace("/", " ")
                folder.mkdir(parents=True, exist_ok=True)
                for i, canvas in enumerate(drawn(pictures, truths, found)):
                    cv2.imwrite(str(folder / f"{i:03}.png"), canvas)
        print(line(kind, films), flush=True)
        everything += films
    print(line("all", everything))


if __name__ == "__main__":
    main()
