"""What a run says at its end of the photos that it fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxclnf.wording import counted, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxclnf.output.photo_pipeline import Photo
    from jaxclnf.output.resumable_table import ResumableTable


class SaidOfPhotos:
    """Counts of the faces that were fitted on photos, and of boxes and pictures in which none was."""

    def __init__(self) -> None:
        self._n_fitted: list[int] = []  # on each photo
        self._n_without = 0
        self._with_more: list[str] = []

    def add(self, photo: Photo) -> None:
        """Count a photo's faces, and note its name if its file holds other pictures."""
        n_fitted = sum(bool(face.result.usable) for face in photo.faces)
        self._n_fitted.append(n_fitted)
        self._n_without += len(photo.faces) - n_fitted
        if photo.has_more:
            self._with_more.append(str(photo.path))

    def pages(self) -> str:
        """Say which files hold pictures that were not looked at."""
        return with_more_pictures(self._with_more) if self._with_more else ""

    def faces(self, n_done: int) -> str:
        """Say how many faces were fitted, and how many photos have none; nothing of those done before."""
        n_photos, none = len(self._n_fitted), self._n_fitted.count(0)
        now = f" on the {n_photos:,} done now" if n_done else ""
        boxes = counted(self._n_without, "box", "boxes")
        unfit = f"; {boxes} could not be fitted, see the status" if self._n_without else ""
        if none == n_photos:
            return f"no face{now}{unfit}" if n_photos else ""
        without = f", none on {counted(none, 'photo')}" if none else ""
        return f"{counted(sum(self._n_fitted), 'face')}{now}{without}{unfit}"


def with_more_pictures(files: Sequence[str]) -> str:
    """Say which files hold pictures that were not looked at."""
    n_files = counted(len(files), "file")
    return f"{n_files} with more than one picture, of which the first was fitted: {some(files)}"


def said_of_table(table: ResumableTable) -> str:
    """Say what a table holds, and what it holds or lacks of an earlier run that was asked for more."""
    if table.is_kept:
        return f"{table.path} stays as it was: none of these photos can be used"
    lines = [f"{table.path}: {_photos_in(table)}"]
    if table.n_unasked:
        lines.append(f"{counted(table.n_unasked, 'photo')} in it not asked for now: kept")
    if table.n_missing:
        missing = counted(table.n_missing, "photo")
        lines.append(f"{missing} of the earlier run not in it: name them, too, with --resume")
    return "\n".join(lines)


def _photos_in(table: ResumableTable) -> str:
    """Say how many photos a table holds, and how many of them were done before."""
    n_before = len(table.done)
    of_them = "all" if n_before == table.count else f"{n_before:,}"
    before = f", {of_them} of them done before" if n_before else ""
    return counted(table.count, "photo") + before
