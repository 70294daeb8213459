"""Annotated faces for training and evaluation: photos, landmarks, boxes, and what was refused and why."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from jaxclnf.data.annotations import Annotation, read_annotations
from jaxclnf.data.markup import MARKUPS, mirror_of_groups
from jaxclnf.media.images import read_photo, to_grey
from jaxclnf.types import Model

OUTSIDE_TOLERANCE = 0.05  # of the shape's larger side; annotators place hidden points at the border
DOUBLE = "duplicate of another face"
MIN_EXTENT = 8.0  # pixels; a face whose larger side is smaller shows nothing to learn from
MIN_EYE_DISTANCE = 1.0  # pixels of the unit of errors


@dataclass(frozen=True)
class Refusal:
    """A face that was left out, and why: its photo, or its annotation where that cannot be used."""

    photo: Path
    reason: str

    @property
    def is_double(self) -> bool:
        """Tell a face that is there under another name, and was not lost."""
        return self.reason == DOUBLE


class NoUsableFace(ValueError):
    """Raised for datasets none of whose faces can be used; ``refused`` says of each why."""

    def __init__(self, sentence: str, refused: Sequence[Refusal]) -> None:
        super().__init__(sentence)
        self.refused = refused


@dataclass(frozen=True, eq=False)
class Faces:
    """Annotated faces; photos are read when asked for.

    ``points`` (n, n_points, 2) and ``boxes`` (n, 4; None unless every source has them) are in pixels
    of the photo, the centre of the top-left pixel being (0, 0). ``mirror[i]`` is the landmark that
    landmark i becomes in a mirrored photo; None if the markup is unknown: such faces are not mirrored.
    ``eye_distances`` (n,) are those of the outer eye corners in pixels, the unit of errors and of the
    size of a head; None if the markup is unknown. They outlive `regroup`. ``digests`` tell photos of other
    pixels apart (`photo_digest`), wherever they lie; empty if they were not computed.
    """

    photos: tuple[Path, ...]
    points: np.ndarray
    boxes: np.ndarray | None = None
    mirror: tuple[int, ...] | None = None
    eye_distances: np.ndarray | None = None
    refused: tuple[Refusal, ...] = field(default=())
    digests: tuple[bytes, ...] = ()

    def __len__(self) -> int:
        return len(self.photos)

    def __repr__(self) -> str:
        return f"<Faces: {len(self)} of {self.n_points} landmarks, {len(self.refused)} refused>"

    @property
    def n_points(self) -> int:
        return self.points.shape[1]

    def image(self, i: int) -> np.ndarray:
        """Read the photo of face i, grey, uint8 (H, W)."""
        image = read_grey(self.photos[i])
        if image is None:
            raise ValueError(f"{self.photos[i]} was readable a moment ago and is no longer; restore the file")
        return image

    def images(self) -> list[np.ndarray]:
        return [self.image(i) for i in range(len(self))]

    def take(self, indices: Sequence[int] | np.ndarray) -> Faces:
        """Take the faces at these indices, in this order."""
        indices = np.asarray(indices, dtype=int)
        return replace(
            self,
            photos=tuple(self.photos[i] for i in indices),
            points=self.points[indices],
            boxes=None if self.boxes is None else self.boxes[indices],
            eye_distances=None if self.eye_distances is None else self.eye_distances[indices],
            digests=tuple(self.digests[i] for i in indices) if self.digests else (),
        )

    def learned_by(self, model: Model) -> Bool[np.ndarray, " n"]:
        """Tell for each face whether a model says that it learned from its photo."""
        learned = model.learned
        return np.array([digest in learned for digest in self.digests or [b""] * len(self)], bool)

    def regroup(self, groups: Sequence[Sequence[int]]) -> Faces:
        """Put the faces under another markup: landmark k is the mean of the landmarks in groups[k].

        The mirror table follows where every group's mirror image is a group too.
        """
        bad = [i for g in groups for i in g if not 0 <= i < self.n_points]
        if bad or not groups or not all(groups):
            got = f"{bad[0]}" if bad else f"{groups!r:.100}"
            raise ValueError(
                f"landmark groups must name landmarks of the dataset, which has 0 to {self.n_points - 1}; "
                f"got {got}"
            )
        points = np.stack([self.points[:, list(g)].mean(axis=1) for g in groups], axis=1)
        return replace(self, points=points, mirror=mirror_of_groups(self.mirror, groups))

    def split(self, share: float, seed: int) -> tuple[Faces, Faces]:
        """Split into training and held-back part (``share`` of the photos); faces of a photo stay together.

        The same faces, share and seed give the same parts. A held-back photo that the training part has under
        another name is in neither.
        """
        if not 0 <= share < 1:
            raise ValueError(f"the share to hold back must be at least 0 and below 1; got {share}")
        _, photo = np.unique([str(p) for p in self.photos], return_inverse=True)
        n_photos = int(photo.max(initial=-1)) + 1
        drawn = np.random.default_rng(seed).permutation(n_photos)[: round(share * n_photos)]
        is_held = np.isin(photo, drawn)
        learned = self.take(np.flatnonzero(~is_held))
        known = set(learned.digests)
        held = [i for i in np.flatnonzero(is_held) if not (self.digests and self.digests[i] in known)]
        return learned, self.take(np.array(held, int))

    def summary(self, examples: int = 3) -> str:
        """Summarise in a few lines what was read and what was refused."""
        lines = [f"{len(self)} faces of {self.n_points} landmarks read, {len(self.refused)} refused."]
        for reason, count in Counter(r.reason for r in self.refused).most_common():
            names = [r.photo.name for r in self.refused if r.reason == reason]
            more = ", ..." if count > examples else ""
            lines.append(f"  {count} refused: {reason} ({', '.join(names[:examples])}{more})")
        return "\n".join(lines)


def photo_digest(image: np.ndarray) -> bytes:
    """Compute a digest of eight bytes of a grey photo, from its size and pixels, not its name or format."""
    return hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).digest()[:8]


def read_grey(path: Path) -> np.ndarray | None:
    """Read a photo in grey, uint8 (H, W), turned upright by its EXIF; None if it cannot be read."""
    try:
        return to_grey(read_photo(path))
    except ValueError:
        return None


def read_faces(
    sources: Iterable[str | Path],
    n_points: int | None = None,
    on_face: Callable[[int, int], None] = lambda done, total: None,
) -> Faces:
    """Read every source; keep the faces that can be used and note the others with the reason.

    ``n_points`` is the number of landmarks a face must have; by default what most faces have. ``on_face`` is
    told, after each annotation, how many of all are read.
    Raises ValueError if a source is not a dataset, and `NoUsableFace` if no usable face is left.
    """
    found = [face for source in sources for face in read_annotations(Path(source))]
    if n_points is None:
        counts = Counter(len(f.points) for f in found if f.points is not None)
        n_points = counts.most_common(1)[0][0] if counts else 0
    kept: list[tuple[Annotation, bytes]] = []
    refused: list[Refusal] = []
    seen: dict[bytes, list[np.ndarray]] = {}
    for done, face in enumerate(found, 1):
        reason = face.problem or _problem(face, n_points)
        image = None if reason else read_grey(face.photo)
        digest = b"" if image is None else photo_digest(image)
        reason = reason or _photo_problem(face, image, seen.setdefault(digest, []))
        if reason:
            refused.append(Refusal(face.photo, reason))
        else:
            kept.append((face, digest))
        on_face(done, len(found))
    if not kept:
        reasons = Counter(r.reason for r in refused).most_common(3)
        why = "; ".join(f"{n} x {reason}" for reason, n in reasons) or "the folders hold no annotations"
        raise NoUsableFace(f"no usable face among {len(found)} annotations: {why}", refused)
    return _together(kept, refused)


def _together(kept: list[tuple[Annotation, bytes]], refused: list[Refusal]) -> Faces:
    """Put annotations of as many landmarks each, and their photos' digests, together."""
    boxes = [face.box for face, _ in kept]
    points = np.stack([np.asarray(face.points, np.float32) for face, _ in kept])
    markup = MARKUPS.get(points.shape[1])
    return Faces(
        photos=tuple(face.photo for face, _ in kept),
        points=points,
        boxes=None if any(b is None for b in boxes) else np.stack(boxes).astype(np.float32),  # type: ignore[arg-type]
        mirror=markup.mirror if markup else None,
        eye_distances=markup.eye_distances(points) if markup else None,
        refused=tuple(refused),
        digests=tuple(digest for _, digest in kept),
    )


def _problem(face: Annotation, n_points: int) -> str:
    """Say why this annotation cannot be used; empty if it can."""
    points = face.points
    assert points is not None
    if len(points) != n_points:
        return f"{'too few' if len(points) < n_points else 'too many'} landmarks, {n_points} expected"
    if not np.isfinite(points).all():
        return "landmarks that are not finite numbers"
    if face.box is not None and not (np.isfinite(face.box).all() and (face.box[2:] > 0).all()):
        return "a box that is empty or not finite"
    if np.ptp(points, axis=0).max() < MIN_EXTENT:
        return f"landmarks less than {MIN_EXTENT:.0f} pixels apart"
    markup = MARKUPS.get(n_points)
    if markup and markup.eye_distances(points[None])[0] < MIN_EYE_DISTANCE:
        return "outer corners of the eyes in one place, by whose distance errors are measured"
    return ""


def _photo_problem(face: Annotation, image: np.ndarray | None, same_photo: list[np.ndarray]) -> str:
    """Say why this face cannot be used on its photo; empty if it can.

    ``same_photo`` has the landmarks of the faces read before from this photo; this face's are added.
    """
    if image is None:
        return "photo unreadable" if face.photo.exists() else "photo missing"
    points = face.points
    assert points is not None
    extent = float(np.ptp(points, axis=0).max())
    last = np.array(image.shape[::-1]) - 1
    if max(-points.min(), (points - last).max()) > OUTSIDE_TOLERANCE * extent:
        return "landmarks outside the photo"
    if any(np.abs(points - other).max() < 0.01 * extent for other in same_photo):
        return DOUBLE
    same_photo.append(points)
    return ""
